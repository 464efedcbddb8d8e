"""A relay whose upstream is a backbone: a file, this process's memory, a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.backbone_kit import Broker
from support.feed_kit import OpenFeed, frame_of, join
from support.relay_kit import Viewer, make_relay, quick
from support.until import until

from streamer.backbone import memory as backbone_memory
from streamer.backbone.publisher import BackbonePublisher
from streamer.backbone.settings import BackboneSettings
from streamer.protocol.messages import Account, AccountUpdate

__all__ = ["quick"]

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "redis":
        broker = Broker(tmp_path / "redis")
        await asyncio.to_thread(broker.start)
        yield f"{broker.url}?stream=desk"
        await asyncio.to_thread(broker.kill)
    elif request.param == "sqlite":
        yield f"sqlite:{tmp_path / 'stream.db'}"
    else:
        yield f"memory:{tmp_path.name}"
        backbone_memory.delete_stream(tmp_path.name)


async def test_a_relay_reads_a_backbone_and_goes_on_after_a_restart(
    open_feed: OpenFeed, tmp_path: Path, address: str
) -> None:
    feed = await open_feed("bot.db", bot="gold")
    backbone = BackbonePublisher(feed, BackboneSettings(url=SecretStr(address)))
    await backbone.start()
    relay = make_relay(tmp_path, address)
    await relay.start()
    try:
        await until(lambda: relay.upstreams[0].live)
        viewer = await Viewer(relay.feed.url, since=f"{relay.feed.state.epoch}:0").start()
        feed.publish(AccountUpdate(account=Account(equity=7.0)))
        for n in range(1, 101):
            feed.publish({"type": "X", "n": n})
        await until(lambda: len(viewer.of("X")) == 100)
        state = relay.feed.state
        await until(lambda: state.account.get("equity") == 7.0)
        token, _ = relay.feed.tokens.new("control")
        async with await join(relay.feed, token=token) as ws:
            await ws.send('{"type":"COMMAND","id":"a","name":"pause","args":{}}')
            answer = await frame_of(ws, "COMMAND_RESULT")
        assert answer["error"]["code"] == "READ_ONLY"
        port = relay.feed.port
        await relay.close()
        for n in range(101, 301):
            feed.publish({"type": "X", "n": n})
        relay = make_relay(tmp_path, address, port=port)
        await relay.start()
        await until(lambda: len(viewer.of("X")) == 300)
        assert viewer.numbers() == list(range(1, 301))
        assert [e["origin"] for e in viewer.of("X")][-1] == f"{feed.state.epoch}:300"
        assert {e["bot"] for e in viewer.of("X")} == {"gold"}
        assert viewer.client.gaps == 0
        assert relay.upstreams[0].missing == 0
        await viewer.client.close()
    finally:
        await relay.close()
        await backbone.close()
