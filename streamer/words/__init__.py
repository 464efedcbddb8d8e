"""Room: the words of the feed (events, stages, limits) and numbers as text, for screen, alerts, log.

The words themselves are in ``streamer/web/words.json``; of our rooms only ``protocol`` is imported.
"""
