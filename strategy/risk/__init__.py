"""Limits of the account and the size of a trade. Pure: figures in, blocks and volumes out.

All modules may be imported; it imports ``scan.gate_context``.
"""
