"""Room: ways to a terminal, with deadlines and reconnects."""
