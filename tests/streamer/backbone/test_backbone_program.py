"""The real program and its backbone: killed and started again, no event is missing or doubled."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.backbone_kit import Broker
from support.program import running
from support.until import until

from streamer.backbone.model import Gap
from streamer.backbone.source import BackboneSource
from tui.run.doctor import backbone_check
from tui.settings import load

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    server = Broker(tmp_path / "redis", "--requirepass", "s3cret-word")
    server.start()
    yield server
    server.kill()


async def test_a_bot_that_is_killed_and_comes_back_goes_on_in_its_stream(
    tmp_path: Path, broker: Broker
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret-word\n")
    file = tmp_path / "bot.toml"
    file.write_text(
        f'[backbone]\nurl = "{broker.url}"\nstream = "desk"\npassword_file = "{secret}"\n'
        f'[journal]\npath = "{tmp_path / "j.db"}"\n[strategy]\nmin_score = 100\n'
    )
    args = ("--port", "0", "--speed", "1", "--config", str(file))
    seqs: list[int] = []
    gaps: list[Gap] = []

    def hear(event: dict[str, Any]) -> None:
        if event["type"] != "STATE_SNAPSHOT" and isinstance(event.get("seq"), int):
            seqs.append(event["seq"])

    url = f"{broker.url}?stream=desk"
    node = BackboneSource(url, token="s3cret-word", on_gap=gaps.append)
    node.watch(hear)
    async with node:
        async with running(tmp_path, *args) as program:
            await until(lambda: node.state.account and len(seqs) > 2, 40)
            _, _, health = await program.get("/api/health")
            assert health["checks"]["backbone"]["status"] == "ok"
            _, _, whole = await program.get("/api/state")
            assert node.state.account["login"] == whole["account"]["login"]
            program.process.send_signal(signal.SIGKILL)
            await program.process.wait()
        before = len(seqs)
        async with running(tmp_path, *args) as program:
            await until(lambda: len(seqs) > before + 2, 40)
            assert await program.stop() == 0
        await until(lambda: node.state.seq == seqs[-1])
        first = seqs[0]
        assert seqs == list(range(first, first + len(seqs)))
        assert gaps == []
    settings = load(file=file, environ={}).settings
    found = await backbone_check(settings)
    assert found.result == "ok"
    assert f"-{seqs[-1]:,} of run {node.state.epoch}" in found.text
    broker.kill()
    found = await backbone_check(settings)
    assert found.result == "failed"
    assert "s3cret" not in found.text
