"""The drop-in module answers every recorded call as the real package did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.package_calls import answer, answers
from support.package_shape import shape
from support.paths import TESTS

from execution.paper import metatrader5, open_paper
from execution.settings import PaperSettings

RECORDINGS = TESTS / "execution" / "api" / "recordings"
REFUSED = -2


def recorded(name: str) -> Any:
    return json.loads((RECORDINGS / f"{name}_5.0.6231.json").read_text())


@pytest.fixture(scope="module")
def paper() -> Iterator[Any]:
    terminal = open_paper(PaperSettings())
    metatrader5.use(terminal)
    yield terminal
    metatrader5.use(None)


@pytest.mark.parametrize("name", ["calls", "generated"])
def test_without_a_terminal_every_call_is_answered_as_recorded(paper: Any, name: str) -> None:
    rows = recorded(name)
    assert len(rows) in (341, 1500)
    paper.shutdown()
    paper.faults.ipc_lost = True
    paper._error = (0, "")
    try:
        ours = answers(metatrader5, [row[0] for row in rows])
    finally:
        paper.faults.ipc_lost = False
    assert [(r, o) for r, o in zip(rows, ours, strict=True) if r != o] == []


@pytest.mark.parametrize("name", ["calls", "generated"])
def test_with_a_terminal_every_refusal_stays_as_recorded(paper: Any, name: str) -> None:
    """A terminal that is there changes what is answered, never what is refused."""
    balance = paper.ledger.balance
    seen = 0
    for call, value, (code, text), words in recorded(name):
        metatrader5.initialize()
        if code != REFUSED or value == "TypeError" or "last_error" in call:
            continue
        assert answer(metatrader5, call) == [call, value, [code, text], words]
        seen += 1
    assert seen > 100
    assert (paper.ledger.balance, paper.ledger.positions) == (balance, {})


def test_the_form_of_a_call_is_refused_with_a_terminal_as_without(paper: Any) -> None:
    metatrader5.initialize()
    for call, value, _, words in recorded("calls"):
        if value == "TypeError" and "mt5.Close" not in call:
            before = metatrader5.last_error()
            assert answer(metatrader5, call) == [call, value, list(before), words]


def test_the_module_has_the_packages_shape() -> None:
    real = recorded("shape")
    ours = shape(metatrader5)
    for part in real:
        assert ours[part] == real[part], part


def test_with_a_terminal_the_answers_are_of_the_packages_types(paper: Any) -> None:
    metatrader5.initialize()
    bought = metatrader5.Buy("EURUSD", 0.1)
    assert type(bought) is metatrader5.OrderSendResult
    assert type(bought.request) is metatrader5.TradeRequest
    assert bought.retcode == metatrader5.TRADE_RETCODE_DONE
    (position,) = metatrader5.positions_get(ticket=bought.order)
    assert type(position) is metatrader5.TradePosition
    assert position._asdict()["ticket"] == bought.order
    assert type(metatrader5.symbols_get()[0]) is metatrader5.SymbolInfo
    assert type(metatrader5.symbol_info_tick("EURUSD")) is metatrader5.Tick
    assert metatrader5.version()[0] == 500
    assert metatrader5.Close("EURUSD") is True
    assert metatrader5.Close("EURUSD") is False
    with pytest.raises(AttributeError):
        metatrader5.no_such_name  # noqa: B018


def test_a_requote_is_tried_again_up_to_ten_times(paper: Any) -> None:
    metatrader5.initialize()
    paper.faults.requotes = 9
    assert metatrader5.Buy("EURUSD", 0.1).retcode == metatrader5.TRADE_RETCODE_DONE
    paper.faults.requotes = 10
    assert metatrader5.Sell("EURUSD", 0.1).retcode == metatrader5.TRADE_RETCODE_REQUOTE
    paper.faults.requotes = 3
    assert metatrader5.Close("EURUSD") is True
    paper.faults.requotes = 10
    assert metatrader5.Buy("EURUSD", 0.1, 1.0).retcode == metatrader5.TRADE_RETCODE_REQUOTE
    assert paper.faults.requotes == 9, "with a price it is tried once"
    paper.faults.requotes = 0
