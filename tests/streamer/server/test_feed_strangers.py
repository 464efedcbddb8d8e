"""Pages of other origins, in a real browser: they get no socket and no account."""

from __future__ import annotations

import http
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support import needs
from support.feed_kit import OpenFeed
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

playwright_api = needs.package("playwright.async_api", get="pip install playwright")
CHROMIUM = needs.program(
    "chromium", "google-chrome", variable="CHROMIUM", get="apt-get install chromium"
)

TRY = """async (target) => {
  const socket = await new Promise((done) => {
    const ws = new WebSocket(`ws://${target}/ws`);
    ws.onmessage = () => { done("told"); ws.close(); };
    ws.onerror = () => done("refused");
    setTimeout(() => done("nothing"), 5000);
  });
  let account = "refused";
  try { account = await (await fetch(`http://${target}/api/account`)).text(); } catch {}
  return {socket, account};
}"""


@pytest.fixture
async def context() -> AsyncIterator[Any]:
    """A browser for which evil.test and rebound.test are this machine."""
    async with playwright_api.async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",  # the tests also run as root in containers
                "--disable-dev-shm-usage",
                "--host-resolver-rules=MAP *.test 127.0.0.1",
            ],
        )
        yield await browser.new_context()
        await browser.close()


async def anyone(ws: ServerConnection) -> None:
    """A server that lets every page in."""
    await ws.send("told")
    await ws.wait_closed()


def page_of(connection: ServerConnection, request: Request) -> Response | None:
    """An empty page of whatever origin asks."""
    if request.path != "/":
        return None
    response = connection.respond(http.HTTPStatus.OK, "<!doctype html><title>x</title>")
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html"
    return response


async def test_only_pages_of_this_machine_reach_the_feed(open_feed: OpenFeed, context: Any) -> None:
    feed = await open_feed()
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"balance": 4711.0}})
    async with serve(anyone, "127.0.0.1", 0, process_request=page_of) as other:
        port = other.sockets[0].getsockname()[1]
        page = await context.new_page()

        async def visit(name: str, target: str) -> dict[str, str]:
            await page.goto(f"http://{name}:{port}/")
            return dict(await page.evaluate(TRY, target))

        control = await visit("evil.test", f"127.0.0.1:{port}")
        assert control["socket"] == "told", "a server that does not check is open to this page"

        stranger = await visit("evil.test", f"127.0.0.1:{feed.port}")
        assert stranger == {"socket": "refused", "account": "refused"}
        assert feed.endpoint.connections.refused["ORIGIN"] == 2, "it was the feed that refused"

        rebound = await visit("evil.test", f"rebound.test:{feed.port}")
        assert rebound == {"socket": "refused", "account": "refused"}
        assert feed.endpoint.connections.refused["HOST"] == 2

        for name in ("localhost", "127.0.0.1"):
            friend = await visit(name, f"127.0.0.1:{feed.port}")
            assert friend["socket"] == "told"
            assert "4711" in friend["account"]
