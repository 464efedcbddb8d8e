"""The state of a feed as a pure function of its events, and what is derived from it: typed view,
snapshots, bots, trades, the ring of log events.

Everything may import ``reducer``, ``source`` and ``trades``; readers use ``FeedState.typed`` and
``protocol.lenient.typed_event`` and no string keys.
"""
