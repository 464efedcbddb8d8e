"""Settings of the execution floor: which terminal, how often it is read, how orders are sent.

Durations are seconds, money is in the account's currency, deviation is in points.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class PaperSettings(BaseModel):
    """The terminal in memory: its market and its account."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    seed: int = Field(7, ge=0, description="Seed of the generated market; same seed, same prices.")
    speed: float = Field(
        1.0,
        gt=0,
        le=100_000,
        allow_inf_nan=False,
        description="Market seconds per real second.",
    )
    market: Path | None = Field(
        None,
        description="Folder or file of real quotes to replay (Lean zips, MT5 CSV, Dukascopy, "
        "HistData); none: a generated market.",
    )
    start: str | None = Field(
        None,
        description="Server time at which the market starts, ISO 8601; none: now for a generated "
        "market, the first quote that leaves enough history for a replay.",
    )
    balance: float = Field(
        10_000.0, gt=0, allow_inf_nan=False, description="First deposit of the paper account."
    )
    currency: str = Field(
        "USD", pattern="^[A-Z]{3}$", description="Deposit currency of the paper account."
    )
    leverage: int = Field(500, ge=1, le=5000, description="Leverage of the paper account, 1:N.")
    margin_mode: Literal["netting", "exchange", "hedging"] = Field(
        "hedging", description="How the account counts positions of one symbol."
    )
    commission_per_lot: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Commission charged per lot and side, in the deposit currency.",
    )
    state: Path | None = Field(
        None,
        description="File that keeps the paper account between runs; none: each start is a new "
        "account.",
    )
    utc_offset_h: float = Field(
        0.0,
        ge=-14,
        le=14,
        description="Server time minus the market's own time (UTC for generated and Lean quotes), "
        "in hours.",
    )
    like: str | None = Field(
        None,
        max_length=4096,
        description="Profile of a broker whose symbols and account the paper terminal has: a file "
        "that `mt5dash doctor --save-profile` wrote, or a shipped one (retail-ecn, netting-exchange, "
        "cent, prop-firm, metaquotes-demo).",
    )
    login: int | None = Field(
        None, ge=1, description="Login of the paper account, as your bot gives it to initialize()."
    )
    password: SecretStr | None = Field(
        None, description="Password that a login to the paper account needs; none: any is right."
    )
    server: str | None = Field(
        None,
        max_length=253,
        description="Server name of the paper account; none: the profile's, and a login may "
        "name any.",
    )
    suffix: str = Field(
        "",
        max_length=12,
        pattern=r"^[A-Za-z0-9._#+-]*$",
        description="Ending of the generated market's symbol names, as some brokers have one "
        "(EURUSD.m).",
    )


class TerminalSettings(BaseModel):
    """The terminal that is watched and traded."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    backend: str = Field(
        "paper",
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        description="paper: a terminal in memory. native: the MetaTrader5 package in a child "
        "process (Windows). agent: a terminal elsewhere, behind `mt5dash agent`. rpyc: one behind "
        "an mt5linux server. Or the name of an installed one.",
    )
    address: str = Field(
        "127.0.0.1:18812", description="HOST:PORT of the agent or rpyc server (agent, rpyc)."
    )
    token: SecretStr | None = Field(
        None, description="Token that the agent asks for (agent). Better set by environment."
    )
    path: Path | None = Field(
        None, description="terminal64.exe to start or attach to (native, agent); none: the default."
    )
    login: int | None = Field(None, ge=1, description="Account to log in; none: the one logged in.")
    password: SecretStr | None = Field(None, description="Password of that account.")
    server: str | None = Field(None, description="Trade server of that account.")
    symbols: list[str] = Field(
        default_factory=list,
        description="Symbols to watch; empty: all of the paper market, all of Market Watch.",
    )
    poll_s: float = Field(
        1.0, ge=0.05, le=60, description="How often account, positions and orders are read."
    )
    quotes_s: float = Field(0.5, ge=0.05, le=60, description="How often quotes are read.")
    magic: int = Field(
        234_000, ge=1, le=2**31 - 1, description="Magic number that marks the bot's own orders."
    )
    deviation: int = Field(
        20, ge=0, le=10_000, description="Slippage accepted by instant execution, in points."
    )
    read_s: float = Field(2.0, gt=0, le=120, description="Deadline of a read.")
    history_s: float = Field(15.0, gt=0, le=300, description="Deadline of bars, ticks and history.")
    order_s: float = Field(15.0, gt=0, le=300, description="Deadline of sending an order.")
    connect_s: float = Field(
        75.0,
        gt=0,
        le=600,
        description="Deadline of connecting; a terminal's first start may take a minute.",
    )
    stale_s: float = Field(
        5.0, gt=0, le=600, description="After so long without an answer the data is called stale."
    )
    backoff_max_s: float = Field(
        2.0, ge=0.1, le=600, description="Longest wait between two attempts to connect."
    )
    utc_offset_h: float | None = Field(
        None,
        ge=-14,
        le=14,
        description="Server time minus UTC, in hours; none: estimated from the newest ticks.",
    )
    reconcile_s: float = Field(
        120.0,
        gt=0,
        le=3600,
        description="How long an order with a lost answer is searched for before the operator "
        "is asked.",
    )
    intents: Path | None = Field(
        None,
        description="File that remembers orders before they are sent; none: beside the journal.",
    )
