"""The bots of one feed: each with its state, its ledger and its limits.

A feed carries the events of its own bot and of other bots that publish on it. Rates and counts
are kept by bot, so that one that publishes too much, or falls silent, costs no other.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from ..protocol.codec import EventRefused, encode
from ..protocol.lenient import wire_key
from ..protocol.messages import Account
from ..protocol.sections import DATA_SECTIONS
from .reducer import BOT_NAME, MAX_BOTS, FeedState
from .trades import TradeLedger

BURST_S = 5.0
"""Seconds of its rate that a bot may publish at once."""
ACCOUNT_MAX = 128
_LOGIN = wire_key(Account, lambda a: a.login)
_SERVER = wire_key(Account, lambda a: a.server)


class BotSettings(Protocol):
    """What ``Bots`` reads of the feed's settings."""

    @property
    def bot(self) -> str:
        """The own bot's name; empty for a feed without one."""
        ...

    @property
    def legacy_bot(self) -> str:
        """The bot on the top level of the state; empty: the own one."""
        ...

    @property
    def max_bots(self) -> int:
        """Most bots of the feed."""
        ...

    @property
    def publish_per_s(self) -> float:
        """Events a second that one bot may publish."""
        ...


class Bot:
    """One bot of a feed.

    Attributes:
        name: Bot name; empty for the feed itself.
        own: Whether it is this feed's own bot.
        state: Its state.
        ledger: Its trades.
        account: ``LOGIN@SERVER`` of its account; empty while it is unknown.
        stamp, account_stamp: What its events carry to name bot and account: JSON after a comma.
        heard: When its last event came, ``time.monotonic``; ``None`` before the first.
        published: Events taken in from it.
        refused: Events of it that were refused because it sent too many.
        held: State events above its rate, the newest of each type, published when it is due.
        waiting: Its log events that are not on disk yet.
        unreachable_reason: Why nothing can come from it now; ``None`` while it is reachable or
            that is unknown.
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
        "name",
        "own",
        "published",
        "refused",
        "stamp",
        "state",
        "unreachable_reason",
        "waiting",
    )

    def __init__(self, name: str, state: FeedState, rate: float, *, own: bool = False) -> None:
        self.name = name
        self.own = own
        self.state = state
        self.ledger = TradeLedger()
        self.stamp = b',"bot":' + encode(name) if name else b""
        self.account = ""
        self.account_stamp = b""
        self.heard: float | None = None
        self.published = 0
        self.refused = 0
        self.waiting = 0
        self.unreachable_reason: str | None = None
        self.held: dict[str, bytes] = {}
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
        """Update ``account`` from the state."""
        login, server = self.state.account.get(_LOGIN), self.state.account.get(_SERVER)
        account = "" if login is None or not server else f"{login}@{server}"[:ACCOUNT_MAX]
        if account != self.account:
            self.account = account
            self.account_stamp = b',"account":' + encode(account) if account else b""

    def age(self, now: float) -> float | None:
        """Seconds since its account or its quotes were updated; ``None`` before the first update."""
        updated = self.state.updated
        ages = [now - updated[name] for name in DATA_SECTIONS if name in updated]
        return min(ages) if ages else None


class Bots:
    """All bots of a feed, in the order in which they were added.

    Args:
        settings: Names and limits.
        state: The feed's state; its top level is about the legacy bot.
        on_legacy_bot: Called with the name of the legacy bot when it becomes known.

    Attributes:
        default_bot: The bot that unnamed events are attributed to: the own bot, or the feed
            itself.
    """

    def __init__(
        self, settings: BotSettings, state: FeedState, on_legacy_bot: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._state = state
        self._on_legacy_bot = on_legacy_bot
        self._bots: dict[str, Bot] = {}
        state.name = settings.legacy_bot or settings.bot
        name = settings.bot
        self.default_bot = Bot(
            name, state.get_or_add(name) or state, settings.publish_per_s, own=bool(name)
        )
        if name:
            self._bots[name] = self.default_bot

    def __len__(self) -> int:
        return len(self._bots)

    def __iter__(self) -> Iterator[Bot]:
        return iter(list(self._bots.values()))

    @property
    def own(self) -> Bot | None:
        """The feed's own bot, if it has one."""
        return self.default_bot if self.default_bot.own else None

    @property
    def legacy_bot(self) -> str:
        """The bot on the top level of the state, the one that legacy clients see; empty while it is
        unknown."""
        return self._state.name

    @property
    def names(self) -> list[str]:
        """All names, in the order in which they were added."""
        return list(self._bots)

    def get(self, name: str) -> Bot | None:
        """The bot of this name, ``None`` when it is unknown; the default bot for an empty name."""
        return self._bots.get(name) if name else self.default_bot

    def get_or_add(self, name: str) -> Bot:
        """The bot of this name; it is added when it is unknown.

        Raises:
            EventRefused: the name is invalid, or max_bots is reached.
        """
        known = self.get(name)
        if known is not None:
            return known
        if not BOT_NAME.fullmatch(name):
            raise EventRefused(f"{name[:40]!r} is not a bot name: use letters, digits, . _ -")
        most = min(self._settings.max_bots, MAX_BOTS)
        if len(self._bots) >= most:
            raise EventRefused(f"this feed takes {most} bots and has them (setting feed.max_bots)")
        first = not self._state.name
        state = self._state.get_or_add(name)
        assert state is not None
        bot = self._bots[name] = Bot(name, state, self._settings.publish_per_s)
        if first or name == self._state.name:
            self._on_legacy_bot(self._state.name)
        return bot

    def of_event(self, event: Mapping[str, Any]) -> Bot:
        """The bot of an event from a journal; the default bot when it names none.

        Raises:
            EventRefused: as ``get_or_add``.
        """
        name = event.get("bot")
        return self.get_or_add(name) if isinstance(name, str) and name else self.default_bot

    def reload(self) -> None:
        """Replace all bots by those of the state, after it was loaded."""
        self._bots = {self.default_bot.name: self.default_bot} if self.default_bot.own else {}
        for state in self._state.each():
            if state.name:
                with contextlib.suppress(EventRefused):
                    bot = self.get_or_add(state.name)
                    bot.state = state
                    bot.learn_account()

    def set_unreachable(self, name: str, reason: str | None) -> None:
        """Set why nothing can come from a bot now; ``None``: its source is back."""
        bot = self._bots.get(name)
        if bot is not None:
            bot.unreachable_reason = reason

    def waiting_share(self, waiting_events: int) -> int:
        """How many log events of one publishing bot may wait for the journal: all shares together
        leave the own bot half of the room."""
        return max(50, waiting_events // (2 * max(self._settings.max_bots, 1)))
