"""The program on Windows CPython: it is examined, runs, and is joined from another machine."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from support import windows

from streamer import FeedClient

pytestmark = [pytest.mark.windows, pytest.mark.timeout(300)]


def doctor(env: dict[str, str]) -> dict[str, dict[str, str]]:
    output = windows.run("-m", "tui", "doctor", "--json", env=env)
    rows = json.loads(output[output.index("[") :])
    return {row["name"]: row for row in rows}


def test_the_doctor_finds_a_paper_set_up_well(tmp_path: Path) -> None:
    checks = doctor({"MT5DASH_JOURNAL__PATH": windows.seen(tmp_path / "j.db")})
    assert {name: row for name, row in checks.items() if row["result"] != "ok"} == {}
    assert "on Windows AMD64, 64 bit" in checks["python"]["text"]


def test_the_doctor_finds_the_package_and_says_that_there_is_no_terminal() -> None:
    checks = doctor({"MT5DASH_TERMINAL__BACKEND": "native", "MT5DASH_TERMINAL__CONNECT_S": "5"})
    assert checks["package"]["text"].startswith("MetaTrader5 5.")
    assert checks["terminal"]["result"] == "failed"
    assert "MetaTrader 5 x64 not found" in checks["terminal"]["todo"]


async def test_it_trades_without_a_screen_and_a_client_elsewhere_sees_it() -> None:
    seen: list[Any] = []
    args = ("-m", "tui", "tui", "--no-ui", "--port", "0", "--speed", "60")
    with windows.served(r"listening on ws://127\.0\.0\.1:(\d+)/ws", *args) as port:
        async with asyncio.timeout(120), FeedClient(f"ws://127.0.0.1:{port}/ws") as client:
            async for event in client.events():
                seen.append(event)
                kinds = {each["type"] for each in seen}
                if {"STATE_SNAPSHOT", "QUOTE_UPDATE", "SCAN_SUMMARY"} <= kinds:
                    break
    updates = [each for each in seen if each["type"] == "QUOTE_UPDATE"]
    assert "EURUSD" in json.dumps(updates[-1])
