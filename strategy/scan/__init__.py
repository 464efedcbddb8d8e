"""One scan: bars, news and gates, for every symbol. It sends nothing.

Other rooms import ``scanner``, ``gates``, ``gate_context``, ``bar_cache``, ``news`` and
``worker_thread``; it imports the types of the floor and no other room.
"""
