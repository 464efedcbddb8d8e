"""A relay: a feed without a bot of its own that publishes the events of other feeds.

Import ``Relay`` from ``relay``, ``RelaySettings`` from ``settings`` and ``probe`` from
``transports``; the other modules belong to this room.
"""
