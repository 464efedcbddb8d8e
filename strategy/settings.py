"""Settings of the strategy floor: the scan, its gates, risk, exit rules, news.

Everything is validated on the way in; an unknown key is an error. ``preset = "demo"`` is a
demonstration set-up: minutes, so that something is to be seen on the paper market, wide stops,
few trades and little at risk, so that its costs let it run for a month. It makes no claim of an
edge; ``preset = "institutional"`` is the slow one. A value that is given wins
over the preset's.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Timeframe = Literal[
    "M1", "M2", "M3", "M4", "M5", "M6", "M10", "M12", "M15", "M20", "M30",
    "H1", "H2", "H3", "H4", "H6", "H8", "H12", "D1", "W1", "MN1",
]  # fmt: skip
SessionName = Literal["sydney", "tokyo", "london", "new_york"]
Regime = Literal["TRENDING", "RANGING", "VOLATILE", "QUIET", "NORMAL"]

TIMEFRAME_SECONDS: dict[str, int] = {
    "M1": 60, "M2": 120, "M3": 180, "M4": 240, "M5": 300, "M6": 360, "M10": 600, "M12": 720,
    "M15": 900, "M20": 1200, "M30": 1800, "H1": 3600, "H2": 7200, "H3": 10800, "H4": 14400,
    "H6": 21600, "H8": 28800, "H12": 43200, "D1": 86400, "W1": 604800, "MN1": 2592000,
}  # fmt: skip
"""Length of a bar in seconds (a month counts as 30 days)."""


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_default=True)


class ExitSettings(_Settings):
    """The exit rules of the bot's open positions."""

    enabled: bool = Field(default=True, description="Apply the rules below to the bot's positions.")
    breakeven_r: float | None = Field(
        default=0.7,
        gt=0,
        description="Move the stop to the entry once this many R are reached; none: never.",
    )
    breakeven_buffer_r: float = Field(
        default=0.05, ge=0, description="How far beyond the entry the breakeven stop is, in R."
    )
    partial_r: float | None = Field(
        default=None, gt=0, description="Close a part once this many R are reached; none: never."
    )
    partial_fraction: float = Field(
        default=0.5, gt=0, lt=1, description="The part that is closed, of the opening volume."
    )
    trail_start_r: float | None = Field(
        default=1.0, gt=0, description="Trail the stop from this many R on; none: never."
    )
    trail_atr: float = Field(
        default=1.5,
        gt=0,
        description="Distance of the trailing stop in ATR of the set-up timeframe.",
    )
    trail_tight_atr: float | None = Field(
        default=None,
        gt=0,
        description="Distance the trail narrows to at `trail_tight_r`; none: it stays at `trail_atr`.",
    )
    trail_tight_r: float = Field(
        default=3.0, gt=0, description="R at which the progressive trail is at its narrowest."
    )
    early_cut_r: float | None = Field(
        default=None,
        gt=0,
        description="Close a loser past this many R when the structure has turned; none: never.",
    )
    time_stop_bars: int | None = Field(
        default=90,
        ge=1,
        description="Close a position that is older than this many trigger bars; none: never.",
    )
    time_stop_keep_r: float | None = Field(
        default=0.5,
        description="Positions at or above this many R survive the time stop; none: none does.",
    )


class NewsSettings(_Settings):
    """A calendar of releases around which no trade is opened."""

    source: str | None = Field(
        default=None, description="CSV, ICS or JSON file, or an https address; none: no news gate."
    )
    before_min: float = Field(default=15, ge=0, description="Minutes of silence before a release.")
    after_min: float = Field(default=15, ge=0, description="Minutes of silence after a release.")
    impact: Literal["low", "medium", "high"] = Field(
        default="high", description="The least impact that counts."
    )
    refresh_min: float = Field(
        default=240, gt=0, description="Minutes between two readings of the calendar."
    )
    when_unreadable: Literal["trade", "stop"] = Field(
        default="trade",
        description="What to do while the calendar cannot be read; an alert is published either way.",
    )


