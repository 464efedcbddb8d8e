"""What a test sees of the screen: its text, and pictures that are checked in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from textual.app import App

PICTURES = Path(__file__).parent / "pictures"
UPDATE = "MT5DASH_UPDATE_PICTURES"


def text_of(app: App[Any]) -> str:
    """The screen as it stands in the terminal, one line each."""
    lines = ["".join(s.text for s in strip) for strip in app.screen._compositor.render_strips()]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def same_as_picture(app: App[Any], name: str) -> None:
    """Compare the screen with its picture; with MT5DASH_UPDATE_PICTURES=1 take it anew."""
    path = PICTURES / f"{name}.txt"
    seen = text_of(app)
    if os.environ.get(UPDATE):
        path.write_text(seen, encoding="utf-8", newline="\n")
        return
    assert seen == path.read_text(encoding="utf-8"), f"{name}: if wanted, run with {UPDATE}=1"
