"""Writes to a terminal in a thread of its own, so that drawing never waits for the terminal.

The queue is bounded: a frame is taken or dropped as a whole, and after a drop the owner is asked to
repaint the whole screen once the terminal has read what is queued.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TextIO

MAX_PENDING = 256 * 1024
"""Most bytes in the queue; beyond it frames are dropped."""

MAX_CONTROL = 64 * 1024
"""Most bytes of control sequences beyond that."""

LATE_S = 0.5
"""A frame that waits longer, in seconds, makes newer frames be dropped."""

END_STRING = b"\x1b\\"
"""ST: ends a half-written sequence of any kind; without one it does nothing."""

_POLL_S = 0.1


class Sink(Protocol):
    """Where the writer's thread writes; only ``discard`` is called from other threads."""

    def write(self, data: memoryview, timeout: float) -> int:
        """Write a part of ``data``.

        Returns:
            The bytes written; 0 when there was no room within ``timeout`` seconds.

        Raises:
            OSError: The terminal is gone.
        """
        ...

    def discard(self) -> None:
        """Discard what the system has taken and the terminal has not read. Never waits."""
        ...

    def close(self) -> None: ...


class TtySink:
    """A POSIX terminal: a file description of our own that does not block, where possible.

    The terminal's descriptor is usually shared with the shell, so O_NONBLOCK on it would outlive
    this process and break the shell. The terminal is therefore opened again. Where that is refused
    (another user's terminal, a container) the shared descriptor is written in small pieces: that
    may block the thread, never the caller.
    """

    def __init__(self, fd: int) -> None:
        own = _open_again(fd)
        self.shared = own is None
        self._fd = os.dup(fd) if own is None else own
        self._room = 512 if self.shared else 16 * 1024

    def write(self, data: memoryview, timeout: float) -> int:
        if not _writable(self._fd, timeout):
            return 0
        try:
            return os.write(self._fd, data[: self._room])
        except BlockingIOError:
            # Select and write disagree when the terminal is stopped (Ctrl-S).
            time.sleep(min(timeout, 0.02))
            return 0

    def discard(self) -> None:
        import termios

        try:
            termios.tcflush(self._fd, termios.TCOFLUSH)
        except (termios.error, OSError):
            pass  # no longer a terminal: nothing to discard

    def close(self) -> None:
        os.close(self._fd)


def _writable(fd: int, timeout: float) -> bool:
    if sys.platform == "linux":
        # poll, because select cannot watch descriptors above 1023 and a busy feed has those.
        poller = select.poll()
        poller.register(fd, select.POLLOUT)
        return bool(poller.poll(timeout * 1000))
    else:
        return bool(select.select([], [fd], [], timeout)[1])


def _open_again(fd: int) -> int | None:
    """A non-blocking descriptor of the same terminal, or None."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        device = os.fstat(fd).st_rdev
        own = os.open(os.ttyname(fd), flags)
    except OSError:
        own = None
    if own is not None:
        if os.fstat(own).st_rdev == device:
            return own
        os.close(own)
    try:
        own = os.open("/dev/tty", flags)
    except OSError:
        return None
    try:
        # /dev/tty is the controlling terminal; is it the one behind ``fd``?
        if os.tcgetpgrp(own) == os.tcgetpgrp(fd):
            return own
    except OSError:
        pass
    os.close(own)
    return None


class ConsoleSink:
    """A Windows console: written through Python's text layer, which may block the thread.

    Pieces of 8192 characters, because larger ones fail there (bpo-37871).
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, data: memoryview, timeout: float) -> int:
        text = bytes(data).decode()
        for start in range(0, len(text), 8192):
            self._file.write(text[start : start + 8192])
            self._file.flush()
        return len(data)

    def discard(self) -> None:
        pass  # a console keeps nothing that could be discarded

    def close(self) -> None:
        pass  # standard output belongs to the process


