"""Room: the shipped strategy."""
