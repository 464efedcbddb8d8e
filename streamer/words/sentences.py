"""The sentences of the word table, filled with an event's fields.

``{field}`` writes a field, ``{field:format}`` writes it in a format of ``FORMATS``; ``a.b`` is the
field ``b`` of the object ``a``, ``{a|b}`` the first of two fields that has a value. An unknown
field is written ``–``; text in ``[...]`` is left out when a field in it is unknown.

``streamer/web/words.js`` reads the same sentences by the same rules.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from . import figures as f
from .table import TABLE, CloseReasonWords, Text, TextPart

MASK = "•••"
"""Money that its owner wants hidden."""
METRICS_SHOWN = 6
SHORT_MAX = 8

Event = Mapping[str, Any]


class Look(NamedTuple):
    """How the figures of one sentence are written."""

    mask: bool
    """Money is hidden."""
    decimals: int | None
    """Of all its prices."""


def value_at(event: Event, path: str) -> Any:
    """A field by its path; ``None`` where there is none."""
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


# -- formats: value and look in, text out; ``None`` for an unknown value ----------------------


def word(value: Any) -> str:
    """Any value of a foreign event as text."""
    if value is None:
        return f.UNKNOWN
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        n = f.known(value)
        if n is None:
            return f.UNKNOWN
        return str(int(n)) if n.is_integer() and abs(n) < 1e15 else str(n)
    return value if isinstance(value, str) else str(value) if type(value) is int else as_json(value)


def as_json(value: Any) -> str:
    """A value as compact JSON, or as Python writes it where it has no JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))
    except (TypeError, ValueError):
        return str(value)


def _word(value: Any, look: Look) -> str | None:
    return None if value is None or value == "" else word(value)


def _figure(write: Callable[[Any], str]) -> Callable[[Any, Look], str | None]:
    def written(value: Any, look: Look) -> str | None:
        text = write(value)
        return None if text == f.UNKNOWN else text

    return written


def _price(value: Any, look: Look) -> str | None:
    text = f.price(value, look.decimals)
    return None if text == f.UNKNOWN else text


def _money(value: Any, look: Look, sign: bool = False) -> str | None:
    if f.known(value) is None:
        return None
    return MASK if look.mask else f.money(value, sign=sign)


def _gain(value: Any, look: Look) -> str | None:
    return _money(value, look, sign=True)


def _points(value: Any) -> str:
    return f.number(value, 1, sign=True).removesuffix(".0")


def _share(value: Any) -> str:
    n = f.known(value)
    return f.UNKNOWN if n is None or n > 1 else f.number(n * 100) + "%"


def _upper(value: Any, look: Look) -> str | None:
    text = _word(value, look)
    return None if text is None else text.upper()


def reason(value: Any) -> str:
    """The text (else the code) of a ``Reason``; empty without one."""
    if isinstance(value, Mapping):
        found = value.get("text") or value.get("code")
        return word(found) if found else ""
    return word(value) if value else ""


def close_reason(value: Any) -> CloseReasonWords | None:
    """Why a position was closed; a reason that is not in the table says itself."""
    if value is None or value == "":
        return None
    found = TABLE.close_reasons.get(value) if isinstance(value, str) else None
    return found or CloseReasonWords(text=word(value), short=word(value)[:SHORT_MAX])


def _close_reason(value: Any, look: Look) -> str | None:
    found = close_reason(value)
    return None if found is None else found.text


def _candidate_count(value: Any, look: Look) -> str:
    if value == 0:
        return "no candidate"
    return f"{word(value)} candidate{'' if value == 1 else 's'}"


def _candidates(value: Any, look: Look) -> str | None:
    if not isinstance(value, Mapping):
        return None
    names = [
        f"{symbol} {detail.get('direction') or ''}".strip()
        for symbol, detail in value.items()
        if isinstance(detail, Mapping) and detail.get("code") == "CANDIDATE"
    ]
    return ", ".join(names) or None


def _args(value: Any, look: Look) -> str | None:
    if not isinstance(value, Mapping):
        return None
    return " ".join(f"{k}={word(v)}" for k, v in value.items() if k != "expect") or None


def _pairs(value: Any, look: Look) -> str | None:
    if not isinstance(value, Mapping):
        return None
    return "  ".join(f"{k} {word(v)}" for k, v in value.items()) or None


def _metrics(value: Any, look: Look) -> str | None:
    if not isinstance(value, Mapping):
        return None
    shown = islice(value.items(), METRICS_SHOWN)
    return "  ".join(f"{k} {f.number(v, 3)}" for k, v in shown) or None


