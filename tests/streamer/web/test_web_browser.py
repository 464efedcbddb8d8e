"""The page in a real browser against a real feed."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright import async_api as playwright_api
from support import needs
from support.paths import ROOT

from streamer.protocol.messages import Command, CommandResult
from streamer.service import Feed

CHROMIUM = needs.program(
    "chromium", "google-chrome", variable="CHROMIUM", get="apt-get install chromium"
)

expect = playwright_api.expect
HERE = Path(__file__).parent
HOSTILE = [
    "<img src=x onerror=\"window.pwned='img'\">",
    "<script>window.pwned='script'</script>",
    '"><svg onload="window.pwned=\'svg\'">',
    "javascript:window.pwned='url'",
    '</td><iframe srcdoc="<script>parent.pwned=1</script>">',
    "{{constructor.constructor('window.pwned=1')()}}",
    "' onmouseover='window.pwned=1",
    "__proto__",
    "[@click=app.close_all]EURUSD[/]",
    "\u202eDSUUE",
]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One browser for all tests; each gets a context of its own."""
    folder = tmp_path_factory.mktemp("chromium")
    flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
    if sys.platform == "linux":
        # The tests also run as root in containers, and open only our own pages.
        flags += ["--no-sandbox", "--disable-dev-shm-usage"]
    process = subprocess.Popen(
        [str(CHROMIUM), *flags, "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    told = folder / "DevToolsActivePort"
    end = time.monotonic() + 30
    while not (told.exists() and "\n" in told.read_text()):
        assert process.poll() is None, "Chromium ended"
        assert time.monotonic() < end, "Chromium does not start"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{told.read_text().split()[0]}"
    process.terminate()
    process.wait(10)


@pytest.fixture
async def browser(chromium: str) -> AsyncIterator[Any]:
    async with playwright_api.async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(chromium)
        before = len(browser.contexts)
        yield browser
        for context in browser.contexts[before:]:
            await context.close()
        await browser.close()


class Seen:
    """What a page asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda ws: self.requests.append(ws.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console",
            self._on_console,
        )

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


async def open_page(browser: Any, feed: Feed, path: str = "/", **context: Any) -> Any:
    context.setdefault("viewport", {"width": 1280, "height": 900})
    page = await (await browser.new_context(**context)).new_page()
    page.seen = Seen(page)
    page.set_default_timeout(10_000)
    await page.goto(f"http://127.0.0.1:{feed.port}{path}")
    return page


def position(ticket: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "ticket": ticket, "symbol": "EURUSD", "type": 0, "direction": "BUY", "volume": 0.1,
        "entry_price": 1.08452, "price_current": 1.0852, "sl_price": 1.0822, "tp_price": 1.0891,
        "profit": 6.8, "swap": -0.1, "commission": -0.7, "digits": 5, "owner": "bot",
        "opened_at": "2026-03-02T10:00:00+00:00", "comment": "[sl 1.0850]", "magic": 234000,
        "risk": -23.0, "initial_risk": 23.0, **fields,
    }  # fmt: skip


async def bars(symbol: str, timeframe: str, count: int) -> list[dict[str, Any]]:
    bar = {"open": 1.0, "high": 1.2, "low": 0.9, "close": 1.1}
    return [{"time": 1772445600 + i * 300, **bar} for i in range(count)]


def fill(feed: Feed) -> None:
    """A day in the life of a bot."""
    feed.set_bars(bars)
    account = {
        "balance": 10000.0, "equity": 10006.8, "profit": 6.8, "currency": "USD", "leverage": 500,
        "day_pl": 118.4, "margin": 21.7, "margin_free": 9985.1, "margin_level": 46114.0,
        "login": 5012345, "server": "Paper-Demo", "mode": "paper", "drawdown_pct": 0.62,
        "limits": {"daily_loss": {"value": 12.0, "limit": 300.0, "unit": "USD"}},
    }  # fmt: skip
    details = {
        "EURUSD": {"code": "CANDIDATE", "direction": "BUY", "score": 78, "need": 65, "spread": 9},
        "XAUUSD": {"code": "SPREAD", "gate": "spread", "score": 52, "need": 65, "spread": 41},
    }
    order = {
        "order": 77, "symbol": "XAUUSD", "direction": "BUY", "kind": "limit", "volume": 0.2,
        "price": 2331.5, "price_current": 2340.5, "sl": 2325.0, "tp": 2360.0, "digits": 2,
    }  # fmt: skip
    quotes = {"EURUSD": {"bid": 1.0852, "ask": 1.08529, "digits": 5, "time": None}}
    for event in (
        {"type": "TERMINAL_STATUS", "state": "connected", "backend": "paper"},
        {"type": "ACCOUNT_UPDATE", "account": account},
        {"type": "POSITION_UPDATE", "positions": [position()]},
        {"type": "ORDERS_UPDATE", "orders": [order]},
        {"type": "QUOTE_UPDATE", "quotes": quotes},
        {
            "type": "SCAN_SUMMARY", "count": 2, "candidates": 1, "details": details,
            "symbols": {"EURUSD": "BUY candidate", "XAUUSD": "spread 41 > 30 points"},
        },
        {
            "type": "BOT_STATUS", "state": "waiting", "mode": "paper", "strategy": "institutional",
            "gates": {"spread": 1}, "cycle_s": 10,
        },
    ):  # fmt: skip
        feed.publish(event)


def trade(ticket: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": "TRADE_EXECUTION", "symbol": "GBPUSD", "direction": "SELL", "price": 1.2711,
        "lot": 0.3, "ticket": ticket, "score": 71, **fields,
    }  # fmt: skip


async def test_the_page_shows_the_snapshot_and_asks_nobody_else(
    open_feed: Any, browser: Any
) -> None:
    feed = await open_feed()
    fill(feed)
    page = await open_page(browser, feed)
    await expect(page.locator("#figures")).to_contain_text("10,006.80")
    await expect(page.locator("#mode")).to_have_text("PAPER")
    await expect(page.locator("#limits")).to_contain_text("12.00 of 300.00 USD")
    row = page.locator("#positions-table tbody tr")
    await expect(row).to_contain_text("EURUSD")
    await expect(row).to_contain_text("+6.80 ▲")
    await expect(page.locator("#orders-table tbody tr")).to_contain_text("2331.50")
    await expect(page.locator("#scanner-table tbody tr").first).to_contain_text("◆ TRADE")
    await expect(page.locator("#funnel-bars")).to_contain_text("spread")
    await expect(page.locator("#bot-says")).to_contain_text("institutional is waiting")
    await expect(page.locator("#chart-readout")).to_contain_text("C 1.1")
    await expect(page.locator("#health-list")).to_contain_text("journal")
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {}})
    await expect(page.locator("#badge-terminal")).to_contain_text("LIVE")
    hosts = {url.split("/")[2] for url in page.seen.requests}
    assert hosts == {f"127.0.0.1:{feed.port}"}
    assert any(url.startswith("ws://") for url in page.seen.requests)
    assert page.seen.complaints == []


async def test_what_is_not_known_is_not_shown_as_zero(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    page = await open_page(browser, feed)
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    await expect(page.locator("#positions-table")).to_contain_text("not known yet")
    figures = await page.locator("#figures dd").all_inner_texts()
    assert [text.strip()[0] for text in figures] == ["–"] * 6
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 5.0}})
    feed.publish({"type": "POSITION_UPDATE", "positions": []})
    await expect(page.locator("#positions-table")).to_contain_text("No open position")
    await expect(page.locator("#figures")).to_contain_text("5.00")


async def test_what_is_old_is_not_called_live(open_feed: Any, browser: Any) -> None:
    feed = await open_feed(heartbeat_s=0.2)
    fill(feed)
    feed.state.updated = dict.fromkeys(feed.state.updated, time.monotonic() - 100)
    page = await open_page(browser, feed)
    await expect(page.locator("#badge-terminal")).to_contain_text("STALE 1m4")
    assert await page.evaluate("document.body.dataset.fresh") == "stale"
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"equity": 5.0}})
    await expect(page.locator("#badge-terminal")).to_contain_text("LIVE")
    feed.publish({"type": "TERMINAL_STATUS", "state": "disconnected", "backend": "agent"})
    await expect(page.locator("#badge-terminal")).to_contain_text("DISCONNECTED")
    await expect(page.locator("#figures")).to_contain_text("5.00")


async def test_a_trade_appears(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    fill(feed)
    page = await open_page(browser, feed)
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    feed.publish(trade(9))
    await expect(page.locator("#deals-table tbody tr")).to_contain_text("1.2711")
    await expect(page.locator("#events-list")).to_contain_text("GBPUSD SELL 0.30 @ 1.2711")
    feed.publish({"type": "POSITION_UPDATE", "positions": [position(), position(2, symbol="N")]})
    await expect(page.locator("#positions-table tbody tr")).to_have_count(2)
    # The text for screen readers names the trade, not every price.
    await expect(page.locator("#spoken")).to_contain_text("FILL GBPUSD")


async def test_a_cut_connection_resumes_without_a_gap(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    fill(feed)
    page = await open_page(browser, feed)
    await page.locator("#events-level").select_option("debug")
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    for cut in range(3):
        for n in range(40):
            feed.publish(trade(100 * cut + n))
            if n == 20:
                for connection in list(feed.endpoint.connections):
                    connection.transport.abort()
            await asyncio.sleep(0.005)
        await expect(page.locator(f'#events-list [data-seq="{feed.state.seq}"]')).to_be_attached()
    seqs = await page.locator("#events-list [data-seq]").evaluate_all(
        "lines => lines.map(line => Number(line.dataset.seq))"
    )
    assert seqs == list(range(seqs[0], feed.state.seq + 1))
    assert feed.state.seq - seqs[0] >= 120
    tickets = await page.locator("#deals-table tbody tr").count()
    assert tickets == 50
    await expect(page.locator("#health-list")).to_contain_text("resumed 3")
    await expect(page.locator("#events-missed")).to_be_hidden()


async def test_a_hidden_page_leaves_and_resumes_when_it_is_seen(
    open_feed: Any, browser: Any
) -> None:
    feed = await open_feed()
    fill(feed)
    page = await (await browser.new_context()).new_page()
    await page.clock.install()
    await page.goto(f"http://127.0.0.1:{feed.port}/")
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    before = feed.state.seq
    show = """hidden => {
        Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
    }"""
    await page.evaluate(show, True)
    await page.clock.fast_forward(31_000)
    async with asyncio.timeout(10):
        while feed.endpoint.connections:
            await asyncio.sleep(0.02)
    for n in range(5):
        feed.publish(trade(n))
    await page.evaluate(show, False)
    await expect(page.locator(f'#events-list [data-seq="{before + 5}"]')).to_be_attached()
    seqs = await page.locator("#events-list [data-seq]").evaluate_all(
        "lines => lines.map(line => Number(line.dataset.seq))"
    )
    assert seqs[-5:] == list(range(before + 1, before + 6))
    await expect(page.locator("#events-missed")).to_be_hidden()


async def test_a_restarted_feed_is_told_apart(open_feed: Any, browser: Any) -> None:
    first = await open_feed()
    fill(first)
    page = await open_page(browser, first)
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    await first.close()
    await expect(page.locator("#banner")).to_contain_text("The feed is lost")
    assert await page.evaluate("document.body.dataset.fresh") == "stale"
    second = await open_feed(port=first.port)
    second.publish(trade(1))
    await expect(page.locator("#events-missed")).to_contain_text("new run of numbers")
    await expect(page.locator("#positions-table")).to_contain_text("not known yet")


async def test_hostile_text_stays_text(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    fill(feed)
    page = await open_page(browser, feed)
    await expect(page.locator("#badge-feed")).to_contain_text("LIVE")
    rows = [
        position(n, symbol=bad, comment=bad, owner=bad, direction=bad if n % 2 else "BUY")
        for n, bad in enumerate(HOSTILE)
    ]
    details = {bad: {"code": bad, "gate": bad, "regime": bad, "direction": bad} for bad in HOSTILE}
    for event in (
        {"type": "POSITION_UPDATE", "positions": rows},
        {"type": "ORDERS_UPDATE", "orders": [dict(p, order=p["ticket"], kind=p["symbol"]) for p in rows]},
        {"type": "QUOTE_UPDATE", "quotes": {bad: {"bid": 1.0, "ask": bad} for bad in HOSTILE}},
        {"type": "SCAN_SUMMARY", "count": 1, "candidates": 0, "details": details,
         "symbols": {bad: bad for bad in HOSTILE}},
        {"type": "ACCOUNT_UPDATE", "account": {"name": HOSTILE[0], "server": HOSTILE[1],
         "currency": HOSTILE[2], "limits": {bad: {"value": 1, "limit": 2, "unit": bad} for bad in HOSTILE}}},
        {"type": "BOT_STATUS", "state": HOSTILE[0], "reason": {"code": "X", "text": HOSTILE[1]},
         "strategy": HOSTILE[0], "mode": HOSTILE[2], "gates": dict.fromkeys(HOSTILE, 1)},
        *({"type": bad, "symbol": bad, "text": bad} for bad in HOSTILE),
        *({"type": "RISK_ALERT", "code": bad, "level": "critical", "text": bad} for bad in HOSTILE),
        *(trade(n, symbol=bad, direction=bad) for n, bad in enumerate(HOSTILE)),
    ):  # fmt: skip
        feed.publish(event)
    for bad in HOSTILE[:3]:
        for place in ("#positions-table", "#scanner-table", "#events-list", "#deals-table"):
            await expect(page.locator(place)).to_contain_text(bad)
    await page.get_by_role("button", name=HOSTILE[0]).first.click()
    await expect(page.locator("#dialog-title")).to_contain_text(HOSTILE[0])
    await page.keyboard.press("Escape")
    await page.locator("#events-list > div").last.click()
    await expect(page.locator("#dialog-body")).to_contain_text("TRADE_EXECUTION")
    await asyncio.sleep(0.5)
    assert await page.evaluate("window.pwned") is None
    assert await page.locator("main img, main iframe, main svg, main script").count() == 0
    assert page.seen.complaints == []

    # The control: where text becomes markup, the same string does act.
    victim = await (await browser.new_context()).new_page()
    await victim.evaluate("bad => { document.body.innerHTML = bad }", HOSTILE[0])
    await victim.wait_for_function("window.pwned === 'img'", timeout=5000)


async def test_the_policy_stops_what_text_content_would_not(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    page = await open_page(browser, feed)
    refused = await page.evaluate(
        """bad => { try { document.body.innerHTML = bad; return false } catch { return true } }""",
        HOSTILE[0],
    )
    assert refused
    elsewhere = await page.evaluate(
        "fetch('http://localhost:1/').then(() => 'sent', error => String(error))"
    )
    assert "TypeError" in elsewhere
    assert any("Content Security Policy" in text for text in page.seen.complaints)


async def test_a_feed_that_wants_a_token_asks_for_it(open_feed: Any, browser: Any) -> None:
    feed = await open_feed(require_token=True, auth_timeout_s=0.3)
    fill(feed)
    token, _ = feed.tokens.new("view")
    page = await open_page(browser, feed)
    await expect(page.locator("#dialog-title")).to_have_text("This feed asks for a token")
    await page.fill("input[name=token]", "wrong")
    await page.keyboard.press("Enter")
    await expect(page.locator("#dialog-body")).to_contain_text("wrong token")
    await page.fill("input[name=token]", token)
    await page.keyboard.press("Enter")
    await expect(page.locator("#figures")).to_contain_text("10,006.80")
    kept = await page.evaluate(
        "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
    )
    assert token not in kept
    assert all(token not in url for url in page.seen.requests)


async def test_a_token_in_the_address_is_used_once_and_removed(
    open_feed: Any, browser: Any
) -> None:
    feed = await open_feed(require_token=True)
    fill(feed)
    token, _ = feed.tokens.new("view")
    page = await open_page(browser, feed, f"/#token={token}")
    await expect(page.locator("#figures")).to_contain_text("10,006.80")
    assert token not in page.url
    assert all(token not in url for url in page.seen.requests[1:])


async def test_acting_needs_a_control_token_a_question_and_for_the_worst_a_word(
    open_feed: Any, browser: Any
) -> None:
    feed = await open_feed()
    fill(feed)
    done: list[tuple[str, dict[str, Any]]] = []

    async def act(command: Command, actor: str) -> CommandResult:
        done.append((command.name, command.args))
        return CommandResult(id=command.id, ok=True, result={})

    feed.set_commander(act)
    token, _ = feed.tokens.new("control")
    page = await open_page(browser, feed)
    await expect(page.locator("#control-sum")).to_have_text("viewing only")
    await page.get_by_role("button", name="EURUSD BUY, details").click()
    await expect(page.locator("#dialog-buttons")).not_to_contain_text("Close …")
    await page.keyboard.press("Escape")

    await page.get_by_role("button", name="Enter token …").click()
    await page.fill("input[name=token]", token)
    await page.keyboard.press("Enter")
    await expect(page.locator("#control-sum")).to_have_text("unlocked")

    await page.get_by_role("button", name="EURUSD BUY, details").click()
    await page.get_by_role("button", name="Close …").click()
    await expect(page.locator("#dialog-body")).to_contain_text("+6.80")
    assert done == []
    await page.fill("input[name=volume]", "0.04")
    await page.get_by_role("button", name="Close at market").click()
    await expect(page.locator("#dialog")).to_be_hidden()
    seen = {"side": "BUY", "volume": 0.1, "symbol": "EURUSD"}
    assert done == [("close_position", {"ticket": 1, "expect": seen, "volume": 0.04})]

    await page.get_by_role("button", name="EURUSD BUY, details").click()
    await page.get_by_role("button", name="Change stop or target …").click()
    await page.fill("input[name=sl]", "1.08337")
    await expect(page.locator("#dialog-body")).to_contain_text("about −11.40")
    await page.get_by_role("button", name="Change", exact=True).click()
    await expect(page.locator("#dialog")).to_be_hidden()
    assert done[-1] == ("modify_position", {"ticket": 1, "expect": seen, "sl": 1.08337})

    await page.get_by_role("button", name="Kill switch …").click()
    stop = page.get_by_role("button", name="Stop new trades")
    await expect(stop).to_be_disabled()
    await page.keyboard.press("Enter")
    await page.fill("input[name=typed]", "halt")
    await page.fill("input[name=reason]", "test")
    await stop.click()
    await expect(page.locator("#dialog")).to_be_hidden()
    assert done[2:] == [("halt", {"reason": "test"})]
    await expect(page.locator("#events-list")).to_contain_text("halt reason=test by token")

    # The feed asks once more before everything is closed; the page answers for the dialog.
    await page.get_by_role("button", name="Close everything …").click()
    await page.fill("input[name=typed]", "flatten")
    await page.select_option("select[name=symbol]", "EURUSD")
    await page.get_by_role("button", name="Close them").click()
    await expect(page.locator("#dialog")).to_be_hidden()
    assert done[3:] == [("flatten", {"symbol": "EURUSD"})]

    await page.get_by_role("button", name="Kill switch …").click()
    await page.fill("input[name=typed]", "halt")
    await page.check("input[name=flatten]")
    await page.get_by_role("button", name="Stop new trades").click()
    await expect(page.locator("#dialog")).to_be_hidden()
    assert done[4:] == [("halt", {"reason": "by the browser page", "flatten": True})]


async def test_a_refusal_is_shown_and_the_question_stays(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    fill(feed)
    token, _ = feed.tokens.new("control")
    page = await open_page(browser, feed, f"/#token={token}")
    await page.get_by_role("button", name="Pause", exact=True).click()
    await page.get_by_role("button", name="Pause the bot").click()
    await expect(page.locator("#dialog-error")).not_to_be_empty()
    await expect(page.locator("#dialog")).to_be_visible()


async def test_filter_level_and_keys(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    fill(feed)
    for n in range(5):
        feed.publish(trade(n))
    feed.publish({"type": "RISK_ALERT", "code": "X", "level": "warning", "text": "careful"})
    page = await open_page(browser, feed)
    lines = page.locator("#events-list > div")
    await expect(lines).to_have_count(8)
    await page.keyboard.press("/")
    await page.keyboard.type("gbpusd")
    await expect(lines).to_have_count(5)
    await page.locator("#events-filter").fill("!gbpusd")
    await expect(lines).to_have_count(3)
    await page.keyboard.press("Escape")
    await expect(lines).to_have_count(8)
    await page.locator("#events-level").select_option("warn")
    await expect(lines).to_have_count(1)
    await page.locator("#events-list").focus()
    await page.keyboard.press("End")
    await page.keyboard.press("Enter")
    await expect(page.locator("#dialog-body")).to_contain_text('"text": "careful"')
    await page.keyboard.press("Escape")
    await page.keyboard.press("?")
    await expect(page.locator("#dialog-title")).to_have_text("Keys and signs")


async def test_the_page_has_the_reducer_of_the_vectors(open_feed: Any, browser: Any) -> None:
    feed = await open_feed()
    page = await open_page(browser, feed)
    for path in sorted((ROOT / "tests/streamer/state/vectors").glob("*.json")):
        vector = json.loads(path.read_text(encoding="utf-8"))
        found = await page.evaluate(
            """async vector => {
                const { FeedState } = await import('/state.js');
                const state = new FeedState();
                if ('initial' in vector) state.load(vector.initial);
                for (const event of vector.events) state.apply(event);
                return { ...state.snapshot(), seq: state.seq, epoch: state.epoch };
            }""",
            vector,
        )
        for key, value in vector["state"].items():
            assert found[key] == value, (path.name, key)


@pytest.mark.parametrize("width", [360, 768, 1280, 1920])
async def test_nothing_is_wider_than_the_window(open_feed: Any, browser: Any, width: int) -> None:
    feed = await open_feed()
    fill(feed)
    page = await open_page(browser, feed, viewport={"width": width, "height": 800})
    await expect(page.locator("#figures")).to_contain_text("10,006.80")
    views = ["positions", "scanner", "charts", "events", "more"] if width == 360 else [None]
    for view in views:
        if view is not None:
            await page.locator(f"[data-goto={view}]").click()
        root = "document.documentElement"
        assert await page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0
        cut = await page.evaluate(
            """[...document.querySelectorAll('h2, dd, .tool, .tabs button, .badge, th[scope=col]')]
                .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1)
                .map(e => e.textContent)"""
        )
        assert cut == [], view


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_no_accessibility_violation(
    open_feed: Any, browser: Any, scheme: str, width: int
) -> None:
    axe = needs.package("axe_playwright_python.base", get="pip install axe-playwright-python")
    feed = await open_feed()
    fill(feed)
    for n in range(3):
        feed.publish(trade(n))
    feed.publish({"type": "RISK_ALERT", "code": "X", "level": "critical", "text": "careful"})
    page = await open_page(
        browser, feed, viewport={"width": width, "height": 900}, color_scheme=scheme,
        bypass_csp=True,
    )  # fmt: skip
    await expect(page.locator("#figures")).to_contain_text("10,006.80")
    await page.evaluate(axe.AXE_FILE_PATH.read_text(encoding="utf-8"))

    async def look(where: str) -> None:
        found = await page.evaluate(
            """axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})
                .then(result => result.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"""
        )
        assert found == [], where

    for view in ["positions", "scanner", "charts", "events", "more"] if width == 360 else [""]:
        if view:
            await page.locator(f"[data-goto={view}]").click()
        await look(view)
    await page.evaluate("document.getElementById('tool-help').click()")
    await look("help")
    await page.keyboard.press("Escape")
    await page.evaluate("document.querySelector('#positions-table button.open').click()")
    await look("details")
    # That the check finds something is part of the check.
    await page.evaluate("document.querySelector('#dialog-buttons button').textContent = ''")
    with pytest.raises(AssertionError):
        await look("a button without a name")


async def test_a_feed_with_several_bots_has_a_chooser_and_each_bot_its_own_page(
    open_feed: Any, browser: Any
) -> None:
    feed = await open_feed(heartbeat_s=0.1)
    given: list[str | None] = []

    async def act(command: Command, actor: str) -> CommandResult:
        given.append(command.bot)
        return CommandResult(id=command.id, ok=True)

    feed.set_commander(act)
    feed.publish({"type": "ACCOUNT_UPDATE", "account": {"login": 11, "server": "S", "equity": 1}})
    feed.publish({"type": "OF_MAIN", "text": "first"})
    text, _ = feed.tokens.new("control")
    page = await open_page(browser, feed, f"/#token={text}")
    await expect(page.locator("#ident")).to_contain_text("11")
    await expect(page.locator("#bots")).to_be_hidden()
    feed.publish(
        {"type": "ACCOUNT_UPDATE", "account": {"login": 22, "server": "S", "equity": 2}}, bot="beta"
    )
    feed.publish({"type": "OF_BETA", "text": "second"}, bot="beta")
    feed.publish({"type": "POSITION_UPDATE", "positions": [position()]}, bot="beta")
    await expect(page.locator("#bots")).to_be_visible()
    await expect(page.locator("#ident")).to_contain_text("11")
    await expect(page.locator("#events-list")).to_contain_text("OF_MAIN")
    await expect(page.locator("#events-list")).not_to_contain_text("OF_BETA")
    await expect(page.locator("#positions-table")).not_to_contain_text("EURUSD")
    await page.select_option("#bot-chosen", "beta")
    await expect(page.locator("#ident")).to_contain_text("22")
    await expect(page.locator("#events-list")).to_contain_text("OF_BETA")
    await expect(page.locator("#events-list")).not_to_contain_text("OF_MAIN")
    await expect(page.locator("#positions-table")).to_contain_text("EURUSD")
    beta = feed.bots.get_or_add("beta")
    beta.heard -= 60.0
    await page.select_option("#bot-chosen", "main")
    await expect(page.locator("#bots")).to_have_attribute("data-tone", "error")
    assert "beta for 1" in str(await page.locator("#bots").get_attribute("title"))
    await expect(page.locator("#bot-chosen option").nth(1)).to_have_text("✕ beta")
    await expect(page.locator("#ident")).to_contain_text("11")
    await expect(page.locator("#badge-terminal")).to_contain_text("LIVE")
    # Bars are held by a bot's own feed only, and the browser tells of each answer with 404.
    assert all("404" in told for told in page.seen.complaints)
