"""How a text repeats itself: a sequence over and over, or words that occurred before."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

GRAM = 6
"""Characters that are looked up to find how far apart a text repeats itself."""

REPEATS = 2.5
"""How often a sequence has to follow itself to be a loop."""

LEAST_BYTES = 40
"""The shortest loop, in bytes of UTF-8: a refrain or a row of dots is none ..."""

LEAST_TIMES = 12
"""... unless it has so many turns."""

SHORT_WORDS = 3
"""The most words of a sequence that nobody says over and over ("and and and", "a piece a piece").

Longer ones are whole clauses, which small models repeat undisplaced, too.
"""

_WORD = re.compile(r"\w+")
_RULE = frozenset(" -=_*#.|~+:\n\t")


@dataclass(frozen=True)
class Loop:
    """The longest stretch of a text that repeats one sequence.

    `start` is its first character, `length` its characters, `words` how many words are repeated.
    """

    start: int
    length: int
    words: int

    @property
    def short(self) -> bool:
        """Whether what is repeated is too short to be a clause."""
        return self.words <= SHORT_WORDS


def loop_in(text: str) -> Loop | None:
    """The longest loop in the text, upper and lower case alike; None without one.

    Layout, such as a line of dashes, is no loop. The time is close to linear in the text.
    """
    lower = text.lower()
    if len(lower) != len(text):  # a letter whose small form is longer
        lower = text
    best: Loop | None = None
    for period in _periods(lower):
        for start, length in _runs(lower, period):
            unit = lower[start : start + period]
            if (best is not None and length <= best.length) or set(unit) <= _RULE:
                continue
            stretch = lower[start : start + length]
            size = len(stretch.encode("utf-8", "surrogatepass"))
            if size >= LEAST_BYTES or length >= LEAST_TIMES * period:
                best = Loop(start, length, len(_WORD.findall(unit)))
    return best


def _periods(text: str) -> list[int]:
    """How far apart the same characters follow each other, often enough for a loop."""
    last: dict[str, int] = {}
    distances: Counter[int] = Counter()
    for place in range(len(text) - GRAM + 1):
        gram = text[place : place + GRAM]
        if gram in last:
            distances[place - last[gram]] += 1
        last[gram] = place
    return [
        period
        for period, count in distances.items()
        if count >= max(1.0, (REPEATS - 1) * period - GRAM)
    ]


def _runs(text: str, period: int) -> list[tuple[int, int]]:
    """(start, length) of the stretches that repeat with this period."""
    found = []
    run = 0
    for place in range(period, len(text) + 1):
        if place < len(text) and text[place] == text[place - period]:
            run += 1
            continue
        if run >= (REPEATS - 1) * period:
            found.append((place - run - period, run + period))
        run = 0
    return found


def repeated_share(text: str) -> tuple[float, int]:
    """The share of words in three-word sequences that occurred before, 0 to 1; and where first.

    The place is the character at which the first such sequence begins, the text's length without
    one.
    """
    words = [(match.start(), match[0]) for match in _WORD.finditer(text.lower())]
    seen: set[tuple[str, ...]] = set()
    covered = [False] * len(words)
    first = len(text)
    for i in range(len(words) - 2):
        sequence = tuple(word for _, word in words[i : i + 3])
        if sequence in seen:
            first = min(first, words[i][0])
            covered[i : i + 3] = [True] * 3
        seen.add(sequence)
    return (sum(covered) / len(words) if words else 0.0), first
