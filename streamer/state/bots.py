"""The bots of one feed: each with its state, its ledger and its bounds.

A feed tells of its own bot and of those that publish on it. What one of them does too much of,
or does not do any more, is counted and bounded here, by bot, and costs no other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..protocol.codec import EventRefused, encode
from ..settings import FeedSettings
from .reducer import BOT_NAME, MAX_BOTS, FeedState
from .trades import Ledger

BURST_S = 5.0
"""A bot may publish at once what it may publish in so many seconds."""
ACCOUNT_MAX = 128


class Bot:
    """One bot of a feed.

    Attributes:
        name: Empty for what is said by the feed itself where it has no bot of its own.
        own: Whether it is this feed's own bot.
        state: What is known of it.
        ledger: Its trades.
        account: ``LOGIN@SERVER`` of its account, empty until that is known.
        heard: When its last event came, ``time.monotonic``; ``None`` before the first.
        published: Events taken in from it.
        refused: Events of it that were refused because they were too many.
        waiting: Its log events that are not on disk yet.
        lost: Why nothing can come from it now, where that is known: its source is gone.
    """

    __slots__ = (
        "_allowed",
        "_allowed_at",
        "_rate",
        "account",
        "account_stamp",
        "heard",
        "held",
        "ledger",
        "lost",
        "name",
        "own",
        "published",
        "refused",
        "stamp",
        "state",
        "waiting",
    )

    def __init__(self, name: str, state: FeedState, rate: float, *, own: bool = False) -> None:
        self.name = name
        self.own = own
        self.state = state
        self.ledger = Ledger()
        self.stamp = b',"bot":' + encode(name) if name else b""
        self.account = ""
        self.account_stamp = b""
        self.heard: float | None = None
        self.published = 0
        self.refused = 0
        self.waiting = 0
        self.lost: str | None = None
        self.held: dict[str, bytes] = {}
        """State events above its rate, the newest of each type: they are sent when it is due."""
        self._rate = rate
        self._allowed = rate * BURST_S
        self._allowed_at = time.monotonic()

    def allow(self) -> bool:
        """Whether it may publish one more event now."""
        now = time.monotonic()
        passed = (now - self._allowed_at) * self._rate
        self._allowed = min(self._rate * BURST_S, self._allowed + passed)
        self._allowed_at = now
        if self._allowed < 1.0:
            return False
        self._allowed -= 1.0
        return True

    def learn_account(self) -> None:
        """Take its account's name from its state."""
        login, server = self.state.account.get("login"), self.state.account.get("server")
        account = "" if login is None or not server else f"{login}@{server}"[:ACCOUNT_MAX]
        if account != self.account:
            self.account = account
            self.account_stamp = b',"account":' + encode(account) if account else b""

    def age(self, now: float) -> float | None:
        """Seconds since its account or its prices were told; ``None`` when they never were."""
        updated = self.state.updated
        ages = [now - updated[name] for name in ("account", "quotes") if name in updated]
        return min(ages) if ages else None


class Bots:
    """All bots of a feed, in the order they were met.

    Args:
        settings: Names and bounds.
        state: The feed's state; that of the chosen bot is its top level.
        on_chosen: Told the name of the chosen bot when that becomes known.
    """

    def __init__(
        self, settings: FeedSettings, state: FeedState, on_chosen: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._state = state
        self._on_chosen = on_chosen
        self._bots: dict[str, Bot] = {}
        state.name = settings.legacy_bot or settings.bot
        name = settings.bot
        self.speaker = Bot(
            name, state.get_or_add(name) or state, settings.publish_per_s, own=bool(name)
        )
        """Whose events those are that name no bot: the own bot's, or the feed's itself."""
        if name:
            self._bots[name] = self.speaker

    def __len__(self) -> int:
        return len(self._bots)

    def __iter__(self) -> Iterator[Bot]:
        return iter(list(self._bots.values()))

    @property
    def own(self) -> Bot | None:
        """The feed's own bot, if it has one."""
        return self.speaker if self.speaker.own else None

    @property
    def chosen(self) -> str:
        """The bot on the top level of the state, which is what legacy clients see."""
        return self._state.name

    @property
    def names(self) -> list[str]:
        """All names, in the order they were met."""
        return list(self._bots)

    def get(self, name: str) -> Bot | None:
        """One bot, if it is known; for an empty name who speaks for the feed."""
        return self._bots.get(name) if name else self.speaker

    def meet(self, name: str) -> Bot:
        """One bot, a new one when it is not known yet.

        Raises:
            EventRefused: the name is none, or there are too many bots.
        """
        known = self.get(name)
        if known is not None:
            return known
        if not BOT_NAME.fullmatch(name):
            raise EventRefused(f"{name[:40]!r} is no name of a bot: letters, digits, . _ - only")
        most = min(self._settings.max_bots, MAX_BOTS)
        if len(self._bots) >= most:
            raise EventRefused(f"this feed takes {most} bots and has them (setting feed.max_bots)")
        first = not self._state.name
        state = self._state.get_or_add(name)
        assert state is not None
        bot = self._bots[name] = Bot(name, state, self._settings.publish_per_s)
        if first or name == self._state.name:
            self._on_chosen(self._state.name)
        return bot

    def by_event(self, event: Mapping[str, Any]) -> Bot:
        """Whose event it is, from a journal: one that names no bot is the speaker's.

        Raises:
            EventRefused: as ``meet``.
        """
        name = event.get("bot")
        return self.meet(name) if isinstance(name, str) and name else self.speaker

    def meet_all(self) -> None:
        """Know the bots of the state and no others: it was loaded anew."""
        self._bots = {self.speaker.name: self.speaker} if self.speaker.own else {}
        for state in self._state.each():
            if state.name:
                with contextlib.suppress(EventRefused):
                    bot = self.meet(state.name)
                    bot.state = state
                    bot.learn_account()

    def lost(self, name: str, why: str | None) -> None:
        """Note why nothing can come from a bot now; ``None``: its source is back."""
        bot = self._bots.get(name)
        if bot is not None:
            bot.lost = why

    def waiting_share(self, waiting_events: int) -> int:
        """How many log events of one publishing bot may wait for the journal: together they
        leave the own bot half of the room."""
        return max(50, waiting_events // (2 * max(self._settings.max_bots, 1)))
