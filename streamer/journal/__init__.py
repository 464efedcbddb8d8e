"""The journal: log events and samples of the state in one SQLite file, on disk before they are
published.

Feeds import ``Journal`` and ``JournalError`` from ``writer`` and ``Replay`` from ``replay``;
commands import ``export``, ``incident``, ``prune`` and ``verify``, and ``schema`` to open a file.
"""
