"""A paper terminal like the user's own: profiles of brokers, and the account's identity."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paper_desk import Desk
from support.present import present

from execution import agent
from execution.api import constants as mt5
from execution.api import structs
from execution.api.oddity import oddity
from execution.paper import MarketError, open_paper, profile
from execution.paper.account.ledger import AccountConfig
from execution.paper.account.money import raw_margin
from execution.paper.market.symbols import SPECS
from execution.paper.server.terminal import PaperTerminal
from execution.settings import PaperSettings

START = "2025-06-02T14:00"
NAMES = sorted(path.stem for path in profile.SHIPPED.glob("*.json"))
GOOD: dict[str, Any] = {
    "name": "EURUSD.x", "digits": 5, "point": 1e-5, "bid": 1.2, "ask": 1.2002, "spread": 20,
    "currency_base": "EUR", "currency_profit": "USD", "currency_margin": "EUR",
}  # fmt: skip


def opened(**settings: Any) -> PaperTerminal:
    paper = open_paper(PaperSettings.model_validate({"start": START, **settings}))
    assert paper.initialize()
    return paper


def written(path: Path, *symbols: dict[str, Any], **account: Any) -> str:
    file = path / "broker.json"
    content = {"profile": 1, "account": account, "symbols": symbols or [GOOD]}
    file.write_text(json.dumps(content))
    return str(file)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_opens_and_every_symbol_of_it_trades(name: str) -> None:
    paper = opened(like=name)
    assert paper.left_out == []
    broker = profile.load(name)
    account = paper.account_info()
    assert account is not None
    assert (account.login, account.server) == (broker.profile.login, broker.profile.server)
    assert account.currency == broker.profile.currency
    assert account.trade_mode == mt5.ACCOUNT_TRADE_MODE_DEMO
    infos = paper.symbols_get()
    assert infos is not None
    assert {info.name for info in infos if info.visible} == broker.visible
    for info in infos:
        assert oddity(info) is None
        if not info.visible:
            continue
        filling = mt5.ORDER_FILLING_FOK if info.filling_mode & 1 else mt5.ORDER_FILLING_IOC
        request = {
            "action": 1, "symbol": info.name, "volume": info.volume_min, "type": 0,
            "price": info.ask, "deviation": 100, "type_filling": filling,
        }  # fmt: skip
        bought = paper.order_send(request)
        assert bought is not None
        assert bought.retcode == mt5.TRADE_RETCODE_DONE, (info.name, bought)
        moved = paper.order_calc_profit(
            0, info.name, 1.0, info.ask, info.ask + info.trade_tick_size
        )
        assert moved == pytest.approx(info.trade_tick_value, abs=0.011)
        rates = paper.copy_rates_from_pos(info.name, mt5.TIMEFRAME_M15, 0, 300)
        assert rates is not None
        assert len(rates) == 300
    assert len(paper.positions_get() or ()) == len(broker.visible)
    deals = paper.history_deals_get(0, 2**31 - 1) or ()
    assert paper.ledger.balance == pytest.approx(sum(d.profit + d.commission for d in deals))


def test_the_settings_help_names_every_shipped_profile() -> None:
    text = PaperSettings.model_fields["like"].description or ""
    assert (
        sorted(["cent", "metaquotes-demo", "netting-exchange", "prop-firm", "retail-ecn"]) == NAMES
    )
    assert all(name in text for name in NAMES)


def test_a_bot_that_gives_its_own_login_is_let_in(tmp_path: Path) -> None:
    mine = {"login": 778899, "password": "secret", "server": "Broker-Live"}
    paper = open_paper(PaperSettings.model_validate({"start": START, **mine}))
    assert paper.initialize(**mine) is True
    account = paper.account_info()
    assert account is not None
    assert (account.login, account.server) == (778899, "Broker-Live")
    for wrong in ({"login": 1}, {"password": "guess"}, {"server": "Other"}):
        assert paper.initialize(**(mine | wrong)) is False
        assert paper.last_error() == (-6, "Terminal: Authorization failed")
    assert paper.initialize(login=778899) is True, "the terminal knows the password"
    assert paper.login(778899, "secret", "Broker-Live") is True
    assert paper.login(778899, "guess") is False
    loose = open_paper(PaperSettings(start=START, login=778899))
    assert loose.initialize(login=778899, password="any", server="Any-Server") is True
    like = written(tmp_path, login=42, server="My-Broker")
    assert opened(like=like).login(42) is True
    assert opened(like=like, login=43).login(43) is True


def test_settings_that_are_given_win_over_the_profile(tmp_path: Path) -> None:
    like = written(tmp_path, currency="EUR", leverage=30, margin_mode=0, login=42)
    plain = opened(like=like).ledger.config
    assert (plain.currency, plain.leverage, plain.margin_mode, plain.login) == ("EUR", 30, 0, 42)
    assert not plain.hedging
    given = opened(like=like, leverage=200, margin_mode="hedging", balance=777.0).ledger.config
    assert (given.currency, given.leverage, given.balance) == ("EUR", 200, 777.0)
    assert given.hedging


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"volume_max": 0.0}, "volume_max is 0"),
        ({"volume_step": 0}, "volume_step is 0"),
        ({"volume_min": 0.0}, "volume_min is 0"),
        ({"volume_min": 5.0, "volume_max": 1.0}, "volume_max 1 is below volume_min 5"),
        ({"point": 0.0}, "point is 0"),
        ({"digits": -1}, "digits are -1"),
        ({"currency_profit": ""}, "currency_profit is empty"),
        ({"currency_margin": ""}, "currency_margin is empty"),
        ({"trade_contract_size": -1.0}, "trade_contract_size is -1"),
        ({"trade_tick_size": -1.0}, "trade_tick_size is -1"),
        ({"trade_calc_mode": 77}, "trade_calc_mode 77 cannot be computed"),
        ({"name": ""}, "its name has 0 characters"),
        ({"name": "X" * 30}, "its name has 30 characters"),
        ({"name": "EURUSD.x"}, "it is there twice"),
        ({"session": "moon"}, "session moon is not one of fx, metal, crypto"),
        ({"currency_profit": "XXX"}, "no symbol converts XXX to USD"),
        ({"currency_base": "QQQ", "bid": 0.0}, "it has no price"),
        ({"digits": "many"}, "Expected `int`"),
    ],
)
def test_an_odd_symbol_costs_only_its_own_row_in_words(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    odd = GOOD | {"name": "ODD"} | change
    paper = opened(like=written(tmp_path, GOOD, odd))
    assert list(paper.tapes) == ["EURUSD.x"]
    (text,) = paper.left_out
    assert words in text
    assert words in paper.market_text
    request = {"action": 1, "symbol": "EURUSD.x", "type": 0, "volume": 0.1, "type_filling": 0}
    assert present(paper.order_send(request)).retcode == mt5.TRADE_RETCODE_DONE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "p.json: is no profile: "),
        ("", "is no profile"),
        ("[]", "is no profile"),
        ('{"profile": 9, "symbols": []}', "version 9"),
        ('{"profile": 1, "symbols": []}', "has no usable symbol"),
        ('{"profile": 1, "symbols": [{"name": "X"}]}', "has no usable symbol: symbol 1"),
        ('{"profile": 1, "account": {"leverage": 0}, "symbols": []}', "leverage"),
    ],
)
def test_a_file_that_is_no_profile_says_what_to_do(
    tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "p.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(MarketError, match="--save-profile") as caught:
        open_paper(PaperSettings(like=str(file)))
    assert words in str(caught.value)


def test_symbols_follow_what_their_names_say_and_start_at_the_brokers_price(
    tmp_path: Path,
) -> None:
    def cfd(name: str, price: float, **more: Any) -> dict[str, Any]:
        return GOOD | {
            "name": name, "digits": 2, "point": 0.01, "bid": price, "ask": price + 1, "spread": 100,
            "currency_base": "USD", "currency_profit": "USD", "currency_margin": "USD",
            "trade_calc_mode": 4, "trade_contract_size": 1.0, **more,
        }  # fmt: skip

    gbp = {"name": "GBPUSDx", "currency_base": "GBP", "currency_margin": "GBP"}
    rows = [
        GOOD, GOOD | gbp | {"bid": 1.5, "ask": 1.5002},
        GOOD | {"name": "EURGBPx", "currency_profit": "GBP", "bid": 0.8, "ask": 0.8002},
        cfd("USA500.std", 5000.0), cfd("AAPL.US", 230.0), cfd("BTCUSD#", 90_000.0,
        currency_base="BTC", path="Crypto"),
        cfd("PEPEUSD", 12.0, currency_base="PEPE", path="Crypto\\PEPEUSD"),
        GOOD | {"name": "USDRONx", "currency_base": "USD", "currency_profit": "RON",
                "currency_margin": "USD", "bid": 4.4, "ask": 4.402},
        GOOD | {"name": "EURRONx", "currency_profit": "RON", "bid": 5.28, "ask": 5.282},
    ]  # fmt: skip
    paper = opened(like=written(tmp_path, *rows))
    assert paper.left_out == []
    for row in rows:
        tick = paper.symbol_info_tick(row["name"])
        assert tick is not None
        assert tick.bid == pytest.approx(row["bid"], rel=0.02), row["name"]
    # Weekends: only what is crypto by its price or its folder has ticks.
    saturday = open_paper(PaperSettings(like=written(tmp_path, *rows), start="2025-06-07T12:00"))
    saturday.initialize()
    fresh = {
        name for name, tape in saturday.tapes.items()
        if saturday.server_now() - tape.quote_ms / 1000 < 600
    }  # fmt: skip
    assert fresh == {"BTCUSD#", "PEPEUSD"}


def test_a_hidden_symbol_has_no_quote_until_it_is_selected_and_history_then(tmp_path: Path) -> None:
    hidden = GOOD | {
        "name": "USDSEKx", "visible": False, "currency_base": "USD", "currency_profit": "SEK",
        "currency_margin": "USD", "bid": 9.6, "ask": 9.603,
    }  # fmt: skip
    paper = opened(like=written(tmp_path, GOOD, hidden))
    info = paper.symbol_info("USDSEKx")
    assert info is not None
    assert (info.visible, info.bid, info.digits) == (False, 0.0, 5)
    assert paper.symbol_info_tick("USDSEKx") is None
    request = {"action": 1, "symbol": "USDSEKx", "type": 0, "volume": 0.1, "type_filling": 0}
    refused = paper.order_send(request)
    assert refused is not None
    assert refused.retcode == mt5.TRADE_RETCODE_PRICE_OFF
    assert paper.symbol_select("USDSEKx", True) is True
    tick = paper.symbol_info_tick("USDSEKx")
    assert tick is not None
    assert tick.bid == pytest.approx(9.6, rel=0.02)
    assert paper.server_now() - tick.time < 120
    bars = paper.copy_rates_from_pos("USDSEKx", mt5.TIMEFRAME_M1, 0, 500)
    assert bars is not None
    assert len(bars) == 500
    assert np.diff(bars["time"]).max() <= 60, "no hole where it was hidden"
    bought = paper.order_send(request)
    assert bought is not None
    assert bought.retcode == mt5.TRADE_RETCODE_DONE


def test_a_symbol_that_is_selected_late_has_the_prices_it_would_have_had(tmp_path: Path) -> None:
    hidden = GOOD | {"name": "HID", "visible": False}
    early = opened(like=written(tmp_path, GOOD, GOOD | {"name": "HID"}), speed=36_000)
    late = opened(like=written(tmp_path, GOOD, hidden), speed=36_000)
    for paper in (early, late):
        while paper.server_now() < paper.market.start + 5 * 3600:
            paper.terminal_info()
    assert late.symbol_select("HID", True)
    until = int(late.market.start) + 4 * 3600
    one, other = (
        paper.copy_ticks_range("HID", int(paper.market.start), until, -1) for paper in (early, late)
    )
    assert one is not None
    assert other is not None
    assert len(one) > 1000
    assert np.array_equal(one["bid"], other["bid"])
    assert np.array_equal(one["time_msc"], other["time_msc"])


def test_a_cent_account_counts_in_hundredths() -> None:
    usd, usc = (Desk(account=AccountConfig(leverage=100, currency=each)) for each in ("USD", "USC"))
    for desk in (usd, usc):
        for symbol in ("EURUSD", "USDJPY", "EURJPY"):
            desk.deal("buy", 0.01, symbol=symbol)
    for name in ("profit", "margin"):
        values = [getattr(desk.mt5.account_info(), name) for desk in (usd, usc)]
        assert values[1] == pytest.approx(100 * values[0], abs=1.6), name
    calls = [
        (0, "EURUSD", 1.0, 1.1, 1.11), (1, "USDJPY", 1.0, 150.0, 149.0),
        (0, "EURJPY", 1.0, 165.0, 166.0),
    ]  # fmt: skip
    for call in calls:
        profits = [desk.mt5.order_calc_profit(*call) or 0.0 for desk in (usd, usc)]
        assert profits[1] == pytest.approx(100 * profits[0], abs=0.6)


def test_futures_margin_and_ticks_are_the_exchanges() -> None:
    paper = opened(like="netting-exchange")
    spec = paper.tapes["ESZ6"].spec
    assert raw_margin(spec, 2.0, 6200.0, 1) == 32_000.0
    tick = paper.symbol_info_tick("ESZ6")
    assert tick is not None
    assert round(tick.bid / 0.25) * 0.25 == tick.bid
    bars = paper.copy_rates_from_pos("ESZ6", mt5.TIMEFRAME_M1, 0, 30_000)
    assert bars is not None
    for field in ("open", "high", "low", "close"):
        assert np.array_equal(np.round(bars[field] * 4), bars[field] * 4)
    assert paper.order_calc_profit(0, "ESZ6", 1.0, 6200.0, 6210.0) == 500.0


def test_what_an_agent_saves_opens_as_the_same_broker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = opened(like="retail-ecn", login=99)
    file = tmp_path / "saved.json"
    assert agent.write_profile(source, str(file)) == 0
    assert f"{file}: 26 symbols of ECN-Demo" in capsys.readouterr().out
    text = file.read_text()
    for secret in (source.ledger.config.name, '"balance"', '"equity"', "password"):
        assert secret not in text
    again = opened(like=str(file))
    assert again.left_out == []
    assert set(again.tapes) == set(source.tapes)
    for name, tape in source.tapes.items():
        mine, theirs = again.tapes[name].spec, tape.spec
        same = replace(
            mine, spread=theirs.spread, reference=theirs.reference, price=theirs.price,
            commissioned=theirs.commissioned, tick_value=theirs.tick_value,
        )  # fmt: skip
        assert same == theirs
        assert again.tapes[name].selected == tape.selected
    account = again.account_info()
    assert account is not None
    assert (account.login, account.server, account.leverage) == (99, "ECN-Demo", 500)
    source.faults.ipc_lost = True
    assert agent.write_profile(source, str(file)) == 1
    source.faults.ipc_lost = False
    assert agent.write_profile(source, str(tmp_path / "no" / "such.json")) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_agent_saves_what_a_profile_reads() -> None:
    """The agent is one file of its own, so the names are there as well."""
    by_hand = {"balance", "commission_per_lot", "utc_offset_h", "session", "price", "commissioned"}
    for names, kind, source in (
        (agent.PROFILE_ACCOUNT, profile.AccountProfile, structs.AccountInfo),
        (agent.PROFILE_TERMINAL, profile.TerminalProfile, structs.TerminalInfo),
        (agent.PROFILE_SYMBOL, profile.SymbolProfile, structs.SymbolInfo),
    ):
        assert set(names) == set(kind.__struct_fields__) - by_hand
        assert set(names) <= set(source._fields)
    assert agent.PROFILE_VERSION == profile.VERSION


def test_a_recording_takes_the_brokers_terms(tmp_path: Path) -> None:
    lines = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    lines += [
        f"2025.06.{day:02d}\t{hour:02d}:{minute:02d}:00\t1.1\t1.1002\t1.0999\t1.1001\t9\t0\t12"
        for day in range(2, 7) for hour in range(24) for minute in range(60)
    ]  # fmt: skip
    (tmp_path / "EURUSD_M1.csv").write_text("\n".join(lines))
    strict = GOOD | {"trade_exemode": 1, "trade_stops_level": 40, "volume_min": 0.1}
    paper = opened(market=tmp_path / "EURUSD_M1.csv", start=None, like=written(tmp_path, strict))
    spec = paper.tapes["EURUSD"].spec
    assert (spec.name, spec.exemode, spec.stops_level, spec.volume_min) == ("EURUSD", 1, 40, 0.1)


def test_shipped_symbols_are_not_odd() -> None:
    paper = opened()
    infos = paper.symbols_get()
    assert infos is not None
    assert [info.name for info in infos if oddity(info) is not None] == []
    assert {"ETHUSD", "NZDUSD", "EURGBP", "US500", "XAGUSD", "XTIUSD"} <= set(SPECS)
