"""Hostile text on a real pseudo terminal: none of its control bytes reaches the terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time

import pytest
from support.paths import ROOT, TESTS

if sys.platform == "win32":
    pytest.skip("a pseudo terminal of POSIX", allow_module_level=True)

import pty
import struct
import termios
from fcntl import ioctl

CHILD = """
import asyncio, os, sys
sys.path[:0] = [{root!r}, {here!r}]
from support.fake_source import POSITIONS, FakeSource, account, trading_day
from tui.app.app import DashApp
from tui.options import Clock

BAD = ["zz\\x1b]52;c;bmVlZGxl\\x07", "zz\\x1b[6nNEEDLE", "zz\\x9b6nNEEDLE", "zz\\x1bcNEEDLE",
       "zz\\x07NEEDLE\\x08", "zz\\u202eNEEDLE\\u200b", "[sl 1.0850]", "[/no] [@click=app.leave]zz[/]"]

async def main():
    source = trading_day(FakeSource(Clock(), link="live"))
    app = DashApp(source, owns_bot=False)
    async def hostile():
        while not app.is_running or len(app.screen_stack) < 2:
            await asyncio.sleep(0.05)
        for bad in BAD:
            base = dict(POSITIONS[0])
            rows = [dict(base, ticket=900 + i, symbol=b, comment=b, direction=b, owner=b)
                    for i, b in enumerate(BAD)]
            source.publish("POSITION_UPDATE", positions=rows)
            source.publish("ACCOUNT_UPDATE", account=account(login=bad, server=bad, currency=bad,
                           mode=bad, limits={{bad: {{"value": 1, "limit": 2, "unit": bad}}}}))
            source.publish("SCAN_SUMMARY", symbols={{b: b for b in BAD}}, count=1, candidates=0,
                           details={{b: {{"code": b, "regime": b, "direction": b, "gate": b}} for b in BAD}})
            source.publish("BOT_STATUS", state=bad, strategy=bad, reason={{"code": bad, "text": bad}})
            source.publish("TERMINAL_STATUS", state="connected", backend=bad, market=bad)
            source.publish("RISK_ALERT", code=bad, level="critical", text=bad)
            source.publish("POSITION_CLOSED", ticket=7, symbol=bad, close_reason=bad, direction=bad)
            source.publish(bad, field=bad)
            app.show_message(bad)
            await asyncio.sleep(0.15)
        for name in ("open", "funnel", "health", "help", "flatten", "close_position", "columns"):
            app.call_later(app.run_action, name + "()" , app)
            await asyncio.sleep(0.25)
            app.screen_stack[-1].dismiss() if len(app.screen_stack) > 2 else None
            await asyncio.sleep(0.1)
        app.exit("done")
    task = asyncio.create_task(hostile())
    result = await app.run_async()
    await task
    os._exit(0 if result == "done" else 3)

asyncio.run(main())
"""


def test_no_control_byte_of_data_reaches_the_terminal() -> None:
    code = CHILD.format(root=str(ROOT), here=str(TESTS))
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 220, 0, 0))
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=slave, stdout=slave, stderr=slave,
        env={**os.environ, "TERM": "xterm-256color"}, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""
    end = time.monotonic() + 60
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
    # The positive control: the texts did come through, with their control bytes made visible.
    assert b"zz" in seen
    assert "zz␛]52;c;bmVlZGxl␇".encode() in seen
    assert b"[sl 1.0850]" in seen
    assert b"[@click=app.leave]zz[/]" in seen
    for needle in (b"\x1b]52", b"\x1b[6nNEEDLE", b"\x9b6n", b"\x1bcNEEDLE", b"\x07NEEDLE",
                   "\u202e".encode(), "\u200b".encode(), "\x9b".encode()):  # fmt: skip
        assert needle not in seen, needle
