"""Which words in a sentence need decoding (``docs/glossary.md``)."""

from __future__ import annotations

import re

DECODED = re.compile(
    r"\b(told|tells?|said|stands?|stood|of late|nobody|somebody|anybody|anew|mend(?:s|ed)?|knocks"
    r"|(?<!there )(?:is|are) none|whose (?:it|that) (?:is|are))\b",
    re.IGNORECASE,
)
"""Words of telling for publish, return, log and show; "stand" for be; persons for programs."""

PLAIN = re.compile(r"\bstands? for\b|\bstand-ins?\b|`+[^`]+`+", re.IGNORECASE)
"""What may hold such a word: "stand for", and names in code."""
PYTHON = re.compile(r"^```python\n.*?^```", re.MULTILINE | re.DOTALL)


def decoded(text: str) -> list[str]:
    """The lines of a text that hold such a word, with their numbers; examples of code left out."""
    text = PYTHON.sub(lambda found: "\n" * found[0].count("\n"), text)
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(text.splitlines(), 1)
        if DECODED.search(PLAIN.sub("", line))
    ]
