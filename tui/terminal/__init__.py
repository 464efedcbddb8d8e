"""The way to the terminal: drivers that never block the loop, the first frame, the clipboard.

``first_frame`` and ``tty_writer`` load no Textual; screens import nothing from here.
"""
