"""Room: the reducer and what is derived from it: snapshots, bots, trades."""
