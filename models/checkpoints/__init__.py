"""Weights on disk: reading, mapping of names, strict loading and writing."""
