"""Room: orders made right, sent once, found again."""
