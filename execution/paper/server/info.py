"""The information structs of the paper terminal, its account and its symbols."""

from __future__ import annotations

from ...api import constants as mt5
from ...api.structs import AccountInfo, SymbolInfo, TerminalInfo
from ..account.ledger import Ledger
from ..account.money import tick_values
from ..market.tape import Tape
from .faults import Faults

_UNUSED = {name: 0.0 for name in SymbolInfo._fields if name.startswith(("price_", "session_"))}
_TEXTS = ("bank", "exchange", "formula", "isin", "page", "basis", "category")


def terminal_info(faults: Faults, market_text: str, build: int, max_bars: int) -> TerminalInfo:
    """``path`` describes the market: a paper terminal has no folder."""
    return TerminalInfo(
        community_account=False,
        community_connection=False,
        connected=not faults.no_broker,
        dlls_allowed=False,
        trade_allowed=not faults.autotrading_off,
        tradeapi_disabled=faults.api_disabled,
        email_enabled=False,
        ftp_enabled=False,
        notifications_enabled=False,
        mqid=False,
        build=build,
        maxbars=max_bars,
        codepage=0,
        ping_last=int(faults.latency_s * 1_000_000),
        community_balance=0.0,
        retransmission=0.0,
        company="mt5dash",
        name="mt5dash paper terminal",
        language="English",
        path=market_text,
        data_path="",
        commondata_path="",
    )


def account_info(ledger: Ledger, faults: Faults) -> AccountInfo:
    config = ledger.config
    profit, margin = ledger.floating(), ledger.margin()
    equity = ledger.money(ledger.balance + ledger.credit + profit)
    return AccountInfo(
        login=config.login,
        trade_mode=config.trade_mode,
        leverage=config.leverage,
        limit_orders=config.limit_orders,
        margin_so_mode=config.so_mode,
        trade_allowed=not faults.account_disabled,
        trade_expert=not faults.server_forbids,
        margin_mode=config.margin_mode,
        currency_digits=config.digits,
        fifo_close=config.fifo_close,
        balance=ledger.balance,
        credit=ledger.credit,
        profit=profit,
        equity=equity,
        margin=margin,
        margin_free=ledger.money(equity - margin),
        margin_level=equity / margin * 100 if margin else 0.0,
        margin_so_call=config.margin_call,
        margin_so_so=config.stop_out,
        margin_initial=0.0,
        margin_maintenance=0.0,
        assets=0.0,
        liabilities=0.0,
        commission_blocked=0.0,
        name=config.name,
        server=config.server,
        currency=config.currency,
        company=config.company,
    )


def symbol_info(ledger: Ledger, tape: Tape) -> SymbolInfo:
    """All 96 fields; prices of the day are those of the forming D1 bar."""
    spec = tape.spec
    bid, ask = tape.quote_bid, tape.quote_ask
    # A symbol without a quote has no day; its old bars need not be drawn for it.
    days = tape.bars(mt5.TIMEFRAME_D1, 2) if tape.quote_ms else None
    today = None if days is None or not len(days) else days[-1]
    yesterday = None if days is None or len(days) < 2 else days[-2]
    ask_high, ask_low = tape.day_asks()
    in_profit, in_loss = tick_values(spec, ledger.converter)
    values: dict[str, object] = {**_UNUSED, **dict.fromkeys(_TEXTS, "")}
    values |= {
        "custom": False,
        "chart_mode": spec.chart_mode,
        "select": tape.selected,
        "visible": tape.selected,
        "session_deals": 0,
        "session_buy_orders": 0,
        "session_sell_orders": 0,
        "volume": 0,
        "volumehigh": 0,
        "volumelow": 0,
        "time": tape.quote_ms // 1000,
        "digits": spec.digits,
        "spread": round((ask - bid) / spec.point),
        "spread_float": True,
        "ticks_bookdepth": 0,
        "trade_calc_mode": spec.calc_mode,
        "trade_mode": spec.trade_mode,
        "start_time": 0,
        "expiration_time": 0,
        "trade_stops_level": spec.stops_level,
        "trade_freeze_level": spec.freeze_level,
        "trade_exemode": spec.exemode,
        "swap_mode": spec.swap_mode,
        "swap_rollover3days": spec.swap_3days,
        "margin_hedged_use_leg": spec.hedged_use_leg,
        "expiration_mode": spec.expiration_mode,
        "filling_mode": spec.filling_mode,
        "order_mode": spec.order_mode,
        "order_gtc_mode": spec.gtc_mode,
        "option_mode": 0,
        "option_right": 0,
        "bid": bid,
        "bidhigh": float(today["high"]) if today is not None else 0.0,
        "bidlow": float(today["low"]) if today is not None else 0.0,
        "ask": ask,
        "askhigh": ask_high,
        "asklow": ask_low,
        "last": 0.0,
        "lasthigh": 0.0,
        "lastlow": 0.0,
        "volume_real": 0.0,
        "volumehigh_real": 0.0,
        "volumelow_real": 0.0,
        "option_strike": 0.0,
        "point": spec.point,
        "trade_tick_value": in_profit,
        "trade_tick_value_profit": in_profit,
        "trade_tick_value_loss": in_loss,
        "trade_tick_size": spec.tick,
        "trade_contract_size": spec.contract,
        "trade_accrued_interest": 0.0,
        "trade_face_value": spec.face_value,
        "trade_liquidity_rate": spec.liquidity_rate,
        "volume_min": spec.volume_min,
        "volume_max": spec.volume_max,
        "volume_step": spec.volume_step,
        "volume_limit": spec.volume_limit,
        "swap_long": spec.swap_long,
        "swap_short": spec.swap_short,
        "margin_initial": spec.margin_initial,
        "margin_maintenance": spec.margin_maintenance,
        "session_open": float(today["open"]) if today is not None else 0.0,
        "session_close": float(yesterday["close"]) if yesterday is not None else 0.0,
        "margin_hedged": spec.margin_hedged,
        "currency_base": spec.base,
        "currency_profit": spec.profit,
        "currency_margin": spec.margin,
        "description": spec.description,
        "name": spec.name,
        "path": spec.path,
    }
    if yesterday is not None and yesterday["close"]:
        before = float(yesterday["close"])
        values["price_change"] = round((bid - before) / before * 100, 4)
    return SymbolInfo(**values)  # type: ignore[arg-type]
