"""The doctor: each thing that is wrong is named, with what to do about it."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from support.fake_terminal import FakeTerminal, symbol

from execution import doctor
from execution.paper import open_paper
from execution.settings import PaperSettings, TerminalSettings
from execution.transport.client import TerminalClient

Connect = Callable[..., Awaitable[TerminalClient]]


async def look(client: TerminalClient, settings: TerminalSettings) -> dict[str, doctor.Check]:
    return {check.name: check async for check in doctor.connected(client, settings)}


async def test_a_whole_set_up_is_well(tmp_path: Path) -> None:
    checks = [
        check
        async for check in doctor.examine(
            TerminalSettings(), PaperSettings(), intents=tmp_path / "intents.db"
        )
    ]
    assert [check.name for check in checks] == [
        "python", "package", "intents", "terminal", "broker", "account", "trading", "symbols",
        "clock", "bars", "history",
    ]  # fmt: skip
    assert {check.result for check in checks} == {"ok"}, checks


@pytest.mark.parametrize(
    ("settings", "name", "todo"),
    [
        ({"backend": "agent"}, "terminal", "MT5DASH_TERMINAL__TOKEN"),
        ({"backend": "agent", "token": "x" * 20, "address": "nowhere"}, "terminal", "HOST:PORT"),
        (
            {"backend": "agent", "token": "x" * 20, "address": "127.0.0.1:1", "connect_s": 1},
            "terminal",
            "start agent.py there",
        ),
        pytest.param(
            {"backend": "native"},
            "package",
            'pip install "mt5dash[mt5]"',
            marks=pytest.mark.skipif(
                importlib.util.find_spec("MetaTrader5") is not None, reason="it is installed"
            ),
        ),
    ],
)
async def test_a_terminal_that_cannot_be_reached_is_named_with_what_to_do(
    settings: Any, name: str, todo: str
) -> None:
    found = doctor.examine(TerminalSettings(**settings), PaperSettings())
    failed = {check.name: check async for check in found if check.result == "failed"}
    assert todo in failed[name].todo


async def test_a_switched_off_terminal_without_ticks_is_seen_through(
    connect: Connect, settings: TerminalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "FRESH_TICK_S", 0.3)
    terminal = FakeTerminal(symbol("EURUSD.m", bid=0, ask=0), tells_time=False)
    terminal.info |= {"trade_allowed": False}
    terminal.symbol_info_tick = lambda name: None  # type: ignore[method-assign]
    terminal.copy_rates_from_pos = lambda *args: []  # type: ignore[attr-defined]
    client = await connect(terminal)
    wanted = settings.model_copy(update={"symbols": ["EURUSD", "EURUSD.m"]})
    checks = await look(client, wanted)
    assert checks["trading"].result == "warning"
    assert "Algo Trading" in checks["trading"].todo
    assert "no quote of EURUSD.m" in checks["symbols"].text
    assert checks["clock"].result == "warning"
    assert "utc_offset_h" in checks["clock"].todo
    assert checks["bars"].result == "warning"


async def test_a_wrong_offset_of_the_servers_clock_is_seen(
    connect: Connect, terminal: FakeTerminal, settings: TerminalSettings
) -> None:
    import time

    real = FakeTerminal(tells_time=False)
    real.offset = time.time() + 3 * 3600 - real._now()
    given = settings.model_copy(update={"utc_offset_h": 2.0})
    client = await connect(real, settings=given)
    before = await doctor.ticks(client, ["EURUSD"])
    check = await doctor.clock(client, given, ["EURUSD"], before)
    assert (check.result, check.text) == (
        "warning", "ticks say UTC+3 h, terminal.utc_offset_h says +2",
    )  # fmt: skip


async def test_intents_that_cannot_be_written_are_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check = await doctor.intents_file(tmp_path / "file" / "intents.db")
    assert (check.result, bool(check.todo)) == ("failed", True)


async def test_it_saves_the_brokers_profile_for_a_paper_terminal_that_is_alike(
    tmp_path: Path,
) -> None:
    file = tmp_path / "broker.json"
    found = doctor.examine(
        TerminalSettings(), PaperSettings(like="prop-firm", login=77), profile=file
    )
    checks = {check.name: check async for check in found}
    assert checks["profile"].result == "ok"
    assert "22 symbols of PropFirm-Demo" in checks["profile"].text
    alike = open_paper(PaperSettings(like=str(file)))
    assert alike.initialize(login=77)
    assert len(alike.tapes) == 22


async def test_a_profile_that_cannot_be_written_or_has_no_terminal_is_said(
    tmp_path: Path,
) -> None:
    nowhere = tmp_path / "no" / "broker.json"
    found = doctor.examine(TerminalSettings(), PaperSettings(), profile=nowhere)
    checks = {check.name: check async for check in found}
    assert checks["profile"].result == "failed"
    assert str(nowhere) in checks["profile"].text
    gone = TerminalSettings.model_validate(
        {"backend": "agent", "token": "x" * 20, "address": "127.0.0.1:1", "connect_s": 1}
    )
    found = doctor.examine(gone, PaperSettings(), profile=tmp_path / "p.json")
    checks = {check.name: check async for check in found}
    assert checks["profile"].result == "skipped"


async def test_odd_symbols_of_a_profile_are_named_when_it_is_saved(
    connect: Connect, tmp_path: Path
) -> None:
    client = await connect(FakeTerminal(symbol("EURUSD"), symbol("ODD", volume_max=0.0)))
    check = await doctor.save_profile(client, tmp_path / "p.json")
    assert check.result == "ok"
    assert "ODD (volume_max is 0)" in check.text
