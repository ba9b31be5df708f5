"""The words a model can be expected to write."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from safebasin.errors import JudgeError
from safebasin.run.atomic import write_atomic

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
"""A run of letters, with an inner apostrophe; what counts as a word here and in `coherence`."""

_BYTE_LEVEL = "\u0120"
_SENTENCEPIECE = "\u2581"
_ENDINGS = ("s", "'s", "es", "d", "ed", "ing", "ly", "er", "ers", "n't", "'ll", "'re", "'ve", "'m")


@dataclass(frozen=True)
class Lexicon:
    """Lower-case words; `in` also accepts their plain English inflections."""

    words: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, pieces: Iterable[str] = (), texts: Iterable[str] = ()) -> Lexicon:
        """The words among a tokenizer's vocabulary pieces, and all words of the texts.

        Of the pieces only those that begin a word count, where the vocabulary marks them (with
        U+0120 or U+2581); fragments from inside words are what broken text is made of. Byte-level
        pieces count where they are ASCII, since their other characters stand for bytes.
        """
        vocabulary = list(pieces)
        words: set[str] = set()
        marks = tuple(
            mark
            for mark in (_BYTE_LEVEL, _SENTENCEPIECE)
            if any(piece.startswith(mark) for piece in vocabulary)
        )
        for piece in vocabulary:
            if (marks and not piece.startswith(marks)) or piece.startswith("##"):
                continue
            word = piece.lstrip(_BYTE_LEVEL + _SENTENCEPIECE + " ")
            if _is_word(word) and (word.isascii() or _BYTE_LEVEL not in marks):
                words.add(word.lower())
        for text in texts:
            words.update(word.lower() for word in WORD.findall(text))
        return cls(frozenset(words))

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        lower = word.lower()
        if lower in self.words:
            return True
        return any(
            lower.endswith(ending) and lower[: -len(ending)] in self.words for ending in _ENDINGS
        )

    def text(self) -> str:
        """The words, sorted, one a line."""
        return "".join(f"{word}\n" for word in sorted(self.words))

    @cached_property
    def sha256(self) -> str:
        """Of `text` as UTF-8, and so of the file that `save` writes."""
        return hashlib.sha256(self.text().encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write `text` as UTF-8. Raises RunError where that cannot be."""
        write_atomic(path, self.text().encode())

    @classmethod
    def parse(cls, text: str) -> Lexicon:
        """The lexicon of `text`. Raises JudgeError where that is not one word a line."""
        words = frozenset(line.rstrip("\r") for line in text.split("\n")) - {""}
        for word in sorted(words):
            if not WORD.fullmatch(word):
                raise JudgeError(f"The lexicon holds {word[:40]!r}.", "Give one word a line.")
        return cls(words)

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        """Read what `save` wrote. Raises JudgeError where the file cannot be read as words."""
        try:
            text = path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise JudgeError(
                f"The lexicon '{path}' cannot be read: {error}.", "Build it again."
            ) from None
        return cls.parse(text)


def _is_word(text: str) -> bool:
    # One letter is a word only where English has it; vocabularies hold every letter.
    return WORD.fullmatch(text) is not None and (len(text) > 1 or text in "aiAI")
