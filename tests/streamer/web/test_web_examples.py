"""The examples of docs/embed.md, run as they stand there."""

from __future__ import annotations

import asyncio
import http.server
import os
import re
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api as api
from support import needs
from support.paths import ROOT

DOC = (ROOT / "docs" / "embed.md").read_text(encoding="utf-8")
PAGES = re.findall(r"^```html\n(.*?)^```", DOC, re.S | re.M)
PROGRAMS = re.findall(r"^```python\n(.*?)^```", DOC, re.S | re.M)


def test_the_document_has_its_examples() -> None:
    assert len(PAGES) == len(PROGRAMS) == 2
    assert len(PAGES[0].split("<script", 1)[1].splitlines()) <= 35


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
async def test_a_program_reads_the_feed(open_feed: Any, tmp_path: Path, number: int) -> None:
    feed = await open_feed()
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 1234.5}})
    program = tmp_path / "example.py"
    program.write_text(PROGRAMS[number], encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), feed.url, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            while b"equity 1234.5" not in (line := await process.stdout.readline()):
                assert line, "the program ended"
            feed.publish({"type": "RESEARCH_START", "symbol": "EURUSD", "data": {}})
            while b"RESEARCH_START EURUSD" not in (line := await process.stdout.readline()):
                assert line, "the program ended"
    finally:
        process.kill()
        await process.wait()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """The example pages on another origin of this machine."""
    for n, page in enumerate(PAGES):
        (tmp_path / f"{n}.html").write_text(page, encoding="utf-8")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
async def page() -> AsyncIterator[Any]:
    chromium = needs.program(
        "chromium", "google-chrome", variable="CHROMIUM", get="apt-get install chromium"
    )
    async with api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if sys.platform == "linux" else []
        )
        yield await browser.new_page()
        await browser.close()


async def test_the_page_in_30_lines_reads_and_resumes(open_feed: Any, site: str, page: Any) -> None:
    feed = await open_feed()
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 1234.5}})
    await page.goto(f"{site}/0.html?feed={feed.url}")
    await page.wait_for_function("document.getElementById('equity').textContent === '1234.5'")
    for n in range(20):
        feed.publish({"type": "RESEARCH_START", "symbol": f"S{n}", "data": {}})
        if n == 10:
            for connection in list(feed.endpoint.connections):
                connection.transport.abort()
        await asyncio.sleep(0.01)
    await page.wait_for_function("document.querySelectorAll('#log li').length >= 20")
    lines = await page.locator("#log li").all_inner_texts()
    assert [int(line.split()[0]) for line in reversed(lines)] == list(range(1, 21))


async def test_the_page_of_modules_shows_positions(open_feed: Any, site: str, page: Any) -> None:
    feed = await open_feed()
    position = {"ticket": 1, "symbol": "EURUSD", "direction": "BUY", "profit": 6.8}
    feed.publish({"type": "POSITION_UPDATE", "positions": [position]})
    await page.goto(f"{site}/1.html?host=127.0.0.1:{feed.port}")
    await page.wait_for_function(
        "document.getElementById('positions').textContent === 'EURUSD BUY +6.80'"
    )
    assert "live" in await page.inner_text("#status")
