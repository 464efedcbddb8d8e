"""Room: what a screen keeps of one feed beyond its state, and how fresh all of it is.

Pure Python on the loop: of the face only ``tui.render`` (without the theme) is imported.
"""
