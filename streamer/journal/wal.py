"""Reads the pages, rows and write-ahead log of a damaged SQLite file, without SQLite.

Format: https://www.sqlite.org/fileformat2.html (sections 1.6, 2.1 and 4).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = tuple[int, list[Any]]
_LEAF = 0x0D


class Wal:
    """The frames of a write-ahead log up to the first wrong checksum.

    Attributes:
        pages: Newest committed content by page number.
        bad_frame: The first frame (from 1) with a wrong checksum that is followed by commits of
            the same run of the log; ``None``: there is none.
        lost_commits: The number of such commits.
    """

    def __init__(self, data: bytes, deadline_s: float | None = None) -> None:
        self.pages: dict[int, bytes] = {}
        self.bad_frame: int | None = None
        self.lost_commits = 0
        if len(data) < 32:
            return
        magic, _, size = struct.unpack(">III", data[:12])
        if magic & ~1 != 0x377F0682 or size < 512 or size & (size - 1):
            if any(data[:4]):  # SQLite writes no log with another beginning
                self.bad_frame = 0
            return
        order = ">" if magic & 1 else "<"
        salts, check = data[16:24], _checksum(order, data[:24], (0, 0))
        if check != struct.unpack(">II", data[24:32]):
            self.bad_frame = 0
            return
        until = None if deadline_s is None else time.monotonic() + deadline_s
        waiting: dict[int, bytes] = {}
        number, at = 0, 32
        while at + 24 + size <= len(data):
            if until is not None and time.monotonic() > until:
                return
            number += 1
            head, page = data[at : at + 24], data[at + 24 : at + 24 + size]
            check = _checksum(order, page, _checksum(order, head[:8], check))
            if head[8:16] != salts or check != struct.unpack(">II", head[16:24]):
                self.lost_commits = _commits(data, at + 24 + size, size, salts)
                own = head[8:16] == salts and head[4:8] != bytes(4)
                if self.lost_commits or own:
                    self.bad_frame = number
                    self.lost_commits += own
                return
            index, committed = struct.unpack(">II", head[:8])
            waiting[index] = page
            if committed:
                self.pages.update(waiting)
                waiting.clear()
            at += 24 + size


def _commits(data: bytes, at: int, size: int, salts: bytes) -> int:
    found = 0
    while at + 24 + size <= len(data):
        found += data[at + 8 : at + 16] == salts and data[at + 4 : at + 8] != bytes(4)
        at += 24 + size
    return found


def _checksum(order: str, data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    s0, s1 = start
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for a, b in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + a + s1) & 0xFFFFFFFF
        s1 = (s1 + b + s0) & 0xFFFFFFFF
    return s0, s1


def read_wal(path: Path, deadline_s: float | None = None) -> Wal:
    """The log of the database ``path``; empty when there is none."""
    try:
        data = path.with_name(path.name + "-wal").read_bytes()
    except FileNotFoundError:
        data = b""
    return Wal(data, deadline_s)


class Pages:
    """The pages of a file, with those of its log on top."""

    def __init__(self, path: Path) -> None:
        self._log = read_wal(path).pages
        self._file = path.open("rb")
        head = self._file.read(100)
        size = int.from_bytes(head[16:18], "big")
        size = 65536 if size == 1 else size
        self.size = size if size >= 512 and not size & (size - 1) else 4096
        self._file.seek(0, 2)
        self.count = max(self._file.tell() // self.size, *self._log, 0)

    def get(self, number: int) -> bytes:
        """The content of page ``number`` (from 1); empty when there is none."""
        logged = self._log.get(number)
        if logged is not None:
            return logged
        if not 1 <= number <= self.count:
            return b""
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def close(self) -> None:
        self._file.close()


def rows(path: Path) -> Iterator[Row]:
    """All readable rows of all table pages, unordered: row number and values.

    Rows of unused pages are among them, and a damaged row may have wrong values: the caller
    checks them.
    """
    pages = Pages(path)
    try:
        for number in range(1, pages.count + 1):
            page = pages.get(number)
            start = 100 if number == 1 else 0
            if len(page) < pages.size or page[start] != _LEAF:
                continue
            cells = int.from_bytes(page[start + 3 : start + 5], "big")
            for cell in range(min(cells, (pages.size - start - 8) // 2)):
                at = int.from_bytes(page[start + 8 + 2 * cell : start + 10 + 2 * cell], "big")
                try:
                    yield _row(pages, page, at)
                except (IndexError, ValueError, struct.error):
                    continue
    finally:
        pages.close()


def _row(pages: Pages, page: bytes, at: int) -> Row:
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    most, least = pages.size - 35, (pages.size - 12) * 32 // 255 - 23
    if size <= most:
        payload = page[at : at + size]
    else:
        if size > 1 << 24:
            raise ValueError("too large")
        local = least + (size - least) % (pages.size - 4)
        local = local if local <= most else least
        payload = page[at : at + local]
        follow = int.from_bytes(page[at + local : at + local + 4], "big")
        while len(payload) < size:
            more = pages.get(follow)
            if len(more) < pages.size:
                raise ValueError("an overflow page is missing")
            follow = int.from_bytes(more[:4], "big")
            payload += more[4 : 4 + size - len(payload)]
    if len(payload) != size:
        raise ValueError("cut off")
    return rowid, _values(payload)


def _values(payload: bytes) -> list[Any]:
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Any] = []
    at = header
    for kind in kinds:
        if kind == 0:
            values.append(None)
        elif kind in (8, 9):
            values.append(kind - 8)
        elif kind <= 6:
            width = (0, 1, 2, 3, 4, 6, 8)[kind]
            values.append(int.from_bytes(payload[at : at + width], "big", signed=True))
            at += width
        elif kind == 7:
            values.append(struct.unpack(">d", payload[at : at + 8])[0])
            at += 8
        elif kind >= 12:
            width = (kind - 12) // 2
            raw = payload[at : at + width]
            if len(raw) != width:
                raise ValueError("cut off")
            values.append(raw.decode() if kind % 2 else raw)
            at += width
        else:
            raise ValueError(f"serial type {kind}")
    return values


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for n in range(9):
        byte = data[at + n]
        if n == 8:
            return _signed((value << 8) | byte), at + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, at + n + 1
    raise ValueError("varint")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
