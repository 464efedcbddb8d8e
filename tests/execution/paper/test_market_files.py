"""Quote files of each known layout, and what is said about a broken one."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from execution.paper import open_paper
from execution.paper.market.bars import from_ticks
from execution.paper.market.discovery import discover
from execution.paper.market.files import Table
from execution.paper.market.model import MarketError
from execution.paper.market.moments import TEMPLATES, decode
from execution.paper.market.streams import BarStream, LeanStream, TickStream, walk
from execution.settings import PaperSettings, TerminalSettings
from execution.transport.registry import PaperKind

NOON = datetime(2024, 3, 5, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp()) * 1000


def _stamp(minute: int, form: str) -> str:
    return datetime.fromtimestamp(NOON.timestamp() + 60 * minute, UTC).strftime(form)


def _bars(form: str, line: str, header: str = "", count: int = 40) -> str:
    lines = [line.format(time=_stamp(at, form), x=f"{at % 10}") for at in range(count)]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


LAYOUTS = {
    "mt5 comma": _bars(
        "%Y.%m.%d %H:%M:%S",
        "{time},1.0800{x},1.0810{x},1.0790{x},1.0805{x},60,0,20",
        "Date,Open,High,Low,Close,Tickvol,Volume,Spread",
    ),
    "mt5 tab": _bars(
        "%Y.%m.%d\t%H:%M:%S",
        "{time}\t1.0800{x}\t1.0810{x}\t1.0790{x}\t1.0805{x}\t60\t0\t20",
        "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
    ),
    "scaled": _bars(
        "%Y-%m-%d %H:%M:%S",
        "{time},10800{x}.0,10810{x}.0,10790{x}.0,10805{x}.0,60",
        "Date,open,high,low,close,tick_volume",
    ),
    "dukascopy": _bars(
        "%d.%m.%Y %H:%M:00.000",
        "{time},1.0800{x},1.0810{x},1.0790{x},1.0805{x},60.5",
        "Gmt time,Open,High,Low,Close,Volume",
    ),
    "metatrader 4": _bars("%Y.%m.%d,%H:%M", "{time},1.0800{x},1.0810{x},1.0790{x},1.0805{x},60"),
    "histdata": _bars("%Y%m%d %H%M00", "{time};1.0800{x};1.0810{x};1.0790{x};1.0805{x};0"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", ["plain", "gz", "zip", "crlf"])
def test_a_bar_file_of_each_layout_is_read(tmp_path: Path, layout: str, packed: str) -> None:
    text = LAYOUTS[layout].encode()
    path = tmp_path / "EURUSD_M1.csv"
    if packed == "gz":
        path = tmp_path / "EURUSD_M1.csv.gz"
        path.write_bytes(gzip.compress(text))
    elif packed == "zip":
        path = tmp_path / "EURUSD_M1.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("EURUSD_M1.csv", text)
    else:
        path.write_bytes(text.replace(b"\n", b"\r\n") if packed == "crlf" else text)
    found, left_out = discover(path)
    assert left_out == []
    stream = found["EURUSD"].stream
    assert isinstance(stream, BarStream)
    assert (stream.own_seconds(), stream.digits) == (60, 5)
    bars = stream.bars(0, None)
    # HistData writes New York's winter time.
    shift = 5 * 3600 if layout == "histdata" else 0
    assert bars["time"].tolist() == [NOON_MS // 1000 + shift + 60 * at for at in range(40)]
    assert bars["open"].tolist() == [round(1.08 + at % 10 * 1e-5, 5) for at in range(40)]
    assert bars["high"][0] == 1.081
    known = {"histdata": 4}  # HistData has no volume: four ticks a bar
    assert bars["tick_volume"][0] == known.get(layout, 60)
    if layout.startswith("mt5"):
        assert bars["spread"].tolist() == [20] * 40
        assert stream.note == ""
    else:
        assert stream.note == "spread assumed"
        assert (bars["spread"] > 0).all()


TICKS = {
    "mt5": (
        "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n"
        "2024.03.05\t12:00:00.100\t1.08000\t1.08010\t\t\t6\n"
        "2024.03.05\t12:00:00.250\t1.08001\t\t\t\t2\n"
        "2024.03.05\t12:00:01.000\t\t1.08012\t\t\t4\n"
    ),
    "dukascopy": (
        "Gmt time,Ask,Bid,AskVolume,BidVolume\n"
        "05.03.2024 12:00:00.100,1.08010,1.08000,1.5,0.75\n"
        "05.03.2024 12:00:00.250,1.08010,1.08001,1.5,0.75\n"
        "05.03.2024 12:00:01.000,1.08012,1.08001,1.5,0.75\n"
    ),
    "dukascopy-node": (
        "timestamp,askPrice,bidPrice,askVolume,bidVolume\n"
        f"{NOON_MS + 100},1.08010,1.08000,1.5,0.75\n"
        f"{NOON_MS + 250},1.08010,1.08001,1.5,0.75\n"
        f"{NOON_MS + 1000},1.08012,1.08001,1.5,0.75\n"
    ),
    "histdata": (
        "20240305 070000100,1.08000,1.08010,0\n"
        "20240305 070000250,1.08001,1.08010,0\n"
        "20240305 070001000,1.08001,1.08012,0\n"
    ),
}


@pytest.mark.parametrize("layout", TICKS)
def test_a_tick_file_of_each_layout_is_read(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "DAT_ASCII_EURUSD_T_202403.csv"
    path.write_text(TICKS[layout])
    stream = discover(tmp_path)[0]["EURUSD"].stream
    assert isinstance(stream, TickStream)
    (day,) = stream.days()
    time_ms, bid, ask = stream.ticks(day)
    assert (time_ms - NOON_MS).tolist() == [100, 250, 1000]
    assert bid.tolist() == [1.08, 1.08001, 1.08001]
    assert ask.tolist() == [1.0801, 1.0801, 1.08012]


@pytest.mark.parametrize(
    ("line", "broken", "problem"),
    [
        (7, "2024.03.05 12:05:00,1.08,oops,1.07,1.08,60,0,20", "'oops' is no number"),
        (4, "2024.03.05 12:02:00,1.08,1.09", "2 columns where 7"),
        (9, "2024.03.05 11:00:00,1.08,1.09,1.07,1.08,60,0,20", "earlier than the line before"),
        (5, "2024.13.05 12:03:00,1.08,1.09,1.07,1.08,60,0,20", "does not begin with a time"),
        (6, "2024.03.05 12:04:00,1.08,-1.09,1.07,1.08,60,0,20", "price that is not positive"),
        (6, "2024.03.05 12:04:00,1.08,,1.07,1.08,60,0,20", "'' is no number"),
    ],
)
def test_a_broken_line_is_named_with_file_and_line(
    tmp_path: Path, line: int, broken: str, problem: str
) -> None:
    lines = LAYOUTS["mt5 comma"].splitlines()
    lines[line - 1] = broken
    path = tmp_path / "EURUSD_M1.csv"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(MarketError, match=problem) as caught:
        discover(path)
    assert (caught.value.file, caught.value.line) == (path, line)
    assert f"{path}:{line}: " in str(caught.value)
    assert "export the file again" in str(caught.value)


def test_a_large_file_is_read_where_a_day_stands_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("execution.paper.market.files._BLOCK", 4096)
    days = 12
    form, line = "%Y.%m.%d %H:%M:%S", "{time},1.0800{x},1.0810{x},1.0790{x},1.0805{x},60,0,20"
    header = LAYOUTS["mt5 comma"].splitlines()[0]
    path = tmp_path / "EURUSD_M1.csv"
    path.write_text(_bars(form, line, header, 1440 * days))
    table = Table(path)
    assert table.large
    whole, _ = table.rows(0, None)
    assert len(whole) == 1440 * days
    for day in (0, 3, 11):
        begin = NOON_MS + day * 86_400_000
        times, columns = table.rows(begin, begin + 86_400_000)
        assert times[0] == begin
        assert len(times) == len(columns["open"]) == 1440
    lines = path.read_text().splitlines()
    lines[10_000] = "2024.03.12 10:39:00,x,1.08,1.08,1.08,60,0,20"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(MarketError) as caught:
        Table(path).rows(0, None)
    assert caught.value.line == 10_001


def test_other_csv_files_are_left_out_and_named(tmp_path: Path) -> None:
    (tmp_path / "EURUSD_M1.csv").write_text(LAYOUTS["mt5 comma"])
    (tmp_path / "notes.csv").write_text("name,what\na,b\n")
    found, left_out = discover(tmp_path)
    assert list(found) == ["EURUSD"]
    assert left_out == ["notes.csv"]


@pytest.mark.parametrize("make", ["missing", "empty", "foreign", "bad zip", "bad gz"])
def test_what_cannot_be_a_market_says_what_to_give(tmp_path: Path, make: str) -> None:
    path = tmp_path / "quotes"
    if make != "missing":
        path.mkdir()
    if make == "foreign":
        (path / "x.csv").write_text("a,b\n1,2\n")
    elif make == "bad zip":
        (path / "minute" / "eurusd").mkdir(parents=True)
        (path / "EURUSD_M1.zip").write_bytes(b"PK not a zip")
    elif make == "bad gz":
        (path / "EURUSD_M1.csv.gz").write_bytes(b"\x1f\x8bnot")
    with pytest.raises(MarketError) as caught:
        discover(path)
    assert caught.value.file is not None
    assert caught.value.do


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("EURUSDh4.csv", "EURUSD"),
        ("XAUUSD_M15_202210100000_202310020000.csv", "XAUUSD"),
        ("DAT_ASCII_GBPUSD_M1_2012.csv", "GBPUSD"),
        ("gbpjpy-m1-bid-2024.csv", "GBPJPY"),
        ("US30.csv", "US30"),
    ],
)
def test_the_symbol_is_read_from_the_files_name(tmp_path: Path, name: str, symbol: str) -> None:
    (tmp_path / name).write_text(LAYOUTS["mt5 comma"])
    assert list(discover(tmp_path)[0]) == [symbol]


def test_every_time_template_is_decoded() -> None:
    moment = datetime(2024, 2, 29, 23, 58, 7, 45_000, tzinfo=UTC)
    parts = {"Y": "2024", "M": "02", "D": "29", "h": "23", "m": "58", "s": "07", "f": "045"}
    for template in TEMPLATES:
        used = {mark: iter(text) for mark, text in parts.items()}
        text = "".join(next(used[c]) if c in used else c for c in template)
        times, bad = decode([text.encode()] * 2, template)
        assert bad is None
        expect = moment.replace(
            hour=23 if "h" in template else 0,
            minute=58 if "m" in template else 0,
            second=7 if "s" in template else 0,
            microsecond=45_000 if "f" in template else 0,
        )
        assert times.tolist() == [round(expect.timestamp() * 1000)] * 2


def test_a_walk_through_a_bar_reaches_its_four_prices_in_order() -> None:
    bid = np.array([[1.1, 1.13, 1.08, 1.12], [1.12, 1.14, 1.07, 1.09]])
    times = np.array([0, 900_000])
    for count in (4, 5, 17, 100):
        ticks = walk(times, 900_000, bid, bid + 0.0001, np.array([count, count]), 5)
        first = ticks.bid[:count]
        assert len(ticks.bid) == 2 * count
        assert (first[0], first.max(), first.min(), first[-1]) == (1.1, 1.13, 1.08, 1.12)
        assert first.argmin() < first.argmax()  # a rising bar falls first
        second = ticks.bid[count:]
        assert second.argmax() < second.argmin()
        bars = from_ticks(*ticks, 1e-5)
        assert bars["high"].max() == 1.14


def _lean(folder: Path, symbol: str) -> LeanStream:
    stream = LeanStream(symbol.upper())
    for resolution in ("tick", "minute"):
        for path in sorted((folder / resolution / symbol).glob("*.zip")):
            stream.add(path, resolution)
    stream.learn_digits()
    return stream


@pytest.mark.parametrize(
    ("market", "symbol", "days"), [("forex", "eurusd", 13), ("cfd", "xauusd", 3)]
)
def test_real_ticks_make_the_recorded_minute_bars(
    real_quotes: Path, market: str, symbol: str, days: int
) -> None:
    stream = _lean(real_quotes / "lean" / market / "oanda", symbol)
    compared = 0
    for day in stream.tick_files:
        from_tick_file = stream.minutes(day)
        minutes_only = LeanStream(symbol.upper())
        minutes_only.digits = stream.digits
        minutes_only.minute_files = stream.minute_files
        recorded = minutes_only.minutes(day)
        for column in ("time", "open", "high", "low", "close"):
            assert np.array_equal(from_tick_file[column], recorded[column]), (day, column)
        compared += 1
    assert compared == days


def test_the_files_of_a_market_are_looked_through_once_for_check_and_opening(
    tmp_path: Path,
) -> None:
    text = _bars(
        "%Y.%m.%d %H:%M:%S",
        "{time},1.0800{x},1.0810{x},1.0790{x},1.0805{x},60,0,20",
        "Date,Open,High,Low,Close,Tickvol,Volume,Spread",
        count=6000,
    )
    (tmp_path / "EURUSD_M1.csv").write_text(text)
    settings = PaperSettings(market=tmp_path)
    told: list[tuple[str, int, int]] = []
    terminal = TerminalSettings()
    quotes: Any = PaperKind().prepare(terminal, settings, lambda *each: told.append(each))
    assert ("looking at EURUSD_M1.csv", 0, 1) in told
    told.clear()
    opened = open_paper(settings, progress=lambda *each: told.append(each), quotes=quotes)
    assert not [words for words, _, _ in told if words.startswith("looking at ")]
    again = open_paper(settings)
    assert opened.market.start == again.market.start
    assert opened.market_text == again.market_text
