"""Telling a customer's server that a task has ended."""