class TtyWriter:
    """A bounded queue in front of a terminal, with a daemon thread that writes it.

    ``on_lost(reason)`` and ``on_behind()`` are called in that thread: the first once, when the
    terminal is gone; the second when frames were dropped and everything else is written, so
    that a full repaint can follow. Frames are queued again only after ``repainting()``.
    """

    def __init__(
        self, sink: Sink, *, on_lost: Callable[[str], None], on_behind: Callable[[], None]
    ) -> None:
        self._sink = sink
        self._on_lost = on_lost
        self._on_behind = on_behind
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._empty = threading.Condition(self._lock)
        self._queue: deque[tuple[float, memoryview]] = deque()
        self._pending = 0
        self._progress = 0.0
        self._generation = 0
        self._behind = False
        self._asked = False
        self._finishing = False
        self._stopping = False
        self.lost: str | None = None
        self.dropped_frames = 0
        self._thread = threading.Thread(target=self._run, name="terminal-output", daemon=True)
        self._thread.start()

    def hand_on(self, *, on_lost: Callable[[str], None], on_behind: Callable[[], None]) -> None:
        """Call these from now on. A loss that has already happened is reported at once."""
        with self._lock:
            self._on_lost, self._on_behind = on_lost, on_behind
            lost = self.lost
        if lost is not None:
            on_lost(lost)

    @property
    def pending(self) -> int:
        """Bytes that wait for the terminal."""
        return self._pending

    @property
    def stalled_since(self) -> float | None:
        """``time.monotonic()`` of the moment the terminal stopped reading; ``None`` while it
        reads."""
        progress = self._progress
        if self._pending and time.monotonic() - progress > LATE_S:
            return progress
        return None

    def frame(self, data: bytes) -> bool:
        """Queue one frame or drop it, without waiting. Returns whether it was queued."""
        with self._lock:
            if self.lost is not None or self._finishing:
                return False
            if self._behind or self._is_late(len(data)):
                self._behind = True
                self.dropped_frames += 1
                return False
            self._append(data)
            return True

    def control(self, data: bytes) -> None:
        """Queue a sequence that must not be lost; it is also queued while frames are dropped."""
        with self._lock:
            if self.lost is not None or self._finishing:
                return
            if self._pending and self._pending + len(data) > MAX_PENDING + MAX_CONTROL:
                self._behind = True
                return
            self._append(data)

    def repainting(self) -> None:
        """The owner repaints the whole screen: frames are queued again from now on."""
        with self._lock:
            self._behind = False
            self._asked = False

    def finish(self, last: bytes, timeout: float = 0.4) -> bool:
        """Write ``last`` after the queue; what the terminal does not take is discarded.

        Waits ``timeout`` seconds at most.

        Returns:
            Whether the terminal took everything.
        """
        with self._lock:
            self._finishing = True
            if self.lost is not None or self._stopping:
                return False
            stalled = self._pending > 0 and time.monotonic() - self._progress > LATE_S
            if not stalled:
                self._append(last)
                if self._empty.wait_for(self._is_done, timeout / 2):
                    return self.lost is None
            self._generation += 1
            self._queue.clear()
            self._pending = 0
            self._sink.discard()
            self._append(END_STRING + last)
            return self._empty.wait_for(self._is_done, timeout / 2) and self.lost is None

    def close(self, timeout: float = 0.4) -> bool:
        """End the thread and drop the queue. Returns whether the thread ended in time."""
        with self._lock:
            self._stopping = True
            self._generation += 1
            self._queue.clear()
            self._pending = 0
            self._work.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _is_done(self) -> bool:
        return not self._queue or self.lost is not None

    def _is_late(self, size: int) -> bool:
        if not self._queue:
            return False
        waited = time.monotonic() - self._queue[0][0]
        return waited > LATE_S or self._pending + size > MAX_PENDING

    def _append(self, data: bytes) -> None:
        now = time.monotonic()
        if not self._queue:
            self._progress = now
        self._queue.append((now, memoryview(data)))
        self._pending += len(data)
        self._work.notify()

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    while not self._queue and not self._stopping:
                        self._work.wait()
                    if self._stopping:
                        return
                    generation, (queued, data) = self._generation, self._queue[0]
                taken = self._sink.write(data, _POLL_S)
                if taken and self._took(generation, queued, data, taken):
                    self._on_behind()
        except OSError as error:
            self._lose(error.strerror or type(error).__name__)
        finally:
            self._sink.close()

    def _took(self, generation: int, queued: float, data: memoryview, taken: int) -> bool:
        """Account for written bytes. Returns whether a full repaint has to be requested now."""
        with self._lock:
            self._progress = time.monotonic()
            if generation != self._generation:
                return False
            self._pending -= taken
            if taken < len(data):
                self._queue[0] = (queued, data[taken:])
                return False
            self._queue.popleft()
            if self._queue:
                return False
            self._empty.notify_all()
            ask = self._behind and not self._asked
            self._asked = self._asked or ask
            return ask

    def _lose(self, reason: str) -> None:
        with self._lock:
            self.lost = reason
            self._generation += 1
            self._queue.clear()
            self._pending = 0
            self._empty.notify_all()
        self._on_lost(reason)
