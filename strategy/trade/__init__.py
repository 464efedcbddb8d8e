"""Room: from a candidate to an order, and what follows it."""
