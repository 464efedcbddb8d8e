"""From a candidate to an order, and what follows it: position rules, trades, their review.

The worker and the backtest import all of it; it imports ``scan`` and ``risk``.
"""
