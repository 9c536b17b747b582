"""The schema, version by version, for SQLite and PostgreSQL."""
