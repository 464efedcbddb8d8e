"""Makes ``docs/screen.svg``: the real screen on a real paper run, as the README shows it.

python docs/make_picture.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from tui.app.app import DashApp
from tui.run.runtime import Runtime
from tui.settings import load

HERE = Path(__file__).parent
SIZE = (120, 36)
SPEED = 15.0


async def picture(seconds: float) -> str:
    """The screen as SVG after so many seconds of a run."""
    with tempfile.TemporaryDirectory() as folder:
        flags = {
            "feed": {"port": 0},
            "paper": {"speed": SPEED, "start": "2026-11-18T13:30"},
            "journal": {"path": Path(folder) / "journal.db"},
        }
        loaded = load(flags, environ={})
        runtime = Runtime(loaded.settings)
        await runtime.start()
        app = DashApp(runtime.feed, settings=loaded.settings.ui, owns_bot=True, version="")
        async with app.run_test(size=SIZE) as pilot:
            await asyncio.sleep(seconds)
            await pilot.pause()
            svg = app.export_screenshot(title="mt5dash")
        await runtime.stop()
    # Any monospaced font will do: a picture must not fetch one from another host.
    return re.sub(r"@font-face\s*\{.*?\}", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    wait = float(sys.argv[1]) if len(sys.argv) > 1 else 90.0
    (HERE / "screen.svg").write_text(asyncio.run(picture(wait)), encoding="utf-8", newline="\n")
