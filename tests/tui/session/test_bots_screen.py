"""A feed with several bots on the screen: a tab each, and each sees only its own."""

from __future__ import annotations

from support.fake_source import account
from support.screen_bench import Bench, bench

from tui.session.bots import unseen


def two_bots(b: Bench) -> None:
    b.source.publish("SCAN_START", count=1, bot="main", account="1@S")
    b.source.publish("ACCOUNT_UPDATE", account={**account(), "login": 77}, bot="beta")
    b.source.publish("RISK_ALERT", code="X", level="critical", text="only beta's", bot="beta")


async def test_one_bot_has_no_tabs_and_two_have_one_each() -> None:
    async with bench() as b:
        b.source.publish("SCAN_START", count=1, bot="main")
        assert "[main]" not in await b.now()
        two_bots(b)
        text = await b.now()
        assert "[main" in text
        assert "beta!" in text
        assert len(b.app.sessions) == 2
        await b.now()
        assert len(b.app.sessions) == 2


async def test_each_tab_shows_its_own_bots_account_log_and_alerts_only() -> None:
    async with bench() as b:
        two_bots(b)
        text = await b.now()
        assert "only beta's" not in text
        await b.app.run_action("feed(1)")
        text = await b.now()
        assert "[beta" in text
        assert "beta 77@" in text
        assert "only beta's" in text
        assert "XAUUSD" not in text
        main, beta = b.app.sessions
        b.source.publish("SCAN_START", count=9, bot="beta")
        b.source.publish("SCAN_START", count=8, bot="main")
        await b.now()
        assert beta.lines[-1].event["count"] == 9
        assert main.lines[-1].event["count"] == 8


async def test_a_silent_bot_is_stale_in_its_tab_and_the_other_is_live() -> None:
    async with bench() as b:
        two_bots(b)
        await b.now()
        b.time.go(30)
        b.source.publish("ACCOUNT_UPDATE", account=account(), bot="main")
        assert "terminal LIVE 0.0s" in await b.now()
        await b.app.run_action("feed(1)")
        assert "terminal STALE 30s" in await b.now()


async def test_a_bot_whose_source_is_lost_says_so_and_why() -> None:
    async with bench() as b:
        two_bots(b)
        await b.now()
        b.source.publish("HEARTBEAT", bots={"main": {}, "beta": {"lost": "no route to host"}})
        assert "terminal LIVE" in await b.now()
        await b.app.run_action("feed(1)")
        text = await b.now()
        assert "terminal LOST" in text
        assert any("no route to host" in alert.text for alert in b.app.session.alerts)
        assert not any("no route" in alert.text for alert in b.app.sessions[0].alerts)


async def test_commands_go_to_the_bot_in_front() -> None:
    async with bench() as b:
        two_bots(b)
        await b.now()
        assert await b.app.send_command("pause", {}) is None
        await b.app.run_action("feed(1)")
        assert await b.app.send_command("pause", {}) is None
        assert b.source.asked == ["main", "beta"]


async def test_the_portfolio_has_a_row_for_each_bot() -> None:
    async with bench() as b:
        two_bots(b)
        await b.now()
        text = await b.press("0")
        assert "main " in text
        assert "beta 77@" in text
        assert not unseen(session.source for session in b.app.sessions)


async def test_leaving_asks_for_the_own_bot_whichever_is_in_front() -> None:
    async with bench() as b:
        two_bots(b)
        b.source.publish("BOT_STATUS", state="stopped", bot="beta")
        await b.now()
        await b.app.run_action("feed(1)")
        assert b.app.bot_runs()
        text = await b.press("q")
        assert "The bot runs in this process (mode paper)" in text
        assert "3 positions open" in text
