"""The state in PostgreSQL, which several machines and teams share: a schema for each state."""
