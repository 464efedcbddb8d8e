"""Pieces of a line by the name of their style: ``[dim("now "), bold("1.0845")]``."""

from __future__ import annotations

from .lines import Line, Piece


def normal(text: str) -> Piece:
    """Text in the foreground colour."""
    return text, "text"


def dim(text: str) -> Piece:
    """Labels and remarks."""
    return text, "dim"


def faint(text: str) -> Piece:
    """Times and other things that are seldom read."""
    return text, "faint"


def bold(text: str) -> Piece:
    """What a line is about."""
    return text, "bold"


def head(text: str) -> Piece:
    """A heading."""
    return text, "head"


def key(text: str) -> Piece:
    """A key, or a word to type."""
    return text, "key"


def warn(text: str) -> Piece:
    """What needs attention."""
    return text, "warn"


def crit(text: str) -> Piece:
    """What is wrong."""
    return text, "crit"


def blank(cells: int) -> Piece:
    """Empty cells."""
    return " " * cells, ""


def key_hints(*hints: tuple[str, str], gap: int = 3) -> Line:
    """Keys, each with what it does: ``enter send   esc back``."""
    line: Line = []
    for name, text in hints:
        line += [*([blank(gap)] if line else []), key(name), dim(f" {text}")]
    return line
