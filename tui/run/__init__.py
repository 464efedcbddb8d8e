"""Builds the program from its settings, starts it, and stops it in order, with a screen or without.

The commands import ``runtime``, ``headless`` and ``screen``; only ``screen`` loads Textual.
"""
