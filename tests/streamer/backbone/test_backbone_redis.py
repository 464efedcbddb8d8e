"""A real broker that hangs, dies, forgets, fills up, asks for a password and speaks TLS."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import needs
from support.backbone_kit import Broker, Node, SmallFeed
from support.paths import ROOT
from support.until import until

from streamer.backbone.address import open_store
from streamer.backbone.model import Store
from streamer.backbone.redis import RedisStore


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    made: list[Broker] = []

    def start(*options: str, keeps: bool = True) -> Broker:
        broker = Broker(tmp_path / f"redis-{len(made)}", *options, keeps=keeps)
        made.append(broker)
        broker.start()
        return broker

    yield start
    for broker in made:
        broker.kill()


Pair = Callable[..., Awaitable[tuple[SmallFeed, Node]]]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A feed and a node that has read from its first event on."""
    feeds: list[SmallFeed] = []
    nodes: list[Node] = []

    async def join(write: Store, read: Store, **options: Any) -> tuple[SmallFeed, Node]:
        bot = await SmallFeed(write, **options).start()
        feeds.append(bot)
        node = Node(read, ("E", 0))
        nodes.append(node)
        return bot, node

    yield join
    for node in nodes:
        await node.close()
    for bot in feeds:
        await bot.writer.close(0.3)


async def pour(bot: SmallFeed, seconds: float, rate: int = 500) -> None:
    """Publish steadily."""
    loop = asyncio.get_running_loop()
    begun, first = loop.time(), bot.seq
    while (past := loop.time() - begun) < seconds:
        bot.publish(int(past * rate) - (bot.seq - first))
        await asyncio.sleep(0.002)


