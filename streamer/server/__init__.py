"""The WebSocket and HTTP endpoint: access, admission of clients, fan-out, routes, metrics.

Import ``TokenStore`` and ``AccessError`` from ``tokens``, ``AccessPolicy`` from ``policy`` and
``PortTaken`` from ``ports``; the other modules are built by ``streamer.service`` only.
"""
