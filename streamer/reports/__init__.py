"""Room: what a day or a month brought, out of a journal."""
