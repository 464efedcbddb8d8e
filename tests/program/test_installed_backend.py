"""A terminal backend that an installed package brings: mode, files and symbols follow its traits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.until import until

from execution.settings import PaperSettings, TerminalSettings
from execution.transport.registry import BackendError, backend_kind, open_backend
from tui.run import files
from tui.run.files import intents_path, journal_path
from tui.run.runtime import Runtime
from tui.settings import SettingsError, load

PACKAGE = """
from execution.transport.backend import InProcess
from execution.transport.registry import BackendError, BackendKind
from execution.transport.traits import Traits
from support.fake_terminal import FakeTerminal, symbol

KEPT = Traits(simulated=True)
BRIEF = Traits(simulated=True, outlives_program=False, watches_all=True)

class Tiny(BackendKind):
    preparing = "looking at the tiny terminal"
    opened = []

    def traits(self, terminal, paper):
        return KEPT

    def prepare(self, terminal, paper, progress):
        progress("counting", 1, 2)
        if terminal.address == "nowhere:1":
            raise BackendError("the tiny terminal is not at nowhere:1")
        return "prepared"

    def open(self, terminal, paper, progress, prepared=None):
        fake = FakeTerminal(symbol(), symbol("GBPUSD", select=False))
        self.opened.append((prepared, fake))
        return InProcess(lambda: fake, self.name, self.traits(terminal, paper))

class Brief(Tiny):
    def traits(self, terminal, paper):
        return BRIEF

class Real(BackendKind):
    pass

tiny = Tiny()
broken = object()
"""
POINTS = """[mt5dash.backends]
tiny = tiny_terminal:tiny
brief = tiny_terminal:Brief
tinyreal = tiny_terminal:Real
hollow = tiny_terminal:broken
missing = tiny_terminal:nothing
journal = tiny_terminal:tiny
"""


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package on the path, as pip leaves it; state goes to a folder of the test."""
    about = tmp_path / "site" / "tiny_terminal-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-terminal\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    (tmp_path / "site" / "tiny_terminal.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setattr(files, "state_dir", lambda: state)
    return state


def settings(backend: str, **more: Any) -> Any:
    flags = {
        "terminal": {"backend": backend, "poll_s": 0.05, "quotes_s": 0.05},
        "feed": {"port": 0},
        "strategy": {"enabled": False},
        **more,
    }
    return load(flags, file=None, environ={}).settings


@pytest.mark.parametrize(
    ("backend", "mode", "journal", "intents"),
    [
        ("tiny", "paper", "journal-tiny.db", "intents-tiny.db"),
        ("brief", "paper", "brief-*.db", None),
        ("tinyreal", "observe", "journal-tinyreal.db", "intents-tinyreal.db"),
        ("native", "observe", "journal-native.db", "intents-native.db"),
        ("paper", "paper", "paper-*.db", None),
    ],
)
def test_mode_and_files_follow_the_traits(
    installed: Path, backend: str, mode: str, journal: str, intents: str | None
) -> None:
    found = settings(backend)
    assert found.effective_mode == mode
    path = journal_path(found)
    assert path.parent == installed
    assert path.match(journal)
    assert intents_path(found) == (None if intents is None else installed / intents)


def test_a_kept_paper_account_has_its_files_beside_it(installed: Path) -> None:
    found = settings("paper", paper={"state": str(installed / "mine.json")})
    assert journal_path(found) == installed / "mine.journal.db"
    assert intents_path(found) == installed / "mine.intents.db"
    assert found.backend_traits.outlives_program


@pytest.mark.parametrize(
    ("backend", "mode", "words"),
    [
        ("tiny", "live", "needs a real terminal"),
        ("brief", "live", "needs a real terminal"),
        ("tinyreal", "paper", 'terminal.backend is "tinyreal"'),
        ("tinyy", None, "no backend is called 'tinyy'; known are: agent, brief, hollow"),
        ("hollow", None, "must name a BackendKind"),
        ("missing", None, "cannot be loaded: AttributeError"),
        ("journal", None, "no backend is called 'journal'"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(backend: str, mode: str | None, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        settings(backend, **({} if mode is None else {"mode": mode}))


def test_a_built_in_name_cannot_be_taken_and_a_kind_must_open() -> None:
    assert type(backend_kind("paper")).__module__ == "execution.transport.registry"
    with pytest.raises(NotImplementedError):
        open_backend(TerminalSettings(backend="tinyreal"), PaperSettings())
    with pytest.raises(BackendError, match="not at nowhere:1"):
        backend_kind("tiny").prepare(
            TerminalSettings(backend="tiny", address="nowhere:1"), PaperSettings(), print
        )


async def test_the_program_runs_on_it_observer_and_orders(installed: Path) -> None:
    runtime = Runtime(settings("tiny"))
    await runtime.start()
    try:
        assert await runtime.client.wait_connected(10)
        await until(lambda: runtime.observer.latest is not None)
        assert runtime.client.status.backend == "tiny"
        assert runtime.observer.symbols == ["EURUSD"], "what its Market Watch shows"
        outcome = await runtime.orders.open("EURUSD", "BUY", 0.1, sl=1.09)
        assert outcome.ok, outcome
        await until(lambda: runtime.feed.own.positions)
        assert runtime.feed.own.account["mode"] == "paper"
    finally:
        await runtime.stop()
    prepared, fake = runtime.kind.opened[-1]  # type: ignore[attr-defined]
    assert prepared == "prepared"
    assert len(fake.sent) == 1
    assert {"journal-tiny.db", "intents-tiny.db"} <= {p.name for p in installed.iterdir()}


async def test_journals_of_accounts_that_ended_are_pruned_those_of_others_are_not(
    installed: Path,
) -> None:
    others = ["journal-tiny.db", "paper-20250101T000000_000000.db", "journal-native.db"]
    for name in [*others, *(f"brief-2025010{i % 9}T00000{i:02}_000000.db" for i in range(14))]:
        (installed / name).touch()
    runtime = Runtime(settings("brief"))
    await runtime.start()
    try:
        assert await runtime.client.wait_connected(10)
        await asyncio.wait_for(runtime.observer.refresh(), 5)
        assert sorted(runtime.observer.symbols) == ["EURUSD", "GBPUSD"], "it watches all"
    finally:
        await runtime.stop()
    assert len(list(installed.glob("brief-*.db"))) == 11, "ten and the new one"
    assert all((installed / name).exists() for name in others)
