"""The program's own log, written by a thread: a full pipe or a stalled terminal blocks no caller.

Messages contain text from brokers and clients, so control characters are removed from every line:
one message is one line.
"""

from __future__ import annotations

import logging
import logging.handlers
import queue
import sys
import threading
from pathlib import Path

import platformdirs

from streamer.protocol.sanitise import clean

QUEUE_SIZE = 10_000
LINE_LIMIT = 4_000


class LineFormatter(logging.Formatter):
    """``2026-11-23 04:00:00,123 INFO mt5dash: text``; tracebacks keep their own lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = clean(record.message, LINE_LIMIT)
        return super().formatMessage(record)


class DroppingQueueHandler(logging.handlers.QueueHandler):
    """Queues records without waiting; a record that does not fit is counted and dropped."""

    dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.dropped += 1


class Log:
    """The running log."""

    def __init__(self, *, level: str, file: Path | None, console: bool) -> None:
        """
        Args:
            level: The least severe level that is written: debug, info, warning or error.
            file: The file to write; ``None``: no file.
            console: Whether to write to standard error too.
        """
        handlers: list[logging.Handler] = []
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            handlers.append(
                logging.handlers.RotatingFileHandler(
                    file, maxBytes=5_000_000, backupCount=3, encoding="utf-8", delay=True
                )
            )
        if console:
            handlers.append(logging.StreamHandler(sys.stderr))
        for handler in handlers:
            handler.setFormatter(LineFormatter())
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(QUEUE_SIZE)
        self._handlers = handlers
        self._entry = DroppingQueueHandler(self._records)
        root = logging.getLogger()
        root.setLevel(level.upper())
        root.addHandler(self._entry)
        logging.raiseExceptions = False
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        while (record := self._records.get()) is not None:
            for handler in self._handlers:
                handler.handle(record)

    def close(self, timeout: float = 0.5) -> None:
        """Write what is still queued, for ``timeout`` seconds at most."""
        logging.getLogger().removeHandler(self._entry)
        try:
            self._records.put_nowait(None)
        except queue.Full:
            return
        self._thread.join(timeout)


def default_log_file() -> Path:
    """``mt5dash.log`` in the user's log folder."""
    return Path(platformdirs.user_log_dir("mt5dash", appauthor=False)) / "mt5dash.log"
