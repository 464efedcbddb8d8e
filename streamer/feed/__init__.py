"""The core of a feed, without a socket: numbering, journal, state, commands, health, heartbeats.

``streamer.service`` builds it into a ``Feed``. Other rooms import ``HealthCheck`` and ``Measure``
from ``health`` to report their own health; the other modules belong to service and server.
"""
