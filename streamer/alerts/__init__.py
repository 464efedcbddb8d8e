"""Alerts: messages about a feed's events to people who do not watch the screen.

Import ``Alerts`` from ``service``, ``AlertSettings`` from ``settings`` and, to try the channels
one by one, ``channels``; rules, throttle and delivery belong to this room.
"""
