"""Room: every message as a typed struct, JSON in and out, the schema."""
