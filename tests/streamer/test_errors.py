"""One root for our exceptions, one class for pauses, one for callbacks."""

from __future__ import annotations

import importlib
import logging
import pkgutil

import pytest

from streamer.backoff import Backoff
from streamer.errors import FAILED, IN_USE, USAGE, Mt5dashError
from streamer.journal.schema import JournalLocked
from streamer.protocol.codec import EventRefused
from streamer.server.ports import PortTaken
from streamer.state.watchers import Watchers


def our_exceptions(package: str) -> list[type[BaseException]]:
    """All exception classes that a package's modules define."""
    root = importlib.import_module(package)
    names = [m.name for m in pkgutil.walk_packages(root.__path__, package + ".")]
    return [
        thing
        for name in names
        for thing in vars(importlib.import_module(name)).values()
        if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__ == name
    ]


@pytest.mark.parametrize("package", ["streamer"])
def test_every_exception_of_ours_has_the_one_root_and_an_exit_code(package: str) -> None:
    classes = our_exceptions(package)
    assert len(classes) > 10
    assert [c.__name__ for c in classes if not issubclass(c, Mt5dashError)] == []
    for found in classes:
        assert found.exit_code in (FAILED, USAGE, IN_USE)  # type: ignore[attr-defined]


def test_an_error_is_also_the_built_in_one_that_it_means() -> None:
    taken = PortTaken(98, "port 8000 is taken")
    assert isinstance(taken, OSError)
    assert taken.errno == 98
    assert str(taken) == "[Errno 98] port 8000 is taken"
    assert isinstance(EventRefused("no"), ValueError)
    assert JournalLocked("held").exit_code == IN_USE


def test_a_hint_is_beside_the_text() -> None:
    error = EventRefused("it is too large", hint="send less")
    assert (str(error), error.hint) == ("it is too large", "send less")
    assert EventRefused("it is too large").hint == ""


def test_pauses_grow_up_to_the_longest_and_begin_again_after_a_reset() -> None:
    exact = Backoff(0.5, 3.0, jitter=None)
    assert [exact.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    exact.reset()
    assert exact.next() == 0.5
    slow = Backoff(0.2, 3.0, jitter=None, factor=1.5)
    assert [round(slow.next(), 3) for _ in range(3)] == [0.2, 0.3, 0.45]


def test_pauses_are_spread_so_that_many_clients_do_not_return_together() -> None:
    pauses = [Backoff(1.0, 8.0).next() for _ in range(500)]
    assert 0.5 <= min(pauses) < 0.6
    assert 1.4 < max(pauses) <= 1.5


def test_a_watcher_that_fails_or_leaves_costs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    watchers: Watchers[int] = Watchers("the test", logging.getLogger("test"))
    seen: list[tuple[str, int]] = []

    def failing(value: int) -> None:
        raise RuntimeError("broken")

    stop_first = watchers.add(lambda value: seen.append(("first", value)))
    watchers.add(failing)

    def leaving(value: int) -> None:
        seen.append(("leaving", value))
        stop()
        watchers.add(lambda value: seen.append(("late", value)))

    stop = watchers.add(leaving)
    watchers.notify(1)
    assert seen == [("first", 1), ("leaving", 1)]
    assert "a watcher of the test failed" in caplog.text
    stop_first()
    stop_first()
    watchers.notify(2)
    assert seen[2:] == [("late", 2)]
    assert len(watchers) == 2


def test_the_same_callback_may_watch_twice_and_each_ends_for_itself() -> None:
    watchers: Watchers[int] = Watchers("the test", logging.getLogger("test"))
    seen: list[int] = []
    first, second = watchers.add(seen.append), watchers.add(seen.append)
    first()
    first()
    watchers.notify(1)
    assert seen == [1]
    second()
    watchers.notify(2)
    assert seen == [1]
