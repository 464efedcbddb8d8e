"""A calendar of releases: where it is read from, and whether a release is near.

Reading happens in a thread; a calendar that cannot be read keeps what was read before, reports
why on the feed, and is tried again sooner.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamer.http_get import HttpClient, HttpResponse, NoResponse

from ..settings import NewsSettings
from .calendars import IMPACTS, CalendarError, Release, parse

log = logging.getLogger(__name__)

MOST_BYTES = 5_000_000
TOO_LARGE = f"larger than {MOST_BYTES // 1_000_000} MB: that is no calendar"
HTTP = HttpClient(
    timeout_s=60.0,
    stall_s=15.0,
    max_bytes=MOST_BYTES,
    use_proxies=True,
    follow_redirects=True,
    https_only=True,
)
RETRY_S = 120.0
"""Seconds until an unreadable calendar is tried again."""


@dataclass
class Calendar:
    """Releases and the blackouts around them. ``unreadable`` is the reason why it is unreliable."""

    settings: NewsSettings
    releases: Sequence[Release] = ()
    unreadable: str | None = "not read yet"

    def blackout(self, currencies: Collection[str], utc: float) -> str | None:
        """The release that silences these currencies at ``utc`` (epoch seconds), in words."""
        if math.isnan(utc):
            return None
        least = IMPACTS.index(self.settings.impact)
        before, after = self.settings.before_min * 60, self.settings.after_min * 60
        for release in self.releases:
            if not -after <= release.utc - utc <= before:
                continue
            if IMPACTS.index(release.impact) < least:
                continue
            if release.currency and release.currency not in currencies:
                continue
            minutes = (release.utc - utc) / 60
            when = f"in {minutes:.0f} min" if minutes > 0 else f"{-minutes:.0f} min ago"
            return " ".join(x for x in (release.title, release.currency, when) if x)
        return None

    async def run(self, report: Callable[[str | None], None]) -> None:
        """Read periodically; ``report`` gets the trouble when it begins, ``None`` when it
        is over."""
        source = self.settings.source
        if source is None:
            return
        trouble: str | None = None
        while True:
            await self.read(source)
            if self.unreadable != trouble:
                report(self.unreadable)
                trouble = self.unreadable
            await asyncio.sleep(self.settings.refresh_min * 60 if trouble is None else RETRY_S)

    async def read(self, source: str) -> None:
        """Read the calendar once, in a thread."""
        try:
            self.releases = await asyncio.to_thread(load, source)
        except (CalendarError, OSError, ValueError) as error:
            log.info("calendar %s: %s", source, error)
            self.unreadable = f"{source}: {error}"
        else:
            self.unreadable = None

    def covers(self, utc: float) -> bool:
        """Whether the calendar still speaks of the present: an old file does not."""
        if not self.releases or math.isnan(utc):
            return False
        return max(release.utc for release in self.releases) >= utc - 86_400

    def trouble(self, utc: float) -> str | None:
        """Why the calendar does not serve at ``utc``; ``None`` when it does."""
        if self.unreadable is not None:
            return self.unreadable
        if self.covers(utc):
            return None
        if not self.releases:
            return "it holds no release"
        last = datetime.fromtimestamp(max(r.utc for r in self.releases), UTC)
        return f"its last release was on {last:%Y-%m-%d}"


def load(source: str) -> list[Release]:
    """Read and parse a file or an https address. Blocks.

    Raises:
        CalendarError: what is wrong, where, and what to do.
        OSError: it cannot be opened.
    """
    if "://" in source:
        if not source.startswith("https://"):
            raise CalendarError("a calendar is read over https only, or from a file")
        try:
            data = content_of(HTTP.get(source))
        except NoResponse as error:
            raise CalendarError(str(error)) from None
    else:
        with Path(source).expanduser().open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise CalendarError(TOO_LARGE)
    return parse(data.decode("utf-8-sig", errors="replace"))


def content_of(answer: HttpResponse) -> bytes:
    """The calendar in a server's answer.

    Raises:
        CalendarError: there is none, or not all of it: half a calendar would miss releases.
    """
    if not answer.ok:
        raise CalendarError(f"HTTP {answer.status}")
    if answer.too_large:
        raise CalendarError(TOO_LARGE)
    if not answer.complete:
        raise CalendarError("the connection ended before the calendar was complete")
    return answer.body
