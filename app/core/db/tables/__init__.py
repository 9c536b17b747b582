"""One file for each table, or for two that are always read together."""
