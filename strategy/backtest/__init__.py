"""The worker over history: a stepped clock, precomputed features and exact shortcuts.

Command line and benchmarks import ``backtest``; it imports all rooms of the floor.
"""
