"""Room: limits of the account and sizing."""
