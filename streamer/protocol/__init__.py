"""The protocol: every message and section of a snapshot as a typed struct, JSON in and out, lenient
reading, command arguments, WebSocket frames, the schema.

Everything may import ``messages``, ``codec``, ``lenient`` and ``sanitise``; ``sections`` is for
those that handle the state section by section, ``frames`` for those that send.
"""
