"""Settings, the loading of strategies, sessions, bars."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from support.paths import ROOT
from support.present import present

from strategy.base import Bars
from strategy.institutional.strategy import WEIGHTS, InstitutionalStrategy, regime_of
from strategy.registry import StrategyNotFound, load
from strategy.sessions import sessions_at
from strategy.settings import PRESETS, RiskSettings, StrategySettings

EXAMPLE = ROOT / "docs" / "examples" / "pullback.py"


def test_a_preset_fills_what_is_not_given_and_a_given_value_wins() -> None:
    made = StrategySettings(preset="institutional", min_score=70, exits={"partial_r": 2.0})
    assert (made.trigger_timeframe, made.setup_timeframe, made.bias_timeframe) == (
        "M15",
        "H1",
        "H4",
    )
    assert made.min_score == 70
    assert made.exits.partial_r == 2.0
    assert made.exits.early_cut_r == PRESETS["institutional"]["exits"]["early_cut_r"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mim_score": 3}, "Extra inputs"),
        ({"trigger_timeframe": "H4"}, "must be shorter"),
        ({"stop_atr": 9}, "max_stop_atr"),
        ({"preset": "fast"}, "demo"),
        ({"cycle_s": 0}, "greater than"),
    ],
)
def test_a_wrong_setting_is_refused_in_words(changes: Any, words: Any) -> None:
    with pytest.raises(ValidationError, match=words):
        StrategySettings(**changes)


def test_every_setting_is_described() -> None:
    for model in (StrategySettings, RiskSettings):
        for name, field in model.model_fields.items():
            assert field.description, name


def test_the_published_weights_are_a_hundred() -> None:
    assert sum(WEIGHTS.values()) == 100


def test_the_shipped_strategy_and_one_from_a_file_are_loaded() -> None:
    assert isinstance(load(StrategySettings()), InstitutionalStrategy)
    assert load(StrategySettings(name=f"{EXAMPLE}:Pullback")).name == "pullback"


def test_an_installed_package_brings_its_strategy_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = tmp_path / "swing_house-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: swing-house\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[mt5dash.strategies]\nswing = swing_house_strategy:Swing\nhollow = swing_house_strategy:X\n"
    )
    (tmp_path / "swing_house_strategy.py").write_text(
        "from strategy.institutional import InstitutionalStrategy\n"
        "class Swing(InstitutionalStrategy):\n    name = 'swing'\n"
        "class X:\n    def __init__(self, settings): pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load(StrategySettings(name="swing")).name == "swing"
    with pytest.raises(StrategyNotFound, match="it needs name, timeframes"):
        load(StrategySettings(name="hollow"))
    with pytest.raises(StrategyNotFound, match="hollow, institutional, swing"):
        load(StrategySettings(name="swings"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("institutionel", "known are: institutional"),
        ("/nowhere/x.py:X", "is not a file"),
        (f"{EXAMPLE}:Missing", "has no class 'Missing'"),
        (f"{EXAMPLE}:Bars", "is no strategy"),
    ],
)
def test_a_strategy_that_is_not_there_is_refused_with_what_to_do(name: Any, words: Any) -> None:
    with pytest.raises(StrategyNotFound, match=words):
        load(StrategySettings(name=name))


async def test_a_strategy_of_ones_own_runs_with_the_same_gates(bench: Any) -> None:
    settings = StrategySettings(name=f"{EXAMPLE}:Pullback")
    b = await bench(settings=settings).open()
    for _ in range(6):
        await b.step(10.0)
        await b.worker.cycle()
    details = b.told("ScanSummary")[-1].details
    assert all(set(d.components) == {"trend", "dip"} for d in details.values())
    assert all(d.code != "ERROR" for d in details.values())
    assert b.worker._status._strategy == "pullback"


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2025-01-15T08:30", {"london", "tokyo"}),  # London on GMT; Tokyo until 09:00 UTC
        ("2025-07-15T07:30", {"london", "tokyo"}),  # London on BST
        ("2025-01-15T07:30", {"tokyo"}),
        ("2025-03-17T12:30", {"london", "new_york"}),  # US on summer time, UK not yet
        ("2025-11-15T13:00", set()),  # a Saturday
        ("2025-11-16T22:00", {"sydney"}),  # Sunday in Europe, Monday in Sydney
    ],
)
def test_sessions_keep_the_clocks_of_their_cities(moment: str, expected: set[str]) -> None:
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    assert sessions_at(at) == expected


@pytest.mark.parametrize(
    ("adx", "calm", "expected"),
    [
        (30.0, 1.0, "TRENDING"),
        (20.0, 1.0, "NORMAL"),
        (10.0, 1.0, "RANGING"),
        (30.0, 3.5, "VOLATILE"),
        (30.0, 0.2, "QUIET"),
        (float("nan"), 1.0, None),
        (30.0, float("nan"), None),
    ],
)
def test_a_regime_is_told_or_unknown(adx: Any, calm: Any, expected: Any) -> None:
    assert regime_of(adx, calm) == expected


def bars_of(walk: Any, count: int, j: int = 0, **changes: Any) -> Bars:
    o, h, lo, c = (x[:count, j] for x in walk(400, 4, 3))
    flat = np.full(count, 5.0)
    at = np.arange(count, dtype=np.int64) * 60
    values = {"open": o, "high": h, "low": lo, "close": c} | changes
    return Bars("X", "M1", at, volume=flat, spread=flat, **values)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"close": np.full(50, np.nan)}, "not a number"),
        ({"low": np.full(50, -1.0)}, "not above zero"),
        ({"high": np.full(50, 0.5)}, "high is below"),
    ],
)
def test_bars_that_are_wrong_say_so(walk: Any, changes: Any, words: Any) -> None:
    assert words in present(bars_of(walk, 50, **changes).fault())
    assert bars_of(walk, 50).fault() is None