class TrainerSettings(_Settings):
    """Learning the probability of a set-up from the market's own past (extra `train`)."""

    enabled: bool = Field(
        default=True,
        description="Learn, and let a model that proved itself out of sample stop set-ups.",
    )
    first_s: float = Field(
        default=120.0, ge=0, description="Seconds after the terminal answered to the first try."
    )
    every_h: float = Field(default=4.0, gt=0, description="Market hours between two tries.")
    least_gap_s: float = Field(
        default=600.0,
        ge=0,
        description="Seconds between two tries at the least, also when the market has drifted.",
    )
    deadline_s: float = Field(
        default=900.0, gt=0, description="Seconds after which a try is given up."
    )
    bars: int = Field(
        default=6000, ge=200, le=200_000, description="Trigger bars of each symbol to learn from."
    )
    stride: int = Field(
        default=3, ge=1, description="Trigger bars between two samples of the past."
    )
    horizon_bars: int = Field(
        default=120, ge=1, description="Trigger bars a set-up has to reach its target."
    )
    embargo_bars: int = Field(
        default=20,
        ge=0,
        description="Trigger bars left out between what is learned from and what is tested on.",
    )
    folds: int = Field(default=5, ge=2, le=50, description="Steps of the walk-forward test.")
    min_samples: int = Field(
        default=300, ge=50, description="Out-of-sample set-ups below which nothing is swapped."
    )
    confidence: float = Field(
        default=0.99,
        gt=0.5,
        lt=1,
        description="Confidence with which a new model must beat the old one and the baselines.",
    )


class StrategySettings(_Settings):
    """The scan: its symbols, its cycle, and what a trade needs."""

    name: str = Field(
        default="institutional", description="A built-in or installed strategy, or FILE.py:Class."
    )
    enabled: bool = Field(default=True, description="Scan and trade; off: watch only.")
    preset: Literal["demo", "institutional"] = Field(
        default="demo",
        description="Values that are not given: demo (M1/M5/M15) or institutional (M15/H1/H4).",
    )
    cycle_s: float = Field(default=10.0, ge=0.2, description="Market seconds between two scans.")
    scan_deadline_s: float = Field(
        default=8.0,
        gt=0,
        description="Seconds after which a scan is cut; symbols that are left out are marked.",
    )
    symbols: list[str] = Field(
        default_factory=list, description="Symbols to scan; empty: all that the terminal offers."
    )
    trigger_timeframe: Timeframe = Field(default="M1", description="Timeframe of the trigger.")
    setup_timeframe: Timeframe = Field(default="M5", description="Timeframe of the set-up.")
    bias_timeframe: Timeframe = Field(default="M15", description="Timeframe of the bias.")
    bars: int = Field(
        default=300,
        ge=60,
        le=5000,
        description="Closed bars kept for each timeframe at the least; up to 128 more are.",
    )
    swing_bars: int = Field(
        default=2, ge=1, le=20, description="Bars on each side of a swing high or low."
    )
    min_score: float = Field(
        default=50.0, ge=0, le=100, description="Score from which a symbol is a candidate."
    )
    min_probability: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Least probability of success, where the strategy or a learned model states one.",
    )
    min_r: float = Field(default=1.2, gt=0, description="Least reward over risk, costs included.")
    target_r: float = Field(
        default=1.3, gt=0, description="Take profit in R when no level is nearer."
    )
    stop_atr: float = Field(
        default=1.0, gt=0, description="Least distance of the stop, in ATR of the set-up timeframe."
    )
    max_stop_atr: float = Field(
        default=3.0,
        gt=0,
        description="Greatest distance of the stop, in ATR of the set-up timeframe.",
    )
    min_stop_spreads: float = Field(
        default=15.0, ge=0, description="Least distance of the stop, in spreads."
    )
    block_regimes: list[Regime] = Field(
        default=["VOLATILE"], description="Regimes in which nothing is opened."
    )
    sessions: list[SessionName] = Field(
        default_factory=list, description="Sessions in which may be traded; empty: at any hour."
    )
    max_spread_factor: float = Field(
        default=3.0,
        gt=0,
        description="Greatest spread, as a multiple of the symbol's own usual one.",
    )
    max_spread_pips: float | None = Field(
        default=None,
        gt=0,
        description="Greatest spread in pips (10 points); none: only the factor counts.",
    )
    max_cost_pct: float = Field(
        default=12.0,
        gt=0,
        le=100,
        description="Greatest cost (spread, commission) in % of the target.",
    )
    commission_per_lot: float = Field(
        default=0.0,
        ge=0,
        description="Commission of opening and closing one lot, account currency, for the cost gate.",
    )
    cooldown_s: float = Field(
        default=21_600.0,
        ge=0,
        description="Market seconds a symbol rests after one of the bot's trades.",
    )
    max_tick_age_s: float = Field(
        default=120.0, gt=0, description="Market seconds after which a symbol's last tick is stale."
    )
    comment: str = Field(
        default="mt5dash", max_length=12, description="Start of the comment of the bot's orders."
    )
    exits: ExitSettings = Field(default_factory=ExitSettings, description="Position rules.")
    news: NewsSettings = Field(default_factory=NewsSettings, description="News calendar.")
    trainer: TrainerSettings = Field(
        default_factory=TrainerSettings, description="Learning of the probability gate's model."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        """Put the preset's values under the given ones, exits included."""
        if not isinstance(data, dict) or data.get("preset") not in PRESETS:
            return data
        filled = {**PRESETS[data["preset"]], **data}
        preset_exits = PRESETS[data["preset"]].get("exits")
        if preset_exits and isinstance(data.get("exits"), dict):
            filled["exits"] = {**preset_exits, **data["exits"]}
        return filled

    @model_validator(mode="after")
    def _ordered(self) -> StrategySettings:
        lengths = [
            TIMEFRAME_SECONDS[t]
            for t in (self.trigger_timeframe, self.setup_timeframe, self.bias_timeframe)
        ]
        if not lengths[0] < lengths[1] < lengths[2]:
            raise ValueError(
                "trigger_timeframe must be shorter than setup_timeframe, and that shorter than"
                f" bias_timeframe; got {self.trigger_timeframe}, {self.setup_timeframe},"
                f" {self.bias_timeframe}"
            )
        if self.max_stop_atr < self.stop_atr:
            raise ValueError("max_stop_atr must not be below stop_atr")
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "demo": {},
    "institutional": {
        "cycle_s": 60.0,
        "scan_deadline_s": 30.0,
        "trigger_timeframe": "M15",
        "setup_timeframe": "H1",
        "bias_timeframe": "H4",
        "bars": 500,
        "swing_bars": 3,
        "min_score": 65.0,
        "min_r": 1.5,
        "target_r": 2.5,
        "min_stop_spreads": 8.0,
        "sessions": ["london", "new_york"],
        "max_cost_pct": 15.0,
        "cooldown_s": 3600.0,
        "max_tick_age_s": 60.0,
        "exits": {
            "breakeven_r": 1.0,
            "partial_r": 1.0,
            "trail_start_r": 1.5,
            "trail_tight_atr": 0.8,
            "early_cut_r": 0.6,
            "time_stop_bars": 96,
        },
    },
}
"""What each preset changes against the defaults, which are the demonstration's."""


