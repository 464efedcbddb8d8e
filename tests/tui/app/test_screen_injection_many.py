"""A thousand hostile texts drawn on a real pseudo terminal, and a control that must fail."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from support.paths import ROOT, TESTS

if sys.platform == "win32":
    pytest.skip("a pseudo terminal of POSIX", allow_module_level=True)

import pty
import struct
import termios
from fcntl import ioctl

ROWS = 40
TEXTS = 1000
CHILD = """
import asyncio, json, os, sys
root, here, path, raw = sys.argv[1:]
sys.path[:0] = [root, here]
from support.fake_source import POSITIONS, FakeSource, account, trading_day
from tui.app.app import DashApp
from tui.options import Clock, Defaults
from tui.panels import theme
from tui.session import view

if raw == "raw":  # the control: nothing is made safe any more
    theme.Ink.text = lambda self, text: text
    for module in (theme, view):
        module.clean = lambda text, limit=0: text

texts = json.loads(open(path, encoding="utf-8").read())

async def main():
    source = trading_day(FakeSource(Clock(), link="live"))
    app = DashApp(source, settings=Defaults(hz=10.0), owns_bot=False)
    async def feed():
        while not app.is_running or len(app.screen_stack) < 2:
            await asyncio.sleep(0.05)
        app.main.show_panel(1)
        app.main.action_maximise()
        for at in range(0, len(texts), 40):
            source.publish("POSITION_UPDATE", positions=[
                dict(POSITIONS[0], ticket=9000 + at + i, symbol="s", comment=f"q{at + i:04d}{t}")
                for i, t in enumerate(texts[at : at + 40])])
            source.publish("ACCOUNT_UPDATE", account=account())
            for _ in range(2):  # the frame with these rows must have gone out
                drawn = asyncio.Event()
                app.tick()
                app.main.call_after_refresh(drawn.set)
                await drawn.wait()
                await asyncio.sleep(0.03)
        app.exit("done")
    task = asyncio.create_task(feed())
    result = await app.run_async()
    await task
    os._exit(0 if result == "done" else 3)

asyncio.run(main())
"""

OWN = re.compile(
    rb"\x1b\[[0-9;]*[mH]"  # colours and places, as Textual draws
    rb"|\x1b\[\?[0-9;$]*[hlpu]|\x1b\[[<>=]?[0-9]*u"  # modes of the terminal, on and off
    rb"|\x1b\[[0-9;]*[cn]|\x1b\[>[0-9;]*[mqtc]|\x1b\[[0-9;]*t"  # questions to the terminal
    rb"|\x1b\]22;[a-z-]*\x07|\x1b[78=>]|\x1b\[[0-9]* q|\x1b\[2J|\x1bP[^\x1b]*\x1b\\"
)
"""What the program itself may send; everything else that is not text came out of the data."""


def controls(seen: bytes) -> set[str]:
    """Characters that a terminal or a reader acts on, outside the program's own sequences."""
    text = OWN.sub(b"", seen).decode("utf-8", errors="replace")
    return {c for c in text if unicodedata.category(c) in ("Cc", "Cf") and c not in "\r\n"}


def on_a_terminal(tmp_path: Path, texts: list[str], *, raw: bool) -> bytes:
    """All that the program wrote to its terminal while it showed the texts."""
    path = tmp_path / "texts.json"
    path.write_text(json.dumps(texts), encoding="utf-8")
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS + 20, 240, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(ROOT), str(TESTS), str(path),
         "raw" if raw else "safe"],
        stdin=slave, stdout=slave, stderr=slave,
        env={**{k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")},
             "TERM": "xterm-256color"}, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen, end = b"", time.monotonic() + 60
    try:
        while time.monotonic() < end:
            if select.select([master], [], [], 0.2)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:
                    break
                if not data:
                    break
                seen += data
            elif child.poll() is not None:
                break
        assert child.wait(timeout=20) == 0, seen[-3000:].decode(errors="replace")
    finally:
        child.kill()
        child.wait()
        os.close(master)
    return seen


def hostile_texts() -> list[str]:
    """So many texts as hypothesis makes them, rich in control and format characters."""
    made: list[str] = []
    nasty = st.characters(categories=("Cc", "Cf", "Zl", "Zp"))
    any_char = st.characters(exclude_categories=["Cs"])

    @seed(20260304)
    @settings(
        max_examples=TEXTS * 2, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(st.text(st.one_of(nasty, any_char), min_size=1, max_size=24))
    def collect(text: str) -> None:
        made.append(text)

    collect()
    return list(dict.fromkeys(made))[:TEXTS]


def test_a_thousand_hostile_texts_reach_a_terminal_as_text_only(tmp_path: Path) -> None:
    texts = hostile_texts()
    assert len(texts) == TEXTS
    assert sum(any(unicodedata.category(c) in ("Cc", "Cf") for c in t) for t in texts) > 300
    seen = on_a_terminal(tmp_path, texts, raw=False)
    drawn = set(re.findall(rb"q\d{4}", seen))
    assert len(drawn) == TEXTS, f"{len(drawn)} of {TEXTS} were drawn"
    assert controls(seen) == set()


def test_the_same_look_finds_them_when_nothing_is_made_safe(tmp_path: Path) -> None:
    texts = [t for t in hostile_texts() if "\x1b" not in t][:80]
    assert controls(on_a_terminal(tmp_path, ["\x07\x9b\u202e\u200b" + t for t in texts], raw=True))
