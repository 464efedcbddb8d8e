"""The commands of ``mt5dash``, one module for each, loaded when the command is asked for.

Only the launcher imports this room, and only ``main``; the modules share ``common``.
"""
