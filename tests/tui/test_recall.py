"""What a run finds in the journal of the run before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from streamer.access import TokenStore
from streamer.feed import Feed
from streamer.journal import Journal, JournalError
from streamer.protocol import BotStatus, Reason, RiskMemory
from streamer.settings import FeedSettings
from tui.recall import halted, recall


def status(state: str, code: str = "", text: str = "") -> dict[str, Any]:
    reason = {"code": code, "text": text} if code else None
    return {"type": "BOT_STATUS", "state": state, "reason": reason}


def audit(name: str, state: str, ok: bool | None, **args: Any) -> dict[str, Any]:
    return {"type": "COMMAND_AUDIT", "name": name, "state": state, "ok": ok, "args": args}


ON = status("halted", "KILL_SWITCH", "enough")
OFF = status("waiting")


@pytest.mark.parametrize(
    ("oldest_first", "found"),
    [
        ([], None),
        ([OFF], None),
        ([OFF, ON], "enough"),
        ([ON, OFF], None),
        ([ON, status("stopped", "KILL_SWITCH", "enough")], "enough"),
        ([status("halted", "DRAWDOWN", "deep")], None),
        ([OFF, audit("halt", "given", None, reason="fire")], "fire"),
        ([OFF, audit("halt", "given", None)], "halted by the operator"),
        ([OFF, audit("halt", "given", None), audit("halt", "done", True)], "halted by the operator"),
        ([OFF, audit("halt", "done", False, flatten=True)], "halted by the operator"),
        ([OFF, audit("halt", "refused", False)], None),
        ([OFF, audit("halt", "done", False) | {"error": {"code": "OBSERVE"}}], None),
        ([OFF, audit("halt", "done", False) | {"error": {"code": "NOT_FLAT"}}],
         "halted by the operator"),
        ([ON, audit("release", "given", None)], "enough"),
        ([ON, audit("release", "done", True)], None),
        ([ON, audit("pause", "done", True)], "enough"),
    ],
)  # fmt: skip
def test_the_kill_switch_is_as_it_was_last(oldest_first: list[Any], found: str | None) -> None:
    assert halted(reversed(oldest_first)) == found


async def test_a_journal_gives_back_what_was_told_in_it(tmp_path: Path) -> None:
    memory = RiskMemory(login=5, server="S", peak_equity=12_000.0, drawdown_hit=True, loss_day=9)

    async def opened() -> tuple[Feed, Journal]:
        journal = Journal(tmp_path / "j.db")
        feed = Feed(FeedSettings(port=0), journal, tokens=TokenStore(tmp_path / "t.json"))
        await feed.start()
        return feed, journal

    feed, journal = await opened()
    assert await recall(journal) == (None, None)
    reason = Reason(code="KILL_SWITCH", text="enough")
    feed.publish(BotStatus(state="halted", reason=reason, risk=memory))
    feed.publish(BotStatus(state="stopped", reason=reason))
    await feed.close()
    feed, journal = await opened()
    assert await recall(journal) == ("enough", memory)
    await feed.close()


async def test_a_journal_that_cannot_be_read_releases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise JournalError("disk gone")

    journal = Journal(tmp_path / "j.db")
    monkeypatch.setattr(journal, "query", broken)
    why, memory = await recall(journal)
    assert why is not None
    assert "release it once you have looked" in why
    assert memory is None
