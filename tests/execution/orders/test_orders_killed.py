"""Orders whose answers are lost, of a program that is killed: none doubled, none made up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.order_killer import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")


async def test_no_order_is_doubled_and_none_acknowledged_without_one(tmp_path: Path) -> None:
    tally = await run("careful", commands=30, kills=5, folder=tmp_path)
    assert tally.kills == 5
    assert tally.doubled == tally.invented == tally.hidden == []
    assert tally.acknowledged + tally.missing == 30
    assert tally.orders == tally.acknowledged
    assert tally.missing, "the seed must lose requests, or this shows too little"


async def test_the_naive_way_doubles_orders_in_the_same_test(tmp_path: Path) -> None:
    tally = await run("naive", commands=40, kills=3, folder=tmp_path)
    assert tally.doubled, "the control must fail, or the test above shows nothing"
