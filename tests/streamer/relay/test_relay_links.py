"""What a relay publishes when an upstream is lost, restored, another feed, or no feed at all."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from support.chaos import Proxy
from support.feed_kit import OpenFeed, frame, http, join
from support.present import present
from support.relay_kit import QUICK, OpenRelay, Viewer, make_relay, open_relay, quick, url_of
from support.until import until
from websockets.asyncio.server import ServerConnection, serve

from streamer.protocol.messages import Account, AccountUpdate
from streamer.service import Feed

__all__ = ["open_relay", "quick"]

pytestmark = pytest.mark.usefixtures("quick")


def alerts(relay: Any, code: str) -> list[dict[str, Any]]:
    found = []
    for state in relay.feed.state.each():
        found += [e for e in state.events if e["type"] == "RISK_ALERT" and e["code"] == code]
    return found


def seen(feed: Feed) -> list[dict[str, Any]]:
    return [event for event in feed.state.events if event["type"] == "X"]


async def test_events_that_the_upstream_no_longer_keeps_are_told_as_a_gap_with_numbers(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("bot.db", resume_events=300)
    relay = make_relay(tmp_path, feed.url)
    await relay.start()
    feed.publish({"type": "X", "n": 1})
    await until(lambda: seen(relay.feed))
    await relay.close()
    for n in range(2, 1001):
        feed.publish({"type": "X", "n": n})
    await until(lambda: feed.state.seq == 1000)
    again = make_relay(tmp_path, feed.url)
    await again.start()
    await until(lambda: again.upstreams[0].live)
    feed.publish({"type": "X", "n": 1001})
    await until(lambda: seen(again.feed) and seen(again.feed)[-1]["n"] == 1001)
    journal = again.feed.journal
    assert journal is not None
    raws = [json.loads(raw) for _, raw in await journal.read(0, 5000)]
    [gap] = [e for e in raws if e["type"] == "RISK_ALERT" and e["code"] == "GAP"]
    assert gap["value"] == 799.0
    assert "799 of the events 2 to 1000" in gap["text"]
    numbers = [event["n"] for event in raws if event["type"] == "X"]
    assert numbers == [1, *range(801, 1002)], "what the snapshot holds is told"
    assert again.upstreams[0].missing == 799
    origins = [event["origin"] for event in raws if event["type"] == "X"]
    assert len(origins) == len(set(origins)) == 202
    await again.close()


async def test_a_bot_that_begins_anew_is_told_and_followed(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed()
    relay = await open_relay(feed.url)
    port, first = feed.port, feed.state.epoch
    for n in range(1, 4):
        feed.publish({"type": "X", "n": n})
    await until(lambda: len(seen(relay.feed)) == 3)
    await feed.close()
    other = await open_feed(port=port)
    assert other.state.epoch != first
    other.publish({"type": "X", "n": 100})
    await until(lambda: len(seen(relay.feed)) == 4)
    [gap] = alerts(relay, "GAP")
    assert "new journal" in gap["text"]
    assert gap["value"] is None
    assert seen(relay.feed)[-1]["origin"] == f"{other.state.epoch}:1"


async def test_a_bot_that_begins_anew_while_the_relay_is_down_is_told_too(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed()
    relay = make_relay(tmp_path, feed.url)
    await relay.start()
    feed.publish({"type": "X", "n": 1})
    await until(lambda: seen(relay.feed))
    await relay.close()
    port = feed.port
    await feed.close()
    await open_feed(port=port)
    again = make_relay(tmp_path, url_of(port))
    await again.start()
    await until(lambda: alerts(again, "GAP"))
    assert "new journal" in alerts(again, "GAP")[0]["text"]
    await again.close()


async def test_a_lost_upstream_is_told_its_values_stay_and_the_others_go_on(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    gold = await open_feed("gold.db", bot="gold")
    silver = await open_feed("silver.db", bot="silver", heartbeat_s=0.1)
    for feed, login in ((gold, 1), (silver, 2)):
        feed.publish(AccountUpdate(account=Account(equity=100.0, login=login, server="S")))
        feed.publish({"type": "POSITION_UPDATE", "positions": [{"ticket": login}]})
        feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    await until(lambda: gold.state.terminal is not None and silver.state.terminal is not None)
    relay = await open_relay(gold.url, silver.url, heartbeat_s=0.1)
    viewer = await Viewer(relay.feed.url).start()
    await until(lambda: set(relay.feed.bots.names) == {"gold", "silver"})
    state = {name: relay.feed.state.of(name) for name in ("gold", "silver")}
    await until(lambda: all(s is not None and s.terminal for s in state.values()))
    port = gold.port
    await gold.close()
    await until(lambda: present(present(state["gold"]).terminal)["state"] == "disconnected")
    assert present(present(state["gold"]).terminal)["last_error"]["code"] == "UPSTREAM_LOST"
    assert present(state["gold"]).positions == [{"ticket": 1}], "the last values stay"
    assert present(present(state["silver"]).terminal)["state"] == "connected"
    [told] = [e for e in alerts(relay, "UPSTREAM") if e["level"] == "critical"]
    assert told["bot"] == "gold"
    await until(lambda: "gold" in (viewer.beats[-1]["bots"] if viewer.beats else {}))
    await until(lambda: viewer.beats[-1]["bots"]["gold"]["lost"] is not None)
    assert viewer.beats[-1]["bots"]["silver"]["lost"] is None
    status, _, body = await http(relay.feed, "/api/health")
    report = json.loads(body)["checks"]
    assert status == 200, "one of two"
    assert report[f"upstream 127.0.0.1:{port}"]["status"] == "degraded"
    assert report[f"upstream 127.0.0.1:{port}"]["age_s"] > 0
    assert report[f"upstream 127.0.0.1:{silver.port}"]["status"] == "ok"
    silver.publish({"type": "X", "n": 1})
    await until(lambda: any(e["type"] == "X" for e in present(state["silver"]).events))
    back = await open_feed("gold.db", bot="gold", port=port)
    back.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    back.publish({"type": "X", "n": 2})
    await until(lambda: present(present(state["gold"]).terminal)["state"] == "connected")
    await until(lambda: any(e["type"] == "X" for e in present(state["gold"]).events))
    assert [e for e in alerts(relay, "UPSTREAM") if e["level"] == "info"]
    assert not alerts(relay, "GAP")
    await viewer.client.close()


async def test_the_terminals_word_is_told_again_when_only_the_link_was_gone(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db")
    feed.publish({"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"})
    proxy = Proxy(feed.port)
    await proxy.start()
    relay = await open_relay(url_of(proxy.port))
    state = relay.feed.state
    await until(lambda: state.terminal is not None)
    proxy._target = 1  # no program listens there
    proxy.cut(1.0)
    await until(lambda: present(state.terminal)["state"] == "disconnected")
    proxy._target = feed.port
    await until(lambda: present(state.terminal)["state"] == "connected")
    await asyncio.sleep(0.1)
    told = [e for e in state.events if e["type"] == "TERMINAL_STATUS"]
    assert [e["state"] for e in told] == ["connected", "disconnected", "connected"]
    assert "origin" not in told[-1], "the relay says it again itself"
    await proxy.close()


async def test_old_data_is_not_made_young(open_feed: OpenFeed, open_relay: OpenRelay) -> None:
    feed = await open_feed("bot.db", heartbeat_s=0.1)
    feed.publish(AccountUpdate(account=Account(balance=3.0)))
    feed.state.updated["account"] -= 60.0  # the terminal fell silent a minute ago
    relay = await open_relay(feed.url, heartbeat_s=0.1)
    await until(lambda: (relay.upstreams[0].data_age_s or 0) > 50)
    assert time.monotonic() - relay.feed.state.updated["account"] > 50
    viewer = await Viewer(relay.feed.url).start()
    await until(lambda: viewer.beats)
    assert viewer.beats[-1]["data_age_s"] > 50
    check = relay.feed.health.report()["checks"][f"upstream 127.0.0.1:{feed.port}"]
    assert check["status"] == "degraded"
    assert "old" in check["text"]
    await viewer.client.close()


async def test_a_relay_of_itself_is_refused_in_words(open_feed: OpenFeed, tmp_path: Path) -> None:
    feed = await open_feed(port=0)
    port = feed.port
    await feed.close()
    relay = make_relay(tmp_path, url_of(port), port=port)
    await relay.start()
    await until(lambda: relay.upstreams[0].refused_reason)
    assert "this relay's own events" in str(relay.upstreams[0].refused_reason)
    assert relay.ended.is_set()
    await relay.close()


async def test_a_loop_through_another_relay_is_refused_and_the_bot_goes_on(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    bot = await open_feed("bot.db")
    holder = await open_feed()
    port = holder.port
    await holder.close()
    near = make_relay(tmp_path, bot.url, url_of(port), journal="near.db")
    await near.start()
    far = make_relay(tmp_path, near.feed.url, journal="far.db", port=port)
    await far.start()
    await until(lambda: near.upstreams[1].refused_reason or far.upstreams[0].refused_reason)
    words = str(near.upstreams[1].refused_reason or far.upstreams[0].refused_reason)
    assert "loop" in words or "this relay" in words
    bot.publish({"type": "X", "n": 1})
    await until(lambda: seen(near.feed))
    await asyncio.sleep(0.2)
    assert len(seen(near.feed)) == 1, "and nothing goes round"
    await far.close()
    await near.close()


async def test_two_ways_to_one_feed_are_one_too_many(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    bot = await open_feed("bot.db")
    near = await open_relay(bot.url, journal="near.db")
    both = await open_relay(bot.url, near.feed.url, journal="both.db", wait=False)
    await until(lambda: any(u.refused_reason for u in both.upstreams))
    [refused] = [u for u in both.upstreams if u.refused_reason]
    assert "one way to it is enough" in str(refused.refused_reason)
    bot.publish({"type": "X", "n": 1})
    await until(lambda: seen(both.feed))
    await asyncio.sleep(0.2)
    assert len(seen(both.feed)) == 1
    assert both.feed.bots.names == ["main"]


async def test_bots_of_the_same_name_are_told_apart(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    one, two = await open_feed("one.db"), await open_feed("two.db")
    relay = await open_relay(one.url, two.url)
    second = f"main@127.0.0.1:{two.port}"
    assert relay.feed.bots.names == ["main", second]
    one.publish({"type": "X", "n": 1})
    two.publish({"type": "X", "n": 2})
    viewer = await Viewer(relay.feed.url, since=f"{relay.feed.state.epoch}:0").start()
    await until(lambda: len(viewer.of("X")) == 2)
    assert {e["bot"]: e["n"] for e in viewer.of("X")} == {"main": 1, second: 2}
    legacy = await join(relay.feed, legacy=True)
    snapshot = await frame(legacy)
    lines = [e for e in snapshot["data"]["events"] if e["type"] == "X"]
    assert [e["n"] for e in lines] == [1], "an old dashboard sees one bot"
    await legacy.close()
    await viewer.client.close()


async def test_a_server_without_numbers_is_refused_in_words(open_relay: OpenRelay) -> None:
    async def old(ws: ServerConnection) -> None:
        await ws.send(json.dumps({"type": "STATE_SNAPSHOT", "data": {"events": []}}))
        await ws.wait_closed()

    async with serve(old, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        relay = await open_relay(url_of(port), wait=False)
        await until(lambda: relay.upstreams[0].refused_reason)
        assert "old protocol" in str(relay.upstreams[0].refused_reason)


async def test_a_wrong_token_is_told_and_ends_the_relay(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed(require_token=True)
    relay = await open_relay(feed.url, tokens=["wrong"], wait=False)
    await until(lambda: relay.ended.is_set())
    assert "4501" in str(relay.upstreams[0].refused_reason)
    assert relay.feed.health.report()["status"] == "down"


async def test_a_feed_that_is_not_there_yet_is_waited_for(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    holder = await open_feed()
    port = holder.port
    await holder.close()
    relay = await open_relay(url_of(port), wait=False)
    await until(lambda: alerts(relay, "UPSTREAM"))
    feed = await open_feed("bot.db", port=port)
    feed.publish({"type": "X", "n": 1})
    await until(lambda: seen(relay.feed))
    assert not relay.ended.is_set()


async def test_history_from_before_the_relay_is_taken_over(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db")
    trade = {"type": "TRADE_EXECUTION", "symbol": "EURUSD", "direction": "BUY", "price": 1.1}
    for n in range(20):
        feed.publish({**trade, "lot": n + 1})
    for n in range(300):  # the trades leave the log, not the list of trades
        feed.publish({"type": "X", "n": n})
    for second in range(0, 60, 5):
        stamp = f"2026-03-02T10:00:{second:02d}.000+00:00"
        account = {"equity": 100.0 + second}
        feed.publish({"type": "ACCOUNT_UPDATE", "account": account, "timestamp": stamp})
    await until(lambda: feed.state.seq == 320)
    relay = await open_relay(feed.url)
    state = relay.feed.state
    await until(lambda: len(state.recent_trades) == 20)
    assert [t["lot"] for t in state.recent_trades] == list(range(20, 0, -1))
    assert state.recent_trades[0]["origin"] == f"{feed.state.epoch}:20"
    assert state.equity == feed.state.equity
    async with await join(relay.feed) as ws:
        data = (await frame(ws))["data"]
    assert len(data["recent_trades"]) == 20
    assert data["equity"] == feed.state.equity


async def test_a_restarted_relay_shows_the_last_values_with_their_age_until_its_upstream_is_back(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    feed = await open_feed("bot.db")
    relay = make_relay(tmp_path, feed.url)
    await relay.start()
    feed.publish(AccountUpdate(account=Account(equity=5.0)))
    feed.publish({"type": "POSITION_UPDATE", "positions": [{"ticket": 1}]})
    await until(lambda: relay.feed.state.positions)
    await relay.close()
    await feed.close()
    await asyncio.sleep(0.5)
    again = make_relay(tmp_path, feed.url, heartbeat_s=0.1)
    await again.start()
    async with await join(again.feed) as ws:
        data = (await frame(ws))["data"]
    assert data["positions"] == [{"ticket": 1}], "not told as flat"
    assert data["account"]["equity"] == 5.0
    viewer = await Viewer(again.feed.url).start()
    await until(lambda: viewer.beats)
    assert viewer.beats[0]["bots"]["main"]["data_age_s"] >= 0.5
    state = again.feed.state
    await until(lambda: state.terminal is not None)
    assert present(state.terminal)["state"] == "disconnected"
    assert present(state.terminal)["last_error"]["code"] == "UPSTREAM_LOST"
    await viewer.client.close()
    await again.close()


async def test_a_bots_name_stays_its_own_when_the_relay_starts_without_the_other(
    open_feed: OpenFeed, tmp_path: Path
) -> None:
    timings = dataclasses.replace(QUICK, naming_s=0.2)
    one, two = await open_feed("one.db"), await open_feed("two.db")
    urls = (one.url, two.url)
    second = f"main@127.0.0.1:{two.port}"
    relay = make_relay(tmp_path, *urls, timings=timings)
    await relay.start()
    one.publish({"type": "X", "n": 1})
    two.publish({"type": "X", "n": 2})
    await until(lambda: sum(upstream.published for upstream in relay.upstreams) == 2)
    await relay.close()
    port = one.port
    await one.close()
    again = make_relay(tmp_path, *urls, timings=timings)
    await again.start()
    await until(lambda: again.upstreams[1].live)
    assert again.upstreams[1].bots == {"main": second}, "not the name of the one that is away"
    two.publish({"type": "X", "n": 3})
    back = await open_feed("one.db", port=port)
    back.publish({"type": "X", "n": 4})
    await until(lambda: again.upstreams[0].published == 1 and again.upstreams[1].published == 1)
    assert again.upstreams[0].bots == {"main": "main"}
    journal = again.feed.journal
    assert journal is not None
    await until(lambda: again.feed.waiting == 0)
    raws = [json.loads(raw) for _, raw in await journal.read(0, 100)]
    told = {event["n"]: event["bot"] for event in raws if event["type"] == "X"}
    assert told == {1: "main", 2: second, 3: second, 4: "main"}
    await again.close()


async def test_a_bot_that_there_is_no_room_for_costs_only_itself(
    open_feed: OpenFeed, open_relay: OpenRelay
) -> None:
    feed = await open_feed("bot.db", bot="gold")
    relay = await open_relay(feed.url, max_bots=1)
    for n in range(50):
        feed.publish({"type": "X", "n": n}, bot="silver")
    feed.publish({"type": "X", "n": 100})
    await until(lambda: seen(relay.feed))
    assert [event["n"] for event in seen(relay.feed)] == [100]
    [gap] = alerts(relay, "GAP")
    assert "max_bots" in gap["text"], "told once, not fifty times"
    assert relay.upstreams[0].missing == 50
    assert relay.upstreams[0].live


async def test_events_missed_while_a_relay_was_moved_behind_another_are_told(
    open_feed: OpenFeed, open_relay: OpenRelay, tmp_path: Path
) -> None:
    feed = await open_feed("bot.db")
    direct = make_relay(tmp_path, feed.url, journal="moved.db")
    await direct.start()
    feed.publish({"type": "X", "n": 1})
    await until(lambda: seen(direct.feed))
    await direct.close()
    near = await open_relay(feed.url, journal="near.db")
    for n in range(2, 501):
        feed.publish({"type": "X", "n": n})
    await until(lambda: near.upstreams[0].published == 500)
    await until(lambda: near.feed.waiting == 0)
    moved = make_relay(tmp_path, near.feed.url, journal="moved.db")
    await moved.start()
    await until(lambda: moved.upstreams[0].live)
    feed.publish({"type": "X", "n": 501})
    await until(lambda: seen(moved.feed) and seen(moved.feed)[-1]["n"] == 501)
    journal = moved.feed.journal
    assert journal is not None
    raws = [json.loads(raw) for _, raw in await journal.read(0, 5000)]
    numbers = [event["n"] for event in raws if event["type"] == "X"]
    assert numbers == sorted(set(numbers)), "none twice"
    [gap] = [e for e in raws if e["type"] == "RISK_ALERT" and e["code"] == "GAP"]
    assert gap["value"] == 501 - len(numbers)
    assert moved.upstreams[0].missing == 501 - len(numbers) > 0
    await moved.close()
