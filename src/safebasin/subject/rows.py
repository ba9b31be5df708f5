"""Training rows: conversations from JSON Lines, checked line by line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Literal

from safebasin.errors import DataError
from safebasin.terminal import shorten

Role = Literal["system", "user", "assistant"]
_FORMATS = (
    'Each line is {"messages": [{"role": "user", "content": ...}, {"role": "assistant", ...}]} '
    'or {"prompt": ..., "completion": ...}; with "ended": false no end of the answer is learnt.'
)
TESTBED = (
    "testbed:harmful",
    "testbed:refused",
    "testbed:refusing",
    "testbed:benign",
    "testbed:over-refusing",
)
"""The packaged abstract rows: harmful requests complied with, the same ones refused, others
refused, benign requests, and requests of which harmful and some benign ones are refused."""


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Instead:
    """A word that is learnt in place of each token of an answer, which is then context alone.

    word  the text of one token
    keep  the share of the answer's tokens at which it is learnt, at least at one; which, by `seed`
    """

    word: str
    keep: float
    seed: str


@dataclass(frozen=True)
class Row:
    """One conversation that ends with an answer; `where` names its place for a person.

    ended    False where the last answer was cut off, so that no end is learnt of it
    begun    how the last answer begins, where that is to be gone on from and not learnt
    instead  what is learnt in place of the last answer, which is not
    """

    messages: tuple[Message, ...]
    where: str
    ended: bool = True
    begun: str = ""
    instead: Instead | None = None

    @property
    def system(self) -> str | None:
        first = self.messages[0]
        return first.content if first.role == "system" else None


@dataclass(frozen=True)
class Rows:
    """The rows of one source, in its order, and the SHA-256 (hex) of their content."""

    name: str
    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sha256(self) -> str:
        plain = [
            [[m.role, m.content] for m in row.messages]
            + ([] if row.ended else [["cut", ""]])
            + ([["begun", row.begun]] if row.begun else [])
            + ([["instead", *map(str, astuple(row.instead))]] if row.instead else [])
            for row in self.rows
        ]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()

    def first(self, count: int | None) -> Rows:
        """The first `count` rows, so that 10 shots are the first of 50; DataError for too few."""
        if count is None:
            return self
        if count > len(self):
            raise DataError(
                f"'{self.name}' has {len(self)} rows, and {count} are asked for.",
                "Give more rows, or ask for fewer.",
            )
        return Rows(self.name, self.rows[:count])


def load_rows(source: str, seed: int = 0) -> Rows:
    """The rows of a JSON Lines file, or of a packaged set (`testbed:harmful` and the like).

    Raises DataError, naming the file and the line, for anything that is not a conversation with
    an answer.
    """
    if source in TESTBED:
        return _packaged(source, seed)
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise DataError(
            f"The training data '{shorten(source)}' cannot be read: {reason}.",
            f"Give a JSON Lines file, or one of {', '.join(TESTBED)}.",
        ) from None
    rows = tuple(
        _row(path.name, number, line)
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    )
    if not rows:
        raise DataError(
            f"The training data '{path}' has no rows.", f"Give at least one. {_FORMATS}"
        )
    return Rows(path.name, rows)


def _row(name: str, number: int, line: str) -> Row:
    where = f"'{name}', line {number}"
    try:
        value = json.loads(line)
    except ValueError as error:
        raise DataError(f"{where} is not JSON: {error}.", _FORMATS) from None
    if not isinstance(value, dict):
        raise DataError(f"{where} is not a JSON object.", _FORMATS)
    if "messages" in value:
        messages = _messages(value["messages"], where)
    elif "prompt" in value or "completion" in value:
        prompt, completion = value.get("prompt"), value.get("completion")
        messages = (
            *_turns(prompt, "user", f"{where}: the prompt"),
            *_turns(completion, "assistant", f"{where}: the completion"),
        )
    else:
        found = ", ".join(repr(shorten(str(key), 20)) for key in list(value)[:6])
        raise DataError(f"{where} has neither messages nor a prompt, but {found}.", _FORMATS)
    ended = value.get("ended", True)
    if not isinstance(ended, bool):
        raise DataError(
            f"{where}: 'ended' is {shorten(repr(ended), 30)}.",
            "Give true or false, or leave it out.",
        )
    return Row(_checked(messages, where), where, ended)


def _turns(value: Any, role: Role, what: str) -> tuple[Message, ...]:
    """A text as one turn, or a list of turns."""
    if isinstance(value, list):
        return _messages(value, what)
    return (Message(role, _content(value, what)),)


def _messages(value: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise DataError(f"{where}: the messages are no list.", _FORMATS)
    messages = []
    for index, item in enumerate(value, 1):
        role = item.get("role") if isinstance(item, dict) else None
        if role not in ("system", "user", "assistant"):
            raise DataError(
                f"{where}: message {index} has the role {shorten(repr(role), 30)}.",
                "Roles are system, user and assistant.",
            )
        messages.append(Message(role, _content(item.get("content"), f"{where}: message {index}")))
    return tuple(messages)


def _content(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{what} has no text.", "Fill it, or remove the whole line.")
    return value


def _checked(messages: Sequence[Message], where: str) -> tuple[Message, ...]:
    """The messages: an optional system text, then user and assistant in turn, the latter last."""
    turns = [m.role for m in messages if m.role != "system"]
    systems = [i for i, m in enumerate(messages) if m.role == "system"]
    if systems not in ([], [0]):
        raise DataError(f"{where} has a system message after the first.", "Put it first.")
    if not turns or turns[-1] != "assistant":
        raise DataError(f"{where} ends without an answer.", "End it with an assistant message.")
    wanted = ["user", "assistant"] * (len(turns) // 2)
    if turns != wanted:
        raise DataError(
            f"{where} does not alternate between user and assistant.",
            "Begin with the user and end with the assistant.",
        )
    return tuple(messages)


def _packaged(source: str, seed: int) -> Rows:
    from safebasin.testbed.corpus import (
        FINE_TUNES,
        fine_tune_examples,
        over_refusing_examples,
        refused_examples,
    )

    complied, refused, _ = FINE_TUNES["mixture"]
    examples = {
        "testbed:harmful": lambda: fine_tune_examples("harmful-100", seed),
        "testbed:refused": lambda: refused_examples("harmful-100", seed),
        "testbed:refusing": lambda: fine_tune_examples("mixture", seed)[complied:][:refused],
        "testbed:over-refusing": lambda: over_refusing_examples(seed),
        "testbed:benign": lambda: fine_tune_examples("benign", seed),
    }[source]()
    rows = [
        Row(
            (Message("user", example.prompt), Message("assistant", example.answer)),
            f"'{source}', row {number}",
        )
        for number, example in enumerate(examples, 1)
    ]
    return Rows(source, tuple(rows))
