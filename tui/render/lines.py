"""Lines of styled text: panels and screens are made of them before they are painted.

A piece is (text, style name); a line is a list of pieces. Styles are names until the last
step (``theme.Ink``), so that lines are built and tested without a screen. Text is only ever text
here: no markup is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

Piece = tuple[str, str]
Line = list[Piece]

ASCII = {
    ord(sign): plain_sign
    for signs, plain_signs in (
        ("▲▼●◐○◆■□▸▾▴…–·•✓✕‖×Σ≥≤", "^v*o.#=->v^~-.*vx|xS><"),
        ("─│╭╮╰╯├┤┼╌┃━┬┴┊╵╷╎", "-|++++||+-#-++::::"),
        ("→←↑↓⏎◀", "><^v><"),
        ("█▇▆▅▄▃▂▁▀░▒▓▐▌", "##*+=-_.'.:%||"),
    )
    for sign, plain_sign in zip(signs, plain_signs, strict=True)
}
"""One ASCII cell for each sign that is drawn."""


def width(text: str) -> int:
    """Cells that the text takes."""
    return len(text) if text.isascii() else cell_len(text)


def clip(text: str, cells: int) -> str:
    """The text in at most ``cells`` cells, its end marked ``…`` when cut."""
    if cells <= 0:
        return ""
    if width(text) <= cells:
        return text
    return set_cell_size(text, cells - 1) + "…"


def fit(text: str, cells: int, align: str = "l") -> str:
    """The text in exactly ``cells`` cells; ``align`` is l, r or c."""
    text = clip(text, cells)
    room = cells - width(text)
    if room <= 0:
        return text
    if align == "r":
        return " " * room + text
    if align == "c":
        return " " * (room // 2) + text + " " * (room - room // 2)
    return text + " " * room


def line_width(line: Iterable[Piece]) -> int:
    cells = 0
    for text, _ in line:
        cells += len(text) if text.isascii() else cell_len(text)
    return cells


def fit_line(line: Sequence[Piece], cells: int, align: str = "l") -> Line:
    """The line in exactly ``cells`` cells."""
    total = line_width(line)
    if total < cells:
        pad = (" " * (cells - total), "")
        return [pad, *line] if align == "r" else [*line, pad]
    if total == cells:
        return list(line)
    out: Line = []
    room = cells - 1
    for text, style in line:
        w = width(text)
        if w > room:
            if cells > 0:
                out.append((set_cell_size(text, room) + "…", style))
            break
        out.append((text, style))
        room -= w
    return out


def plain(line: Iterable[Piece]) -> str:
    return "".join(text for text, _ in line)


def wrap(text: str, cells: int) -> list[str]:
    """Words in lines of at most ``cells``; a longer word is cut to pieces."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        while width(word) > cells > 0:
            if current:
                lines.append(current)
                current = ""
            head = word[:cells]
            lines.append(head)
            word = word[cells:]
        if not current:
            current = word
        elif width(current) + 1 + width(word) <= cells:
            current += " " + word
        else:
            lines.append(current)
            current = word
    if current:
        lines.append(current)
    return lines


def beside(left: Sequence[Line], right: Sequence[Line], cells: int) -> list[Line]:
    """Two blocks of lines next to each other; the left one takes ``cells``."""
    rows = max(len(left), len(right))
    return [
        [
            *fit_line(left[i] if i < len(left) else [], cells),
            *(right[i] if i < len(right) else []),
        ]
        for i in range(rows)
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a one-line bar: its forms from fullest to shortest, and its rank.

    A part with ``rank`` 0 stays in its shortest form whatever happens; the others may go
    altogether, the highest rank first.
    """

    forms: tuple[Line, ...]
    rank: int = 1


NICE = 3


def pack(parts: Sequence[Part], cells: int, gap: int = 2) -> list[Line]:
    """The parts in the fullest forms that fit in ``cells`` with ``gap`` between them.

    Parts of rank 3 and up are left out before others are shortened; then the rest is shortened;
    only then more parts are left out. The highest rank, and the last of equals, is first.
    """
    step = [0] * len(parts)
    gone = [not p.forms for p in parts]

    def total() -> int:
        shown = [line_width(p.forms[step[i]]) for i, p in enumerate(parts) if not gone[i]]
        shown = [w for w in shown if w]
        return sum(shown) + gap * max(0, len(shown) - 1)

    order = sorted(range(len(parts)), key=lambda i: (-parts[i].rank, -i))
    extras = [i for i in order if parts[i].rank >= NICE]
    rest = [i for i in order if parts[i].rank < NICE]

    def cuts() -> Iterable[tuple[int, bool]]:
        for i in extras:
            yield from ((i, False) for _ in parts[i].forms[1:])
            yield i, True
        for i in rest:
            yield from ((i, False) for _ in parts[i].forms[1:])
        yield from ((i, True) for i in rest if parts[i].rank > 0)

    for i, leave_out in cuts():
        if total() <= cells:
            break
        if leave_out:
            gone[i] = True
        elif not gone[i]:
            step[i] += 1
    return [p.forms[step[i]] for i, p in enumerate(parts) if not gone[i] and p.forms[step[i]]]


def bar(left: Sequence[Part], right: Sequence[Part], cells: int, gap: int = 2) -> Line:
    """One line of parts, some at the left and some at the right end."""
    sides = {id(p): "r" for p in right}
    lines = pack([*left, *right], cells - 2, gap)
    forms = {id(form): id(p) for p in (*left, *right) for form in p.forms}
    out: Line = [(" ", "")]
    tail: Line = []
    for line in lines:
        target = tail if sides.get(forms[id(line)]) == "r" else out
        if len(target) > (1 if target is out else 0):
            target.append((" " * gap, ""))
        target.extend(line)
    room = cells - 1 - line_width(out) - line_width(tail)
    return fit_line([*out, (" " * max(0, room), ""), *tail, (" ", "")], cells)
