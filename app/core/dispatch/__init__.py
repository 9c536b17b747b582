"""Dispatch: how a worker learns that there is work. A ring carries no job; SQL decides who is next."""
