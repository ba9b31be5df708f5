"""Multiple-choice questions: the packaged ones, and those of a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.errors import PromptError
from safebasin.prompts import CHOICE_SETS, Prompt
from safebasin.prompts.files import Row, read_bytes, read_table
from safebasin.testbed import choices_path

COLUMNS = {"question", "choices", "answer"}


@dataclass(frozen=True)
class Question:
    """A question, its choices, and which of them is right, from 0."""

    prompt: Prompt
    choices: tuple[str, ...]
    answer: int


@dataclass(frozen=True)
class Choices:
    """A set of questions with the SHA-256 of its file."""

    name: str
    questions: tuple[Question, ...]
    sha256: str

    @classmethod
    def load(cls, spec: str) -> Choices:
        """A packaged set, or a file with the columns question, choices and answer.

        `choices` is a list, in CSV as JSON; `answer` is the number of the right one from 0, its
        letter, or its text. Raises PromptError, naming the file and the place in it.
        """
        path = choices_path(CHOICE_SETS[spec]) if spec in CHOICE_SETS else Path(spec)
        data = read_bytes(path)
        table = read_table(path, data)
        if not table.rows:
            raise PromptError(f"The file '{path}' has no questions.", "Give at least one.")
        questions = tuple(_question(path, row, i) for i, row in enumerate(table.rows, 1))
        name = spec if spec in CHOICE_SETS else path.name
        return cls(name, questions, hashlib.sha256(data).hexdigest())

    @property
    def chance(self) -> float:
        """The share of right answers that guessing gives."""
        return sum(1 / len(one.choices) for one in self.questions) / len(self.questions)

    def sample(self, n: int, seed: int) -> Choices:
        """A seeded sample of `n` questions; 0, or more than there are, for all."""

        def rank(one: Question) -> bytes:
            return hashlib.sha256(f"{seed}|{one.prompt.id}".encode("utf-8", "replace")).digest()

        chosen = sorted(self.questions, key=rank)
        return replace(self, questions=tuple(chosen[: n or len(chosen)]))

    def __len__(self) -> int:
        return len(self.questions)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.questions)


def has_choices(path: Path) -> bool:
    """Whether a file has the columns of multiple-choice questions. False where it is not there."""
    try:
        if not path.is_file():
            return False
    except (OSError, ValueError):
        return False
    columns = {name.casefold() for name in read_table(path, read_bytes(path)).columns}
    return columns >= COLUMNS


def _question(path: Path, row: Row, number: int) -> Question:
    cells = {name.casefold(): value for name, value in row.values.items()}
    text = cells.get("question")
    if not isinstance(text, str) or not text.strip():
        raise PromptError(f"'{path}', {row.where}: the question is empty.", "Fill it in.")
    choices = _choices(path, row, cells.get("choices"))
    own = str(cells.get("id") or f"question-{number:05d}")
    prompt = Prompt(own, text.strip(), str(cells.get("category") or ""), "capability")
    return Question(prompt, choices, _answer(path, row, choices, cells.get("answer")))


def _choices(path: Path, row: Row, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise PromptError(
            f"'{path}', {row.where}: the choices are no list of texts.",
            'Write them as a list, in CSV as JSON: ["red", "blue"].',
        )
    if len(value) < 2 or len(set(value)) < len(value):
        raise PromptError(
            f"'{path}', {row.where}: there have to be two choices or more, all different.",
            "Correct them there.",
        )
    return tuple(value)


def _answer(path: Path, row: Row, choices: tuple[str, ...], value: Any) -> int:
    """A number, a letter or the text of a choice; a text that is a choice counts as that."""
    if isinstance(value, str) and value in choices:
        return choices.index(value)
    text = "" if value is None or isinstance(value, bool) else str(value).strip()
    number = int(text) if text.isascii() and text.isdigit() else -1
    if len(text) == 1 and text.isascii() and text.isalpha():
        number = ord(text.upper()) - ord("A")
    if not 0 <= number < len(choices):
        raise PromptError(
            f"'{path}', {row.where}: the answer {text[:40]!r} is none of the choices.",
            "Give the number of the right choice from 0, its letter, or its text.",
        )
    return number
