"""Makes text from outside safe to show: broker comments, names and messages are data.

A terminal acts on control bytes and a reader is misled by invisible marks; both are replaced
by something that can be seen, once, where the text comes in.
"""

from __future__ import annotations

_MARKS = (
    0xAD,  # soft hyphen: drawn by some, hidden by others
    *range(0x80, 0xA0),  # C1 controls
    0x061C,
    *range(0x200B, 0x2010),  # zero width, direction marks
    *range(0x2028, 0x202F),  # line and paragraph separators, embeddings, overrides
    *range(0x2060, 0x2070),  # word joiner, isolates
    0xFEFF,
    *range(0xFFF9, 0xFFFC),  # interlinear annotation
)

_TABLE: dict[int, str] = {code: chr(0x2400 + code) for code in range(0x20)}
_TABLE[0x7F] = "\u2421"
_TABLE.update(dict.fromkeys(_MARKS, "\ufffd"))
_TABLE.update(dict.fromkeys(range(0xD800, 0xE000), "\ufffd"))  # lone surrogates
_TABLE.update(dict.fromkeys(range(0xE0000, 0xE0080), "\ufffd"))  # tag characters


def clean(text: str, limit: int = 256) -> str:
    """Replace what a terminal would act on; cut to ``limit`` characters.

    Args:
        text: Anything, also with lone surrogates.
        limit: Longest result; a longer text ends in an ellipsis.

    Returns:
        Text where C0 controls are pictures (U+2400 and up) and C1, direction and zero-width
        marks are U+FFFD.
    """
    if len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if text.isprintable():
        return text
    return text.translate(_TABLE)
