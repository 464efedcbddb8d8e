"""The commands of the protocol by name, each with its typed arguments.

An error names the argument that is wrong. Every feed knows the names listed here; a command with
another name reaches the commander unchecked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ..errors import Mt5dashError
from .messages import Command, CommandError, CommandResult
from .payloads import Expect
from .sanitise import clean

TEXT_MAX = 200

Ticket = Annotated[int, Meta(gt=0, le=2**63 - 1)]
Lots = Annotated[float, Meta(gt=0, le=1e9)]
Price = Annotated[float, Meta(ge=0, le=1e12)]
Words = Annotated[str, Meta(max_length=TEXT_MAX)]


class BadCommand(Mt5dashError):
    """A command that is not carried out; ``code`` is for programs, the text for people."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Args(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Arguments of one command."""


class NoArgs(Args, frozen=True):
    """For ``pause``, ``resume``, ``scan_now`` and ``release``."""


class ClosePosition(Args, frozen=True):
    """``volume`` in lots; all of it when not given."""

    ticket: Ticket
    volume: Lots | None = None
    expect: Expect | None = None


class ModifyPosition(Args, frozen=True):
    """Prices; ``None`` keeps one, 0 takes it away."""

    ticket: Ticket
    sl: Price | None = None
    tp: Price | None = None
    expect: Expect | None = None


class CancelOrder(Args, frozen=True):
    order: Ticket
    expect: Expect | None = None


class Flatten(Args, frozen=True):
    """All, or those of one symbol, or the bot's only."""

    symbol: Words | None = None
    owner: Literal["all", "bot"] = "all"


class Halt(Args, frozen=True):
    """The kill switch; with ``flatten`` what is open is closed as well."""

    reason: Words | None = None
    flatten: bool = False


COMMANDS: dict[str, type[Args]] = {
    "pause": NoArgs,
    "resume": NoArgs,
    "scan_now": NoArgs,
    "close_position": ClosePosition,
    "modify_position": ModifyPosition,
    "cancel_order": CancelOrder,
    "flatten": Flatten,
    "halt": Halt,
    "release": NoArgs,
}

SPARES_RISK = frozenset({"pause", "close_position", "cancel_order", "flatten", "halt"})
"""These only make the risk smaller: a disk that is full does not hold them up."""

_MEANT: dict[str, str] = {
    "ticket": "a whole number above 0",
    "order": "a whole number above 0",
    "volume": "a number above 0 (lots)",
    "sl": "a number 0 or more (a price; 0 takes it away)",
    "tp": "a number 0 or more (a price; 0 takes it away)",
    "symbol": f"text of at most {TEXT_MAX} characters",
    "reason": f"text of at most {TEXT_MAX} characters",
    "owner": "all or bot",
    "flatten": "true or false",
    "expect": "an object with ticket, side (BUY or SELL), volume, symbol or some of them",
}


def parse(name: str, args: Mapping[str, Any]) -> Args:
    """The typed arguments of a command of the protocol.

    Raises:
        BadCommand: unknown name (UNKNOWN_COMMAND), or an argument that is unknown, missing
            or of the wrong kind (BAD_ARGS).
    """
    kind = COMMANDS.get(name)
    if kind is None:
        raise BadCommand(
            "UNKNOWN_COMMAND",
            f"no command {clean(name, 64)!r}; known are {', '.join(COMMANDS)}",
        )
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    extra = sorted(clean(str(key), 64) for key in args if key not in fields)
    if extra:
        known = f"; it takes {', '.join(fields)}" if fields else ""
        raise BadCommand("BAD_ARGS", f"{name} takes no {', '.join(extra)}{known}")
    for field in fields.values():
        value = args.get(field.name)
        if field.name not in args and not field.required:
            continue
        try:
            msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            shown = clean(repr(value), 80)
            raise BadCommand(
                "BAD_ARGS", f"{field.name} must be {_MEANT[field.name]}, got {shown}"
            ) from None
    made: Args = msgspec.convert(dict(args), kind)
    if isinstance(made, ModifyPosition) and made.sl is None and made.tp is None:
        raise BadCommand("BAD_ARGS", "modify_position needs sl, tp or both; 0 takes one away")
    return made


def two_steps(args: Args) -> bool:
    """Whether the command closes everything: a client is asked before it is done."""
    return isinstance(args, Flatten) or (isinstance(args, Halt) and args.flatten)


def refusal(id: str, code: str, message: str) -> CommandResult:
    """A result that says no."""
    return CommandResult(id=id, ok=False, error=CommandError(code=code, message=message))


def refused(command: Command, error: BadCommand) -> CommandResult:
    """The same, for what was found wrong with a command."""
    return refusal(command.id, error.code, str(error))
