"""A paper account survives a restart: what stood stands, at the price where it stood."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.paper_desk import START, Desk
from support.paths import ROOT

from execution.api import constants as mt5
from execution.paper import MarketError, PaperTerminal, open_paper
from execution.paper.account.state import StateFile, give, take
from execution.settings import PaperSettings


def _open(path: Path, **more: Any) -> PaperTerminal:
    values = {"state": path, "start": "2025-06-03T10:00", **more}
    paper = open_paper(PaperSettings.model_validate(values))
    assert paper.initialize()
    return paper


def _deal(paper: PaperTerminal, **fields: Any) -> Any:
    result = paper.order_send({"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0, **fields})
    assert result is not None
    assert result.retcode == mt5.TRADE_RETCODE_DONE
    return result


def test_everything_is_there_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "paper.json"
    first = _open(path)
    opened = _deal(first, sl=1.1, magic=7, comment="mine")
    closed = _deal(first, symbol="GBPUSD")
    _deal(first, symbol="GBPUSD", type=1, position=closed.order)
    pending = first.order_send(
        action=5, symbol="EURUSD", volume=0.2, type=2, price=1.0, type_filling=2
    )
    assert pending is not None
    before = (first.account_info(), first.positions_get(), first.orders_get())
    deals = first.history_deals_get(0, 2**31 - 1)
    done = first.history_orders_get(0, 2**31 - 1)
    tick = first.symbol_info_tick("EURUSD")
    at = first.server_now()
    first.shutdown()

    again = _open(path)
    assert again.server_now() >= at
    info, positions = again.account_info(), again.positions_get()
    assert info is not None
    assert before[0] is not None
    assert info.balance == before[0].balance
    assert info.margin == before[0].margin
    assert positions is not None
    assert [each.ticket for each in positions] == [opened.order]
    assert (positions[0].sl, positions[0].magic, positions[0].comment) == (1.1, 7, "mine")
    orders = again.orders_get()
    assert orders is not None
    assert [each.ticket for each in orders] == [pending.order]
    assert again.history_deals_get(0, 2**31 - 1) == deals
    assert again.history_orders_get(0, 2**31 - 1) == done
    now = again.symbol_info_tick("EURUSD")
    assert tick is not None
    assert now is not None
    assert now.bid == pytest.approx(tick.bid, abs=3e-4)  # the market goes on where it was
    fresh = _deal(again)
    assert fresh.order > pending.order
    assert fresh.deal > max(deal.ticket for deal in deals or ())


def test_an_acknowledged_order_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "paper.json"
    code = """
import os, sys
from execution.paper import open_paper
from execution.settings import PaperSettings
paper = open_paper(PaperSettings.model_validate({"state": sys.argv[1], "start": "2025-06-03T10:00"}))
paper.initialize()
result = paper.order_send(action=1, symbol="EURUSD", volume=0.1, type=0)
print(result.order, flush=True)
os._exit(9)
"""
    root = ROOT
    run = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=False,
    )
    assert run.returncode == 9, run.stderr
    positions = _open(path).positions_get()
    assert positions is not None
    assert [each.ticket for each in positions] == [int(run.stdout)]


def test_nights_in_between_are_charged_and_stops_wait_for_the_first_tick() -> None:
    desk = Desk()
    desk.deal("buy", 1.0)
    saved = take(desk.mt5.ledger, "scripted", int(START * 1000))
    later = START + 2 * 86_400
    after = Desk(start=later, saved=saved)
    (position,) = after.positions()
    assert position.swap == -7.2 * 4  # Tuesday's night and Wednesday's three
    assert len(after.deals()) == 2


def test_a_kept_account_is_the_same_in_every_field(tmp_path: Path) -> None:
    desk = Desk()
    desk.deal("buy", 0.1, sl=1.0, comment="ümläut")
    desk.pend(mt5.ORDER_TYPE_SELL_STOP, 1.05, type_time=1)
    file = StateFile(tmp_path / "s.json", "scripted")
    file.save(take(desk.mt5.ledger, "scripted", 5))
    saved = file.load(desk.account)
    assert saved is not None
    other = Desk()
    give(saved, other.mt5.ledger)
    assert other.positions() == desk.positions()
    assert other.mt5.orders_get() == desk.mt5.orders_get()
    assert other.deals() == desk.deals()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"suffix": ".x"}, "is of market generated, wanted is generated.x"),
        ({"currency": "EUR"}, "is of currency USD, wanted is EUR"),
        ({"margin_mode": "netting"}, "is of margin mode 2, wanted is 0"),
    ],
)
def test_another_market_or_account_is_refused(
    tmp_path: Path, change: dict[str, str], words: str
) -> None:
    path = tmp_path / "paper.json"
    _open(path).shutdown()
    with pytest.raises(MarketError, match=words) as caught:
        _open(path, **change)
    assert "state file" in caught.value.do


@pytest.mark.parametrize("damage", ["cut", "field", "position"])
def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "paper.json"
    paper = _open(path)
    _deal(paper)
    paper.shutdown()
    content = path.read_text()
    values = json.loads(content)
    if damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "field":
        values["surprise"] = 1
        content = json.dumps(values)
    else:
        values["positions"][0].pop("margin")
        content = json.dumps(values)
    path.write_text(content)
    with pytest.raises(MarketError):
        _open(path)
    assert path.read_text() == content
