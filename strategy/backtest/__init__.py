"""Room: the worker over history."""
