"""Orders: checked by the rules, written down, sent once, found again when an answer is lost.

Other rooms import ``orders``, ``intents`` and ``kinds``; it imports ``api`` and ``transport``.
"""
