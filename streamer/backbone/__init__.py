"""Room: one feed's events to any number of nodes through a store."""
