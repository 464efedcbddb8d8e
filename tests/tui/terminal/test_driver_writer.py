"""The writer in front of a terminal: bounded, whole frames, never a wait for the caller."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

if sys.platform == "win32":
    pytest.skip("a pty is POSIX", allow_module_level=True)

import pty
import tty

from tui.terminal import tty_writer
from tui.terminal.tty_writer import END_STRING, LATE_S, MAX_PENDING, TtySink, TtyWriter


class Pair:
    """A pty with a writer on one side."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        self.lost: list[str] = []
        self.behind = threading.Event()
        self.sink = TtySink(self.slave)
        self.writer = TtyWriter(self.sink, on_lost=self.lost.append, on_behind=self.behind.set)

    def read(self, until: Callable[[bytes], object]) -> bytes:
        data = b""
        end = time.monotonic() + 10
        while not until(data):
            assert time.monotonic() < end, data[-200:]
            if select.select([self.master], [], [], 0.1)[0]:
                data += os.read(self.master, 65536)
        return data

    def fill(self) -> int:
        """Frames until one is dropped; returns how many were taken."""
        for n in range(1000):
            if not self.writer.frame(b"<%05d" % n + b"." * 8000 + b">"):
                return n
        raise AssertionError("nothing bounds what waits")


@pytest.fixture(params=["own descriptor", "shared descriptor"])
def pair(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    if request.param == "shared descriptor":
        monkeypatch.setattr(tty_writer, "_open_again", lambda fd: None)
    pair = Pair()
    assert pair.sink.shared == (request.param == "shared descriptor")
    yield pair
    if pair.master >= 0:
        os.close(pair.master)
    pair.writer.close()
    os.close(pair.slave)


def test_what_waits_is_bounded_and_frames_are_dropped_whole(pair: Pair) -> None:
    taken = pair.fill()
    assert pair.writer.pending <= MAX_PENDING
    assert pair.writer.dropped_frames == 1
    pair.writer.control(b"[mode]")
    data = pair.read(lambda data: data.endswith(b"[mode]"))
    assert re.fullmatch(rb"(?:<\d{5}\.{8000}>)*\[mode\]", data)
    assert [int(n) for n in re.findall(rb"<(\d+)", data)] == list(range(taken))


def test_after_a_drop_nothing_is_taken_until_the_owner_repaints(pair: Pair) -> None:
    pair.fill()
    assert not pair.behind.is_set()
    pair.read(lambda data: pair.behind.is_set())
    assert not pair.writer.frame(b"a change on a screen that nobody knows")
    pair.writer.repainting()
    assert pair.writer.frame(b"<whole>")
    assert pair.read(lambda data: data.endswith(b"<whole>"))


def test_a_frame_that_waits_too_long_stops_newer_ones(pair: Pair) -> None:
    while pair.writer.frame(b"x" * 4096) and pair.writer.pending < 64_000:
        pass
    time.sleep(LATE_S + 0.2)
    assert pair.writer.stalled_since is not None
    assert not pair.writer.frame(b"newer")


def test_the_last_words_of_a_stalled_screen_are_bounded_and_arrive(pair: Pair) -> None:
    pair.fill()
    time.sleep(LATE_S + 0.2)
    pair.writer.finish(b"[leave]", timeout=0.4)
    assert not pair.writer.frame(b"too late")
    data = pair.read(lambda data: data.endswith(b"[leave]"))
    assert data.endswith(END_STRING + b"[leave]")
    assert len(data) < MAX_PENDING, "old frames are thrown away"


def test_a_vanished_terminal_is_told_once_and_ends_the_thread(pair: Pair) -> None:
    pair.fill()
    os.close(pair.master)
    pair.master = -1
    end = time.monotonic() + 10
    while not pair.lost and time.monotonic() < end:
        pair.writer.frame(b"x")
        time.sleep(0.01)
    assert len(pair.lost) == 1
    assert not pair.writer.frame(b"x")
    assert not pair.writer.finish(b"y")
    assert pair.writer.close()


def test_the_thread_ends_also_when_the_terminal_reads_nothing() -> None:
    pair = Pair()
    pair.fill()
    assert pair.writer.close(timeout=5)
    os.close(pair.master)
    os.close(pair.slave)
