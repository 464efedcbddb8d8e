"""The paper account: ledger, fills, matching, the rules of the trade server, stop-out and swaps.

``paper.server`` and ``paper.opening`` import this room; a backtest imports ``money.tick_values``.
"""
