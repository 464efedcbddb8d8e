"""A journal with several bots: each has its own trades, money and scans, also of equal tickets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from support.until import until

from streamer.journal import export
from streamer.journal import schema as file
from streamer.journal.writer import Journal
from streamer.protocol.messages import ScanDetail, ScanSummary
from streamer.reports import report
from streamer.reports.report import as_text, build
from streamer.service import Feed
from streamer.settings import FeedSettings


def trade(ticket: int, profit: float, **more: Any) -> list[dict[str, Any]]:
    common = {"ticket": ticket, "symbol": "EURUSD", "direction": "BUY", "volume": 0.1, **more}
    return [
        {"type": "POSITION_OPENED", **common},
        {"type": "POSITION_CLOSED", "profit": profit, **common},
    ]


async def test_a_report_is_of_one_bot_and_tells_of_the_others(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    feed = Feed(FeedSettings(port=0, bot="alpha"), Journal(path))
    assert feed.sampler is not None
    feed.sampler.due = float("inf")
    await feed.start()
    other = {"bot": "beta"}
    events: list[dict[str, Any]] = [
        {"type": "ACCOUNT_UPDATE", "account": {"equity": 100.0, "currency": "EUR"}},
        {"type": "ACCOUNT_UPDATE", "account": {"equity": 9000.0, "currency": "JPY"}, **other},
        *trade(7, 5.0),
        *trade(7, -3000.0, **other),
        *trade(8, 1.0),
        *[
            {
                "type": "SCAN_SUMMARY",
                "symbols": {"A": "x"},
                "count": 1,
                "candidates": 0,
                "details": {"A": {"code": "X", "gate": gate}},
                **bot,
            }
            for gate, bot in (("spread", {}), ("news", other), ("news", other))
        ],
    ]
    for event in events:
        feed.publish(event, bot=event.pop("bot", ""))
    await until(lambda: not feed.waiting)
    assert feed.journal is not None
    assert feed.sampler is not None
    feed.sampler.take()
    await feed.close()
    db = file.read_only(path)
    span = time.time() - 300, time.time() + 300
    alpha = build(db, *span, lambda at: [])
    beta = build(db, *span, lambda at: [], "beta")
    rows = list(export.trade_rows(db))
    with pytest.raises(file.JournalError, match="alpha, beta"):
        build(db, *span, lambda at: [], "gamma")
    db.close()
    assert (alpha.bot, alpha.total.trades, alpha.total.profit) == ("alpha", 2, 6.0)
    assert (beta.bot, beta.total.trades, beta.total.profit) == ("beta", 1, -3000.0)
    assert (alpha.currency, [v for _, v in alpha.equity]) == ("EUR", [100.0])
    assert (beta.currency, [v for _, v in beta.equity]) == ("JPY", [9000.0])
    assert (alpha.gates, beta.gates) == ([("spread", 1)], [("news", 2)])
    assert "bot alpha (also in this journal: beta)" in as_text(alpha).splitlines()[0]
    assert [(row["bot"], row["ticket"], row["profit"]) for row in rows] == [
        ("alpha", 7, 5.0),
        ("alpha", 8, 1.0),
        ("beta", 7, -3000.0),
    ]


def test_what_a_report_counts_of_scans_are_fields_of_the_protocol() -> None:
    for part, whole in ((report._Detail, ScanDetail), (report._Scan, ScanSummary)):
        assert set(part.__struct_fields__) <= set(whole.__struct_fields__)
