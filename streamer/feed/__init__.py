"""Room: publishes events: number, journal, apply, fan out."""
