"""The program on a disk that is full: it says so, opens nothing, loses nothing, goes on."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import program
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from streamer.journal.verify import verify


def mount(*args: str) -> int:
    """Its exit code; 1 where there is no such program."""
    if shutil.which("mount") is None:
        return 1
    return subprocess.run(["mount", *args], capture_output=True).returncode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if mount("-t", "tmpfs", "-o", "size=4m", "none", str(place)):
        pytest.skip("needs the right to mount a tmpfs")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def fill(disk: Path) -> None:
    """Leave no room at all."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            return


async def test_a_disk_that_fills_holds_trades_back_and_is_caught_up_with(
    tmp_path: Path, disk: Path
) -> None:
    journal = disk / "j.db"
    args = ("--port", "0", "--speed", "20", "--journal", str(journal))
    async with (
        program.running(tmp_path, *args) as bot,
        connect(bot.url, subprotocols=[Subprotocol("mt5dash.v1")], max_queue=None) as client,
    ):

        async def health(wanted: str) -> str:
            async with asyncio.timeout(40):
                while True:
                    _, _, found = await bot.get("/api/health")
                    check = found["checks"]["journal"]
                    if check["status"] == wanted:
                        return str(check["text"])
                    await asyncio.sleep(0.1)

        await health("ok")
        fill(disk)
        assert "full" in await health("down")
        told = journal.stat().st_size  # what is in it stays as it is
        numbers: list[int] = []
        beats: list[str] = []
        open_now: list[set[int]] = []
        """Tickets at each update since the disk is known to be full."""
        full = True

        async def listen() -> None:
            async for raw in client:
                frame = json.loads(raw)
                if frame["type"] == "HEARTBEAT":
                    beats.append(frame["journal"])
                elif frame["type"] == "POSITION_UPDATE":
                    if full and beats:
                        open_now.append({row["ticket"] for row in frame["positions"]})
                elif "seq" in frame and frame["type"] != "STATE_SNAPSHOT":
                    numbers.append(frame["seq"])

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(20):
            while not (open_now and "full" in beats[-1]):
                await asyncio.sleep(0.05)
        await asyncio.sleep(3)  # a minute of the market: it opened several in the one before
        assert journal.stat().st_size == told
        (disk / "ballast").unlink()
        full = False
        assert mount("-o", "remount,size=40m", str(disk)) == 0
        await health("ok")
        async with asyncio.timeout(20):
            while beats[-1] != "ok":
                await asyncio.sleep(0.05)
        assert await bot.stop() == 0
        await asyncio.wait_for(listening, 10)
    assert set().union(*open_now) == open_now[0], "nothing was opened meanwhile"
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "nothing is missing"
    found = verify(journal)
    assert found.ok, found.findings
    assert found.events >= numbers[-1]


async def test_a_full_disk_at_the_start_is_told_in_words(tmp_path: Path, disk: Path) -> None:
    journal = disk / "j.db"
    async with program.running(tmp_path, "--port", "0", "--journal", str(journal)) as bot:
        assert await bot.stop() == 0
    # A reader that was still at work leaves its index of the (empty) log behind. With it there is
    # room to open the journal, and the program runs and waits for the disk as in the test above.
    for left in disk.glob("j.db-*"):
        left.unlink()
    fill(disk)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui", "tui", "--no-ui", "--port", "0"),
        *("--journal", str(journal)),
        env=program.environment(tmp_path),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        _, errors = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 3
    assert b"the disk is full" in errors
    assert b"Traceback" not in errors
