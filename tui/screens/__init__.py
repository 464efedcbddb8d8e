"""The main screen, and what opens over it: pages, dialogs and the sheets of a row.

The app imports the screens that it shows; a screen knows the app by the ``Dash`` protocol only.
"""
