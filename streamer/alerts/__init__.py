"""Room: tells people who do not look at the screen."""
