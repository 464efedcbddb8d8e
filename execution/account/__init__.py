"""Observes the account: reads positions, orders, deals and quotes, and publishes what changed.

Other floors import ``observer``, ``audit`` and ``lifecycle``; it imports ``api``, ``transport`` and
``orders``.
"""