async def test_a_broker_that_hangs_gets_everything_after_in_order_and_once(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    broker = brokers()

    def impatient() -> Store:
        return RedisStore("127.0.0.1", broker.port, 0, "s", where=broker.url, timeout_s=0.5)

    bot, node = await pair(impatient(), impatient())
    await pour(bot, 0.3)
    broker.pause()
    await pour(bot, 2.0)
    assert bot.writer.waiting > 500
    assert bot.writer.trouble is not None
    broker.go_on()
    await pour(bot, 0.3)
    await bot.delivered()
    await node.reached(bot.seq)
    assert node.seqs == list(range(1, bot.seq + 1))
    assert bot.writer.dropped == 0


async def test_a_broker_that_was_killed_and_has_its_data_goes_on(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    broker = brokers()
    bot, node = await pair(open_store(broker.url), open_store(broker.url))
    await pour(bot, 0.5)
    broker.kill()
    await pour(bot, 1.0)
    assert bot.writer.trouble is not None
    broker.start()
    await pour(bot, 0.3)
    await bot.delivered()
    await node.reached(bot.seq)
    assert node.seqs == list(range(1, bot.seq + 1))
    late = Node(open_store(broker.url), ("E", 3))
    await late.reached(bot.seq)
    assert late.seqs == list(range(4, bot.seq + 1)), "the stream itself is whole"
    await late.close()


async def test_a_broker_that_comes_back_empty_is_filled_again(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    broker = brokers(keeps=False)
    bot, node = await pair(open_store(broker.url), open_store(broker.url))
    await pour(bot, 0.5)
    await bot.delivered()
    broker.kill()
    await pour(bot, 0.3)
    broker.start()
    await bot.delivered()
    await node.reached(bot.seq)
    assert node.seqs == list(range(1, bot.seq + 1))
    late = Node(open_store(broker.url), ("E", 3))
    await late.reached(bot.seq)
    assert late.seqs == list(range(4, bot.seq + 1))
    await late.close()


class Eater:
    """A proxy before the broker that lets requests through and eats some answers."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.hungry = False
        self.eaten = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, away = await asyncio.open_connection("127.0.0.1", self._target)

        async def requests() -> None:
            while data := await reader.read(65536):
                away.write(data)

        async def answers() -> None:
            while data := await there.read(65536):
                # The answer to a write that was carried out: `ok` and how many were repeated.
                if self.hungry and b"\r\nok\r\n" in data:
                    self.hungry = False
                    self.eaten += 1
                    writer.transport.abort()
                    away.transport.abort()
                    return
                writer.write(data)

        try:
            await asyncio.gather(requests(), answers())
        except OSError:
            pass
        finally:
            writer.transport.abort()
            away.transport.abort()
            self._tasks.discard(task)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def test_a_write_whose_answer_was_lost_is_not_repeated(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    broker = brokers()
    eater = Eater(broker.port)
    await eater.start()
    bot, node = await pair(open_store(f"redis://127.0.0.1:{eater.port}/0"), open_store(broker.url))
    await bot.delivered()
    for _ in range(5):
        eater.hungry = True
        bot.publish(30)
        await until(lambda: not eater.hungry)
        await bot.delivered()
    await node.reached(150)
    assert eater.eaten == 5
    assert node.seqs == list(range(1, 151))
    length = broker.ask("XLEN", "mt5dash:{mt5dash}:log")
    assert length == ":150\r\n"
    await eater.close()


async def test_two_streams_of_one_broker_do_not_mix(brokers: Callable[..., Broker]) -> None:
    broker = brokers()
    bots = [
        await SmallFeed(open_store(broker.url, stream=name), epoch=name).start()
        for name in ("one", "two")
    ]
    nodes = [Node(open_store(f"{broker.url}?stream={name}"), (name, 0)) for name in ("one", "two")]
    for bot in bots:
        bot.publish(20)
    for node, name in zip(nodes, ("one", "two"), strict=True):
        await node.reached(20)
        assert node.news == [(name, seq) for seq in range(1, 21)]
        await node.close()
    for bot in bots:
        await bot.writer.close()


async def test_a_password_is_used_and_never_told(
    brokers: Callable[..., Broker], pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    broker = brokers("--requirepass", "s3cret-word")
    url = f"redis://:s3cret-word@127.0.0.1:{broker.port}/0"
    bot, node = await pair(
        open_store(url), open_store(f"redis://127.0.0.1:{broker.port}", password="s3cret-word")
    )
    bot.publish(5)
    await node.reached(5)
    wrong, lonely = await pair(
        open_store(f"redis://:wr0ng-word@127.0.0.1:{broker.port}/1"),
        open_store(f"redis://127.0.0.1:{broker.port}/1"),
    )
    await until(lambda: "check the password" in str(wrong.writer.trouble))
    await until(lambda: "check the password" in str(lonely.reader.trouble))
    said = (
        caplog.text
        + str(wrong.writer.trouble)
        + str(lonely.reader.trouble)
        + bot.writer._store.where
    )
    assert "127.0.0.1" in said
    assert "s3cret" not in said
    assert "wr0ng" not in said


async def test_a_broker_that_is_full_is_told_and_loses_nothing(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    broker = brokers("--maxmemory-policy", "noeviction")
    bot, node = await pair(open_store(broker.url), open_store(broker.url))
    bot.publish(10)
    await node.reached(10)
    broker.ask("CONFIG", "SET", "maxmemory", "1")
    bot.publish(10)
    await until(lambda: "more memory" in str(bot.writer.trouble))
    broker.ask("CONFIG", "SET", "maxmemory", "0")
    await node.reached(20)
    assert node.seqs == list(range(1, 21))


async def test_a_name_that_another_program_uses_is_told(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    broker = brokers()
    broker.ask("SET", "mt5dash:{mt5dash}:log", "mine")
    bot, _ = await pair(open_store(broker.url), open_store(broker.url))
    await until(lambda: "another stream name" in str(bot.writer.trouble))


async def test_tls_with_an_authority_of_ones_own(
    brokers: Callable[..., Broker], pair: Pair, tmp_path: Path
) -> None:
    openssl = needs.program("openssl", variable="OPENSSL", get="apt-get install openssl")
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    await asyncio.to_thread(
        subprocess.run,
        [
            *(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    plain = brokers()  # the number of a port that no other program gets
    plain.kill()
    broker = brokers(
        *("--tls-port", str(plain.port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(cert), "--tls-key-file", str(key)),
    )
    assert broker.port != plain.port
    url = f"rediss://127.0.0.1:{plain.port}/0"
    bot, node = await pair(open_store(url, ca=str(cert)), open_store(url, ca=str(cert)))
    bot.publish(5)
    await node.reached(5)
    assert node.seqs == [1, 2, 3, 4, 5]
    stranger = Node(open_store(url))
    await until(lambda: "CERTIFICATE_VERIFY_FAILED" in str(stranger.reader.trouble))
    await stranger.close()


async def test_the_stream_is_trimmed(brokers: Callable[..., Broker], pair: Pair) -> None:
    broker = brokers()
    bot, _ = await pair(open_store(broker.url), open_store(broker.url), keep_events=1000)
    for _ in range(50):
        bot.publish(100)
        await bot.delivered()
    kept = int(broker.ask("XLEN", "mt5dash:{mt5dash}:log")[1:])
    assert 1000 <= kept < 1200


async def test_the_rights_that_the_page_names_are_enough(
    brokers: Callable[..., Broker], pair: Pair
) -> None:
    """docs/backbone.md says what an ACL user needs; with that and nothing else it works."""
    page = (ROOT / "docs" / "backbone.md").read_text(encoding="utf-8")
    rules = [part.split() for part in page.split("`") if part.startswith(("~mt5", "%R~mt5"))]
    assert len(rules) == 2
    broker = brokers()
    for name, rights in zip(("writer", "reader"), rules, strict=True):
        broker.ask("ACL", "SETUSER", name, "on", ">word", "resetkeys", "-@all", *rights)
    broker.ask("ACL", "SETUSER", "default", "off")
    address = f"127.0.0.1:{broker.port}/0"
    bot, node = await pair(
        open_store(f"redis://writer:word@{address}"), open_store(f"redis://reader:word@{address}")
    )
    bot.publish(20)
    await node.reached(20)
    bot.quote(1)
    await until(lambda: node.states)
    assert node.seqs == list(range(1, 21))
    other = await SmallFeed(open_store(f"redis://reader:word@{address}?stream=x")).start()
    await until(lambda: "docs/backbone.md" in str(other.writer.trouble))
    await other.writer.close(0.2)
