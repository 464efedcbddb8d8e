"""Room: reads the account and publishes what changed."""
