"""The Textual app: it draws a source, keeps the tabs, and turns keys into actions.

Import ``DashApp`` from ``app``; ``run`` builds it, and no screen or panel imports this room.
"""
