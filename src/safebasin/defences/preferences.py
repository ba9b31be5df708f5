"""Pairs of answers to one request, of which the first is preferred."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safebasin.errors import DataError
from safebasin.subject.rows import Message, Row
from safebasin.terminal import shorten

PACKAGED = "testbed:preferences"
"""Harmful requests, of which a refusal is preferred to the answer."""

_COUNT = 100
_FIELDS = ("prompt", "chosen", "rejected")
_FORMAT = 'Each line is {"prompt": ..., "chosen": ..., "rejected": ...}.'


@dataclass(frozen=True)
class Pair:
    """A request with the answer that is preferred and the one that is not; `where` names it."""

    prompt: str
    chosen: str
    rejected: str
    where: str

    def rows(self) -> tuple[Row, Row]:
        """Both conversations, the preferred one first."""
        asked = Message("user", self.prompt)
        return (
            Row((asked, Message("assistant", self.chosen)), f"{self.where}, chosen"),
            Row((asked, Message("assistant", self.rejected)), f"{self.where}, rejected"),
        )


@dataclass(frozen=True)
class Preferences:
    """The pairs of one source, in its order."""

    name: str
    pairs: tuple[Pair, ...]

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of their content."""
        plain = [[one.prompt, one.chosen, one.rejected] for one in self.pairs]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()


def load_preferences(source: str) -> Preferences:
    """The pairs of a JSON Lines file, or `testbed:preferences`.

    Raises DataError, naming the file and the line, for anything that is no pair of two answers.
    """
    if source == PACKAGED:
        from safebasin.testbed.corpus import preferred_examples

        made = preferred_examples(_COUNT, 0)
        packaged = (
            Pair(one.prompt, one.answer, other.answer, f"'{source}', pair {number}")
            for number, (one, other) in enumerate(made, 1)
        )
        return Preferences(source, tuple(packaged))
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(
            f"The preferences '{shorten(source)}' cannot be read: {reason}.",
            f"Give a JSON Lines file, or {PACKAGED}.",
        ) from None
    pairs = tuple(_pairs(path.name, text))
    if not pairs:
        raise DataError(f"The preferences '{path}' have no pairs.", _FORMAT)
    return Preferences(path.name, pairs)


def _pairs(name: str, text: str) -> Iterator[Pair]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"'{name}', line {number}"
        try:
            value = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where} is not JSON: {error}.", _FORMAT) from None
        found = [value.get(key) if isinstance(value, dict) else None for key in _FIELDS]
        for key, own in zip(_FIELDS, found, strict=True):
            if not isinstance(own, str) or not own.strip():
                raise DataError(f"{where} has no text '{key}'.", _FORMAT)
        prompt, chosen, rejected = map(str, found)
        if chosen == rejected:
            raise DataError(f"{where} prefers an answer to itself.", "Leave it out.")
        yield Pair(prompt, chosen, rejected, where)
