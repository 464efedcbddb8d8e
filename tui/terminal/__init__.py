"""Room: the terminal: drivers, first frame, clipboard."""
