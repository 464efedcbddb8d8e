"""Commands and the journal: written before they act, known after a restart, done once."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.feed_kit import OpenFeed

from streamer.feed import dispatcher as commands
from streamer.journal.writer import Journal
from streamer.protocol.messages import Command, CommandResult
from streamer.service import Feed
from streamer.settings import FeedSettings


def rows(path: Path) -> list[str]:
    with sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True) as db:
        found = db.execute("SELECT json_extract(body, '$.state') FROM ev ORDER BY seq").fetchall()
    db.close()
    return [row[0] for row in found]


async def test_a_command_is_on_disk_before_it_acts_and_its_result_after(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("j.db")
    seen: list[list[str]] = []

    async def act(command: Command, actor: str) -> CommandResult:
        seen.append(await asyncio.to_thread(rows, tmp_path / "j.db"))
        return CommandResult(id=command.id, ok=True, result={"price": 1.5})

    feed.set_commander(act)
    assert (await feed.command("close_position", {"ticket": 5}, id="a")).ok
    await feed.close()
    assert seen == [["given"]]
    assert rows(tmp_path / "j.db") == ["given", "done"]


async def test_a_result_is_known_after_a_restart_and_the_id_acts_no_more(
    open_feed: OpenFeed,
) -> None:
    done: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(command.id)
        if command.args["ticket"] == 6:
            return commands.refusal(command.id, "REJECTED", "market closed")
        return CommandResult(id=command.id, ok=True, result={"price": 1.5})

    first = await open_feed("j.db")
    first.set_commander(act)
    told = [await first.command("close_position", {"ticket": n}, id=f"c{n}") for n in (5, 6)]
    await first.command("close_position", {"ticket": 5, "lots": 1}, id="wrong")
    await first.close()
    again = await open_feed("j.db")
    again.set_commander(act)
    for n, result in zip((5, 6), told, strict=True):
        assert await again.command("close_position", {"ticket": n}, id=f"c{n}") == result
    changed = await again.command("close_position", {"ticket": 7}, id="c5")
    assert changed.error is not None
    assert changed.error.code == "ID_REUSED"
    assert done == ["c5", "c6"]
    assert (await again.command("close_position", {"ticket": 5}, id="wrong")).ok


async def test_what_was_cut_off_in_the_middle_is_unknown_after_a_restart_and_not_done_again(
    open_feed: OpenFeed,
) -> None:
    begun = asyncio.Event()
    done: list[str] = []

    async def hang(command: Command, actor: str) -> CommandResult:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    first = await open_feed("j.db")
    first.set_commander(hang)
    asking = asyncio.create_task(first.command("flatten", id="a"))
    await begun.wait()
    await first.close()
    asking.cancel()

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(command.id)
        return CommandResult(id=command.id, ok=True)

    again = await open_feed("j.db")
    again.set_commander(act)
    result = await again.command("flatten", id="a")
    assert result.error is not None
    assert result.error.code == "OUTCOME_UNKNOWN"
    assert "positions" in result.error.message
    assert done == []


async def test_old_ids_are_found_behind_many_other_events(
    open_feed: OpenFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "RANGE", 500)

    async def act(command: Command, actor: str) -> CommandResult:
        return CommandResult(id=command.id, ok=True, result={"n": 1})

    first = await open_feed("j.db")
    first.set_commander(act)
    result = await first.command("pause", id="old")
    for n in range(3000):
        first.publish({"type": "NOISE", "n": n})
    await first.close()
    again = await open_feed("j.db")
    again.set_commander(None)
    assert await again.command("pause", id="old") == result


async def test_without_a_journal_that_writes_only_what_spares_risk_is_done(
    open_feed: OpenFeed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "COMMIT_DEADLINE_S", 0.1)
    feed = await open_feed("j.db")
    done: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(command.name)
        return CommandResult(id=command.id, ok=True)

    feed.set_commander(act)
    # Another program holds the file: SQLite's writers wait for one another.
    holder = sqlite3.connect(tmp_path / "j.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        refused = await feed.command("resume", id="r")
        assert refused.error is not None
        assert refused.error.code == "JOURNAL"
        assert (await feed.command("halt", id="h")).ok
        assert (await feed.command("close_position", {"ticket": 1}, id="c")).ok
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert done == ["halt", "close_position"]
    await feed.close()
    with sqlite3.connect(f"{(tmp_path / 'j.db').as_uri()}?mode=ro", uri=True) as db:
        kept = db.execute("SELECT json_extract(body, '$.id') FROM ev ORDER BY seq").fetchall()
    db.close()
    assert [row[0] for row in kept] == ["r", "r", "h", "h", "c", "c"], "written once it can be"


class OneEffect(RuleBasedStateMachine):
    """Commands given, repeated and changed while the feed is restarted in between."""

    def __init__(self) -> None:
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.loop = asyncio.new_event_loop()
        self.effects: list[tuple[str, int]] = []
        self.first: dict[str, tuple[int, CommandResult]] = {}
        self.feed: Feed
        self.loop.run_until_complete(self.open())

    async def open(self) -> None:
        journal = Journal(Path(self.folder.name) / "j.db")
        self.feed = Feed(
            FeedSettings(port=0, tokens_file=Path(self.folder.name) / "t.json"), journal
        )
        await self.feed.start()
        self.feed.set_commander(self.act)

    async def act(self, command: Command, actor: str) -> CommandResult:
        ticket = command.args["ticket"]
        self.effects.append((command.id, ticket))
        await asyncio.sleep(0)
        if ticket == 3:
            return commands.refusal(command.id, "REJECTED", "no")
        return CommandResult(id=command.id, ok=True, result={"n": len(self.effects)})

    @rule(
        id=st.sampled_from("abcd"),
        ticket=st.integers(1, 3),
        session=st.sampled_from([None, "x", "y"]),
        times=st.integers(1, 3),
    )
    def give(self, id: str, ticket: int, session: str | None, times: int) -> None:
        command = Command(id=id, name="close_position", args={"ticket": ticket})

        async def all_of_them() -> list[CommandResult]:
            return await asyncio.gather(
                *(self.feed.execute(command, "tester", session=session) for _ in range(times))
            )

        for result in self.loop.run_until_complete(all_of_them()):
            known = self.first.setdefault(id, (ticket, result))
            if known[0] == ticket:
                assert result == known[1]
            else:
                assert result.error is not None
                assert result.error.code == "ID_REUSED"

    @rule()
    def restart(self) -> None:
        async def again() -> None:
            await self.feed.close()
            await self.open()

        self.loop.run_until_complete(again())

    @invariant()
    def one_effect_per_id(self) -> Any:
        ids = [id for id, _ in self.effects]
        assert len(ids) == len(set(ids))
        assert dict(self.effects) == {id: ticket for id, (ticket, _) in self.first.items()}

    def teardown(self) -> None:
        self.loop.run_until_complete(self.feed.close())
        self.loop.close()
        self.folder.cleanup()


OneEffect.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOneEffect = OneEffect.TestCase
