"""The probability gate: samples, the trainer in a child process, the model and its judgement.

The worker imports ``trainer`` and ``model_gate``; it imports ``scan`` and the shipped features.
"""
