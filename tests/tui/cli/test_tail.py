"""``mt5dash tail`` where nothing comes: it says why, and only data goes to standard output."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

from support import program


async def test_a_feed_that_is_not_there_is_told_and_tried_again(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{probe.getsockname()[1]}/ws"
        tail = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tui", "tail", url),
            env=program.environment(tmp_path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert tail.stderr is not None
        said = (await asyncio.wait_for(tail.stderr.readline(), 30)).decode()
        assert tail.returncode is None
        tail.kill()
        out, _ = await tail.communicate()
    assert url in said
    assert "trying again" in said
    assert out == b""
