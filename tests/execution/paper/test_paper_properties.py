"""Identities that hold whatever is traded: money, volumes, averages, tickets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.paper_desk import Desk

from execution.api import constants as mt5
from execution.paper.account.ledger import AccountConfig

QUOTES = {
    "EURUSD": [
        (float(at), round(1.1 + (at * 7919 % 997 - 498) * 1e-5, 5), 0.0) for at in range(1, 600)
    ],
    "EURJPY": [
        (float(at), round(165.0 + (at * 6007 % 991 - 495) * 1e-3, 3), 0.0) for at in range(1, 600)
    ],
}
ROWS = {
    name: [
        (0.0, rows[0][1], round(rows[0][1] + 10 * point, digits)),
        *((at, bid, round(bid + 12 * point, digits)) for at, bid, _ in rows),
    ]
    for (name, rows), point, digits in zip(QUOTES.items(), (1e-5, 1e-3), (5, 3), strict=True)
}

_actions = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "close", "part", "limit", "stop", "by", "stops", "wait"]),
        st.sampled_from(["EURUSD", "EURJPY"]),
        st.integers(1, 60),
        st.integers(1, 400),
    ),
    max_size=40,
)


def _act(desk: Desk, act: tuple[str, str, int, int], clock: list[float]) -> None:
    what, symbol, hundredths, away = act
    volume = round(hundredths / 100, 2)
    held = [each for each in desk.positions() if each.symbol == symbol]
    tick = desk.mt5.symbol_info_tick(symbol)
    assert tick is not None
    point, digits = (1e-5, 5) if symbol == "EURUSD" else (1e-3, 3)
    if what in ("buy", "sell"):
        desk.deal(what, volume, symbol=symbol)
    elif what == "wait":
        clock[0] = min(clock[0] + away / 10, 700.0)
        desk.at(clock[0])
    elif what in ("limit", "stop"):
        limit = what == "limit"
        kind = mt5.ORDER_TYPE_BUY_LIMIT if limit else mt5.ORDER_TYPE_BUY_STOP
        price = round(tick.ask + (-away if limit else away) * point, digits)
        desk.pend(kind, price, volume, symbol=symbol)
    elif held and what in ("close", "part"):
        each = held[hundredths % len(held)]
        size = each.volume if what == "close" else round(min(volume, each.volume), 2)
        side = "sell" if each.type == 0 else "buy"
        desk.deal(side, size, symbol=symbol, position=each.ticket)
    elif held and what == "stops":
        each = held[0]
        sign = 1 if each.type == 0 else -1
        base = tick.bid if each.type == 0 else tick.ask
        desk.send(
            action=mt5.TRADE_ACTION_SLTP,
            symbol=symbol,
            position=each.ticket,
            sl=round(base - sign * away * point, digits),
            tp=round(base + sign * away * point, digits),
        )
    elif len(held) > 1 and what == "by":
        desk.send(
            action=mt5.TRADE_ACTION_CLOSE_BY,
            position=held[0].ticket,
            position_by=held[-1].ticket,
        )


def _check(desk: Desk, tickets: set[int]) -> None:
    info = desk.mt5.account_info()
    assert info is not None
    deals: Any = desk.deals()
    assert info.balance == pytest.approx(
        sum(deal.profit + deal.swap + deal.commission + deal.fee for deal in deals), abs=1e-6
    )
    floating = sum(each.profit + each.swap for each in desk.positions())
    assert info.profit == pytest.approx(floating, abs=1e-6)
    assert info.equity == pytest.approx(info.balance + floating, abs=1e-6)
    assert info.margin_free == pytest.approx(info.equity - info.margin, abs=1e-6)
    assert info.margin >= 0
    for each in desk.positions():
        assert each.volume >= 0.01
        assert each.volume == round(each.volume, 2)
        in_out = sum(
            deal.volume if deal.entry == mt5.DEAL_ENTRY_IN else -deal.volume
            for deal in deals
            if deal.position_id == each.identifier and deal.entry != mt5.DEAL_ENTRY_INOUT
        )
        if not any(
            deal.entry == mt5.DEAL_ENTRY_INOUT and deal.position_id == each.identifier
            for deal in deals
        ):
            assert each.volume == pytest.approx(in_out)
    numbers = [deal.ticket for deal in deals]
    assert numbers == sorted(set(numbers))
    assert [deal.time_msc for deal in deals] == sorted(deal.time_msc for deal in deals)
    assert tickets <= {deal.ticket for deal in deals}
    tickets |= {deal.ticket for deal in deals}


@pytest.mark.parametrize("mode", [0, 2])
def test_identities_hold_after_every_action(mode: int) -> None:
    account = AccountConfig(
        leverage=100, commission=3.5, margin_mode=mode, balance=30_000.0, fifo_close=False
    )

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_actions)
    def run(actions: list[tuple[str, str, int, int]]) -> None:
        desk, clock, tickets = Desk(ROWS, account=account), [1.0], set[int]()
        desk.at(1.0)
        for act in actions:
            _act(desk, act, clock)
            _check(desk, tickets)
        if mode == 0:
            symbols = [each.symbol for each in desk.positions()]
            assert len(symbols) == len(set(symbols))

    run()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30)), min_size=1, max_size=20))
def test_netting_holds_the_signed_sum_and_the_average_of_what_was_added(
    trades: list[tuple[bool, int]],
) -> None:
    account = AccountConfig(leverage=500, margin_mode=0, balance=1e6)
    desk = Desk(ROWS, account=account)
    size, average = 0, 0.0
    for at, (buy, hundredths) in enumerate(trades):
        desk.at(float(at))
        result = desk.deal("buy" if buy else "sell", hundredths / 100)
        assert result.retcode == mt5.TRADE_RETCODE_DONE
        signed = hundredths if buy else -hundredths
        if size * signed >= 0:
            average = (average * abs(size) + result.price * hundredths) / abs(size + signed)
        elif abs(signed) > abs(size):
            average = result.price
        size += signed
        held = desk.positions()
        if size == 0:
            assert held == ()
            average = 0.0
        else:
            (position,) = held
            assert position.volume == abs(size) / 100
            assert position.type == (0 if size > 0 else 1)
            assert position.price_open == pytest.approx(average, rel=1e-12)
