"""Room: lines, figures, charts and events as styled text, pure functions from values to text.

Only ``theme`` imports Textual; of the face nothing else is imported.
"""
