"""Commands through ``FeedClient`` and ``mt5dash cmd``: the question, and answers that are lost."""

from __future__ import annotations

import asyncio
import socket

from support.feed_kit import OpenFeed
from support.until import until

from streamer.client.feed_client import FeedClient
from streamer.protocol.messages import Command, CommandResult, Confirm
from streamer.service import Feed
from tui.cli.cmd import run_command


async def acting(feed: Feed) -> list[str]:
    done: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(command.name)
        return CommandResult(id=command.id, ok=True, result={"n": len(done)})

    feed.set_commander(act)
    return done


async def live(client: FeedClient) -> FeedClient:
    await until(lambda: client.link.state == "live" and client.state.epoch)
    return client


async def test_a_client_without_an_answer_gets_the_question_and_does_nothing(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    done = await acting(feed)
    token, _ = feed.tokens.new("control")
    async with FeedClient(feed.url, token=token) as client:
        await live(client)
        result = await client.command("flatten")
        assert result.error is not None
        assert result.error.code == "CONFIRM"
        assert isinstance(result.confirm, Confirm)
    assert done == []


async def test_a_client_answers_yes_or_no(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    done = await acting(feed)
    token, _ = feed.tokens.new("control")
    asked: list[str] = []
    answer = False

    async def confirm(question: Confirm) -> bool:
        asked.append(question.text)
        return answer

    async with FeedClient(feed.url, token=token, confirm=confirm) as client:
        await live(client)
        refused = await client.command("flatten", {"symbol": "EURUSD"})
        assert refused.error is not None
        assert refused.error.code == "NOT_CONFIRMED"
        assert done == []
        answer = True
        assert (await client.command("flatten", {"symbol": "EURUSD"})).ok
        assert (await client.command("pause")).ok
    assert asked == ["closes 0 positions and cancels 0 pending orders"] * 2
    assert done == ["flatten", "pause"]


async def test_a_lost_answer_is_asked_for_again_and_the_command_acts_once(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed("j.db")
    token, _ = feed.tokens.new("control")
    done: list[str] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append(command.name)
        for connection in list(feed.endpoint.connections):
            connection.transport.abort()
        await asyncio.sleep(0.05)
        return CommandResult(id=command.id, ok=True, result={"price": 1.5})

    feed.set_commander(act)

    async def yes(question: Confirm) -> bool:
        return True

    for name in ("scan_now", "flatten"):
        result = await run_command(feed.url, token, name, {}, f"id-{name}", yes)
        assert (result.ok, result.result) == (True, {"price": 1.5})
    assert done == ["scan_now", "flatten"]


async def test_a_feed_that_is_not_there_or_refuses_is_told_and_nothing_was_sent(
    open_feed: OpenFeed,
) -> None:
    feed = await open_feed()
    done = await acting(feed)
    view, _ = feed.tokens.new("view")

    async def yes(question: Confirm) -> bool:
        return True

    for token, code in (("wrong", "NOT_CONNECTED"), (view, "ROLE")):
        result = await run_command(feed.url, token, "flatten", {}, "a", yes)
        assert result.error is not None
        assert result.error.code == code
    assert done == []


async def test_no_frame_waits_for_the_clients_word_on_the_one_before(open_feed: OpenFeed) -> None:
    """A result follows its audit at once: with Nagle's algorithm it came some 40 ms later."""
    feed = await open_feed()
    async with FeedClient(feed.url) as client:
        await live(client)
        [connection] = feed.endpoint.connections
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
