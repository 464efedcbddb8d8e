"""Room: one scan: bars, gates, news."""
