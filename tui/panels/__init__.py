"""Room: the panels of the main screen, each made of lines and painted where they changed.

Panels read a ``View`` (``tui.session``), lines (``tui.render``) and the table of panels (``tui.board``).
"""
