"""SQL: the one authority over state and money, on SQLite and PostgreSQL alike."""
