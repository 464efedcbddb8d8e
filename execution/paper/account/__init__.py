"""The paper account: ledger, fills, matching, the rules of the trade server, stop-out and swaps.

Only ``paper.server`` and ``paper.opening`` import this room.
"""
