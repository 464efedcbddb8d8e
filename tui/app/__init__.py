"""Room: the Textual app and its actions."""