FORMATS: dict[str, Callable[[Any, Look], str | None]] = {
    "word": _word,
    "upper": _upper,
    "number": _figure(f.number),
    "tenths": _figure(lambda value: f.number(value, 1)),
    "thousandths": _figure(lambda value: f.number(value, 3)),
    "lots": _figure(f.lots),
    "price": _price,
    "money": _money,
    "gain": _gain,
    "multiple": _figure(f.multiple),
    "points": _figure(_points),
    "share": _figure(_share),
    "whole_age": _figure(f.whole_age),
    "reason": lambda value, look: reason(value) or None,
    "close_reason": _close_reason,
    "candidate_count": _candidate_count,
    "candidates": _candidates,
    "args": _args,
    "pairs": _pairs,
    "metrics": _metrics,
}


# -- sentences ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Placeholder:
    """``{a|b:format}``."""

    paths: tuple[str, ...]
    format: str

    def write(self, event: Event, look: Look) -> str | None:
        value = None
        for path in self.paths:
            value = value_at(event, path)
            if value is not None and value != "":
                break
        return FORMATS[self.format](value, look)


@dataclass(frozen=True, slots=True)
class _Optional:
    """``[...]``."""

    pieces: tuple[str | _Placeholder, ...]

    def write(self, event: Event, look: Look) -> str:
        out = []
        for piece in self.pieces:
            text = piece if isinstance(piece, str) else piece.write(event, look)
            if text is None:
                return ""
            out.append(text)
        return "".join(out)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One template, taken apart."""

    pieces: tuple[str | _Placeholder | _Optional, ...]

    def fields(self) -> Iterator[_Placeholder]:
        """All fields of the template."""
        for piece in self.pieces:
            inner = piece.pieces if isinstance(piece, _Optional) else (piece,)
            yield from (field for field in inner if isinstance(field, _Placeholder))

    def write(self, event: Event, look: Look) -> str:
        """The template filled with an event's fields."""
        out = []
        for piece in self.pieces:
            text = piece if isinstance(piece, str) else piece.write(event, look)
            out.append(f.UNKNOWN if text is None else text)
        return "".join(out)


_TOKEN = re.compile(r"\{([\w.|]+)(?::(\w+))?\}|([\[\]])|([^{}\[\]]+)")


@functools.cache
def parse(template: str) -> Sentence:
    """Take a template apart.

    Raises:
        ValueError: it breaks the rules above, or names a format that does not exist.
    """
    done: list[str | _Placeholder | _Optional] = []
    inner: list[str | _Placeholder] | None = None
    at = 0
    for token in _TOKEN.finditer(template):
        if token.start() != at:
            break
        at = token.end()
        paths, kind, bracket, plain = token.groups()
        if bracket == "[" and inner is None:
            inner = []
        elif bracket == "]" and inner is not None:
            done.append(_Optional(tuple(inner)))
            inner = None
        elif bracket is None:
            if kind is not None and kind not in FORMATS:
                raise ValueError(f"{template!r}: no format {kind!r}")
            piece = plain if plain else _Placeholder(tuple(paths.split("|")), kind or "word")
            (done if inner is None else inner).append(piece)
        else:
            break
    else:
        if at == len(template) and inner is None:
            return Sentence(tuple(done))
    raise ValueError(f"{template!r}: malformed at {at}")


def write(template: str, event: Event, *, mask: bool = False) -> str:
    """One template as text; its prices all have the decimals of the finest of them."""
    sentence = parse(template)
    return sentence.write(event, Look(mask, _decimals((sentence,), event)))


def write_text(text: Text, event: Event, *, mask: bool = False) -> str:
    """The parts of a sentence, those that are not empty joined by two spaces."""
    shown = [p for p in text if isinstance(p, str) or _appears(p, event)]
    parts = [parse(p if isinstance(p, str) else p.text) for p in shown]
    look = Look(mask, _decimals(parts, event))
    written = (part.write(event, look).strip() for part in parts)
    return "  ".join(part for part in written if part)


def _decimals(parts: tuple[Sentence, ...] | list[Sentence], event: Event) -> int | None:
    prices = [
        n
        for part in parts
        for field in part.fields()
        if field.format == "price" and (n := f.known(value_at(event, field.paths[0])))
    ]
    return max(map(f.price_decimals, prices), default=None)


def _appears(part: TextPart, event: Event) -> bool:
    if part.changed is not None:
        before, after = (event.get(name) for name in part.changed)
        return after is not None and before != after
    if part.locked is not None:
        entry, stop = (f.known(event.get(name)) for name in part.locked)
        return no_loss_possible(entry, stop, event.get("direction"))
    return True


def no_loss_possible(entry: float | None, stop: float | None, direction: object) -> bool:
    """Whether the stop of a position is at its entry or beyond it."""
    if entry is None or not stop:
        return False
    return stop >= entry if direction == "BUY" else stop <= entry
