"""Group masks: which symbols a call with ``group=`` is about. The package evaluates them itself."""

from __future__ import annotations

from fnmatch import fnmatchcase


def group_matches(mask: str, name: str) -> bool:
    """A group mask: comma list, ``*`` wildcard, case counts. A matching ``!mask`` rejects at
    once; without a positive match the answer is no."""
    wanted = False
    for part in mask.split(","):
        pattern = part.strip()
        negative = pattern.startswith("!")
        if negative:
            pattern = pattern[1:].strip()
        if pattern and _like(pattern, name):
            if negative:
                return False
            wanted = True
    return wanted


def _like(pattern: str, name: str) -> bool:
    # Only the star is special; fnmatch would also read ? and [].
    escaped = "".join(f"[{char}]" if char in "?[" else char for char in pattern)
    return fnmatchcase(name, escaped)
