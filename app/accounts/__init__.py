"""Accounts as those who pay see them: plans, keys with limits, and the record of who changed what."""
