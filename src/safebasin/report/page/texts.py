"""Foreign text on its way into a page: shown, never obeyed, and no longer than a page can hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from safebasin.terminal import printable
from safebasin.thought import Split

LONGEST = 20_000
"""Characters of an answer that a page holds; the run folder keeps the whole."""
SHORTEST = 200
"""The fewest characters of a long answer, whatever the size of the file."""


def shown(text: str, *, lines: bool = True) -> str:
    """The text with control, bidirectional and surrogate characters shown as escapes."""
    if text.isprintable():
        return text
    return printable(text.replace("\r\n", "\n") if lines else text, lines=lines)


def fingerprint(text: str) -> str:
    """The first 12 hexadecimal digits of the SHA-256 of the text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


@dataclass
class Texts:
    """Different texts, each kept once: its fingerprint, and, where asked for, the text itself.

    A text beyond `longest` characters is cut, and `cut` says how many were left out. Where a text
    begins with a thought, `shown` holds its answer alone and `thoughts` the thought, each so long;
    the fingerprint is that of the whole.
    """

    keep: bool
    longest: int = LONGEST
    hashes: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    cut: dict[int, int] = field(default_factory=dict)
    thoughts: dict[int, str] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)

    def add(self, text: str, split: Split | None = None) -> int:
        """The number of the text; `split` tells its thought from its answer."""
        found = self._known.get(text)
        if found is not None:
            return found
        number = self._known[text] = len(self.hashes)
        self.hashes.append(fingerprint(text))
        if self.keep:
            thought = "" if split is None else split.thought
            answer = text if split is None or not split.thinks else split.answer
            self.shown.append(shown(answer[: self.longest]))
            if thought:
                self.thoughts[number] = shown(thought[: self.longest])
            left = sum(max(0, len(one) - self.longest) for one in (answer, thought))
            if left:
                self.cut[number] = left
        return number

    def to_json(self) -> dict[str, object]:
        return {
            "hashes": self.hashes,
            "texts": self.shown if self.keep else None,
            "cut": {str(number): length for number, length in self.cut.items()},
            "thoughts": {str(number): text for number, text in self.thoughts.items()},
        }