class RiskSettings(_Settings):
    """How much may be lost: a trade, a day, in all."""

    risk_per_trade_pct: float = Field(
        default=0.05, gt=0, le=10, description="Money at risk for each trade, in % of the equity."
    )
    max_lot: float | None = Field(
        default=None, gt=0, description="Greatest volume of a trade; none: symbol's."
    )
    max_margin_pct: float = Field(
        default=50.0,
        gt=0,
        le=100,
        description="Greatest margin in use after a trade, in % of the equity.",
    )
    max_open: int = Field(
        default=8, ge=0, description="Most open positions and pending orders of the bot at once."
    )
    max_per_symbol: int = Field(
        default=1, ge=1, description="Most open positions of the bot in one symbol."
    )
    max_currency_risk_pct: float = Field(
        default=1.0,
        gt=0,
        description="Most money at risk on one side of one currency, in % of the equity.",
    )
    max_correlation: float = Field(
        default=0.85,
        gt=0,
        le=1,
        description="Greatest correlation with an open position on the same side.",
    )
    daily_loss_pct: float | None = Field(
        default=5.0,
        gt=0,
        description="Loss of the day, floating included, that stops trading; none: no limit.",
    )
    max_drawdown_pct: float | None = Field(
        default=10.0,
        gt=0,
        description="Fall below the highest equity that stops trading; none: no limit.",
    )
    max_consecutive_losses: int | None = Field(
        default=8, ge=1, description="Losing trades in a row that make a pause; none: no limit."
    )
    loss_pause_s: float = Field(
        default=900.0,
        ge=0,
        description="Market seconds of that pause, from the last losing trade on.",
    )
    flatten_on_limit: bool = Field(
        default=False,
        description="Close the bot's positions when the daily loss or drawdown limit is hit.",
    )
    kelly_fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Part of the Kelly stake that caps the risk; none: not used.",
    )
    kelly_min_trades: int = Field(
        default=30, ge=5, description="Closed trades before the Kelly stake is believed."
    )
