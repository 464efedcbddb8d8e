"""What a run finds in the journal of the run before it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from streamer.journal.writer import Journal, JournalError
from streamer.protocol.messages import BotStatus, Reason, RiskMemory
from streamer.server.tokens import TokenStore
from streamer.service import Feed
from streamer.settings import FeedSettings
from tui.run.restart_state import halted, read_restart_state


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
    assert await read_restart_state(journal, "main") == (None, None)
    reason = Reason(code="KILL_SWITCH", text="enough")
    feed.publish(BotStatus(state="halted", reason=reason, risk=memory))
    feed.publish(BotStatus(state="stopped", reason=reason))
    await feed.close()
    feed, journal = await opened()
    assert await read_restart_state(journal, "main") == ("enough", memory)
    await feed.close()


async def test_another_bots_word_neither_halts_nor_releases_this_one(tmp_path: Path) -> None:
    async def opened(bot: str) -> tuple[Feed, Journal]:
        journal = Journal(tmp_path / "j.db")
        store = TokenStore(tmp_path / "t.json")
        feed = Feed(FeedSettings(port=0, bot=bot), journal, tokens=store)
        await feed.start()
        return feed, journal

    feed, journal = await opened("main")
    memory = RiskMemory(login=5, server="S", peak_equity=9.0)
    reason = Reason(code="KILL_SWITCH", text="enough")
    feed.publish(BotStatus(state="halted", reason=reason, risk=memory))
    for _ in range(450):  # more than are looked through
        feed.publish(BotStatus(state="waiting"), bot="beta")
    other = Reason(code="KILL_SWITCH", text="beta's own affair")
    feed.publish(BotStatus(state="halted", reason=other), bot="gamma")
    await feed.close()
    feed, journal = await opened("main")
    assert await read_restart_state(journal, "main") == ("enough", memory)
    assert (await read_restart_state(journal, "beta"))[0] is None
    assert (await read_restart_state(journal, "gamma"))[0] == "beta's own affair"
    await feed.close()


async def test_a_bot_that_gets_another_name_stays_halted(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.db")
    feed = Feed(FeedSettings(port=0), journal, tokens=TokenStore(tmp_path / "t.json"))
    await feed.start()
    memory = RiskMemory(login=5, server="S", peak_equity=9.0)
    reason = Reason(code="KILL_SWITCH", text="enough")
    feed.publish(BotStatus(state="halted", reason=reason, risk=memory))
    while feed.waiting:
        await asyncio.sleep(0.01)
    why, known = await read_restart_state(journal, "renamed")
    assert why == "enough (by main, before this bot had its name)"
    assert known == memory
    await feed.close()


async def test_a_journal_that_cannot_be_read_releases_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise JournalError("disk gone")

    journal = Journal(tmp_path / "j.db")
    monkeypatch.setattr(journal, "query", broken)
    why, memory = await read_restart_state(journal, "main")
    assert why is not None
    assert "release it once you have looked" in why
    assert memory is None
