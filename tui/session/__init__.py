"""Room: what a screen knows of one feed beyond its state."""
