"""Room: log events in one SQLite file: write, check, repair, export, replay."""
