"""The panels line by line, as they are painted: ``render_line(i).text`` of each."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len
from support.fake_source import DETAILS, POSITIONS
from support.screen_bench import Bench, bench

from tui.board import KEYS, PANELS
from tui.panels.symbol_chart import forming
from tui.render.chart import Candle
from tui.session.view import View


def lines_of(widget: Any) -> list[str]:
    """What the widget paints, a line each."""
    return [widget.render_line(y).text for y in range(widget.size.height)]


async def panel_lines(b: Bench, number: int) -> list[str]:
    b.main.show_panel(number)
    await b.now()
    await b.now()  # a panel that was not in sight has its size now
    panel = b.main.panels[number - 1]
    lines = lines_of(panel)
    assert {cell_len(line) for line in lines} == {panel.size.width}
    return [line.strip("│┃ ") for line in lines]


SIZES = [(120, 36), (80, 24), (200, 60)]


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_positions_side_lots_prices_profit_r_and_the_way_to_the_stop(size: Any) -> None:
    async with bench(size) as b:
        lines = await panel_lines(b, 1)
        assert lines[0].startswith("╭─ 1 Positions (3 +1 pending) ─")
        head, gold, yen, euro, order = (line.split() for line in lines[1:6])
        assert head[:7] == ["Symbol", "Side", "Lots", "Entry", "Now", "P/L↓", "R"]
        assert gold[:7] == ["XAUUSD", "▲BUY", "0.20", "2340.52", "2342.63", "+42.20▲", "+0.9"]
        assert gold[7].startswith("├")
        assert gold[7].index("┼") < gold[7].index("●")  # the price is beyond the entry
        assert yen[:6] == ["GBPJPY", "▲BUY", "0.05", "191.204", "191.234", "+1.00▲"]
        assert "no" in yen  # no stop, no target
        assert euro[:7] == ["EURUSD", "▼SELL", "0.10", "1.08450", "1.08461", "-1.10▼", "-0.1"]
        assert euro[7].index("●") < len(euro[7]) // 2  # nearer to the stop
        assert order[:4] == ["USDJPY", "▼LIMIT", "0.10", "150.450"]
        assert "waits" in order
        foot = next(line for line in lines if line.startswith("Σ"))
        net = sum(p["profit"] for p in POSITIONS)
        worst = sum(p["risk"] or 0.0 for p in POSITIONS)
        assert f"net {net:+.2f}▲" in foot
        assert f"if all stops hit {worst:.2f} -0.6%" in foot
        assert "no SL!" in foot or "without a stop" in foot


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_scanner_stage_reason_and_score_nearest_to_a_trade_first(size: Any) -> None:
    async with bench(size) as b:
        lines = await panel_lines(b, 2)
        rows = [line.split() for line in lines[2:] if line[:6].strip() in DETAILS]
        assert [r[0] for r in rows][:5] == ["XAUUSD", "GBPJPY", "BTCUSD", "EURUSD", "GBPUSD"]
        assert [r[2] for r in rows][:5] == ["TRADE", "BLOCK", "COOL", "SPREAD", "SCORE"]
        assert "78/65" in rows[0]
        assert "BUY candidate" in lines[2]
        assert "spread 21 points" in next(line for line in lines if line.startswith("EURUSD"))
        # The titles of more than four panels fill the line of a narrow window.
        if size == (120, 36) or len(PANELS) == 4:
            assert lines[0].endswith("12s ago  next 1:48 ─╮")
        foot = lines[-2]
        assert foot.startswith("◆ 1 candidate")


async def test_scanner_tells_a_missing_trigger_from_a_low_score() -> None:
    async with bench() as b:
        details = {
            "AAA": {"code": "SCORE", "gate": "trigger", "score": 70.0, "need": 45.0},
            "BBB": {"code": "SCORE", "gate": "score", "score": 40.0, "need": 45.0},
            "CCC": {"code": "SCORE", "gate": "probability", "score": 60.0, "need": 45.0},
        }
        texts = {"AAA": "No Trigger (no M1 break up)", "BBB": "Low Score (40 < 45)",
                 "CCC": "Low ML Prob (0.47 < 0.52)"}  # fmt: skip
        b.source.publish("SCAN_SUMMARY", symbols=texts, count=3, candidates=0, details=details)
        lines = await panel_lines(b, 2)
        assert [line.split()[:3] for line in lines[2:5]] == [
            ["CCC", "□", "ML"], ["AAA", "□", "TRIGGER"], ["BBB", "□", "SCORE"],
        ]  # fmt: skip
        assert "no M1 break up" in lines[3]  # whole, if need be without what the stage says
        await b.press("slash")
        b.type("no trigger")
        await b.now()
        assert len(b.main.panels[1].rows) == 1


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_events_time_kind_and_words_with_repeats_in_one_line(size: Any) -> None:
    async with bench(size) as b:
        lines = await panel_lines(b, 3)
        assert "3 Events" in lines[0]
        assert lines[0].endswith("following ▼ ─╮")
        body = [line for line in lines[1:-1] if line]
        assert body[-1].startswith("13:04:52 SCAN   8 symbols, 1 candidate")
        assert body[-1].endswith("(x2)")
        assert body[-2].startswith("13:04:00 ORDER  EURUSD SELL market 0.10  REJECTED INVALID_STO")
        assert body[-3].startswith("13:02:11 MODIFY XAUUSD  SL 2337.20 → 2338.10  trailing")
        told = sum(line.count for line in b.main.panels[2].rows)
        assert f"Events ({told})" in lines[0] or f"Events {told}]" in lines[0]


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_trades_newest_first_and_statistics_that_follow_from_the_rows(size: Any) -> None:
    async with bench(size) as b:
        lines = await panel_lines(b, 4)
        rows = [line.split() for line in lines if line[:5] in ("12:41", "11:58", "10:20")]
        assert [r[1] for r in rows] == ["XAUUSD", "EURUSD", "GBPJPY"]
        results = [float(r[4].rstrip("▲▼")) for r in rows]
        assert results == [30.70, -10.50, 96.10]
        foot = lines[-2]
        assert f"net {sum(results):+.2f}▲" in foot
        assert "won 2 of 3" in foot or "won 2/3" in foot
        assert f"{(30.70 + 96.10) / 10.50:.2f}" in foot


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_header_account_alert_and_keys_take_their_lines_whole(size: Any) -> None:
    async with bench(size) as b:
        text = await b.now()
        header, account = lines_of(b.main.header), lines_of(b.main.account)
        assert "PAPER" in header[0]
        assert "LIVE 0.0s" in header[0]
        assert "5012345" in header[0] or "5012345" in text.splitlines()[-2]
        assert "10,042.10" in account[0]
        assert "+118.40▲ +1.19%" in account[0]
        if len(account) > 1:
            assert "0.4% of 3.0%" in account[1]
        assert "REJECTED INVALID_STOPS (10016)" in lines_of(b.main.alert)[0]
        assert "quit" in lines_of(b.main.keys)[0]
        for widget in (b.main.header, b.main.account, b.main.alert, b.main.keys):
            assert {cell_len(line) for line in lines_of(widget)} == {size[0]}


async def test_on_a_small_screen_the_last_line_but_one_names_the_account() -> None:
    async with bench((80, 24)) as b:
        await b.press("A")
        assert "5012345@Paper-Demo" in lines_of(b.main.alert)[0]


@pytest.mark.parametrize("cells", [(120, 36), (80, 24)], ids=str)
async def test_a_message_stands_over_the_keys_and_goes(cells: Any) -> None:
    async with bench(cells) as b:
        before = await b.now()
        text = await b.press("t")
        assert "Theme " in text.splitlines()[-1]
        assert text.splitlines()[:-1] == before.splitlines()[:-1]  # nothing else is covered
        b.time.go(20)
        assert f"{KEYS} panel" in (await b.now()).splitlines()[-1]


async def test_the_newest_candle_ends_at_the_price_now_and_not_at_the_last_closed_bar() -> None:
    async with bench() as b:
        await b.now()
        closed = [Candle(1772629200.0, 2300, 2301, 2299, 2300)]
        bar = forming(View.of(b.app.session), "XAUUSD", "M5", closed)
        assert bar is not None
        assert bar.close == 2342.63  # the bid
        assert bar.time == 1772629500  # 13:05
        for bid in (2350.0, 2340.0):
            b.time.go(2)
            b.source.publish("QUOTE_UPDATE", quotes={"XAUUSD": {"bid": bid, "digits": 2}},
                             server_time=b.source.iso())  # fmt: skip
            await b.now()
        bar = forming(View.of(b.app.session), "XAUUSD", "M5", closed)
        assert bar is not None
        assert bar[1:] == (2342.63, 2350.0, 2340.0, 2340.0)
        # Where the feed sends the open bar itself, that one counts.
        own = closed[0]._replace(time=bar.time)
        assert forming(View.of(b.app.session), "XAUUSD", "M5", [own]) is None
