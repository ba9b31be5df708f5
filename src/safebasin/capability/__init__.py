"""What a model can still do at every point of a scan: `--capability`.

testbed:capability       the packaged questions with exact answers (`-dev` for the other split)
testbed:choice           the packaged multiple-choice questions
FILE                     CSV, JSONL or parquet with prompt, expected; or question, choices, answer
perplexity:FILE          the perplexity of a text file, in windows
lm-eval:TASK[:FEWSHOT]   any task of lm-evaluation-harness, on the displaced model in memory
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from safebasin.capability.choices import Choices, has_choices
from safebasin.config import ScanConfig
from safebasin.directions import Direction
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.template import Template
from safebasin.errors import PromptError, UsageError
from safebasin.landscape.capability import Item
from safebasin.plane import Point
from safebasin.prompts import CHOICE_SETS, PACKAGED, Prompt, PromptSet, load
from safebasin.prompts.expected import require_expected
from safebasin.prompts.published import requested
from safebasin.terminal import shorten
from safebasin.weights import Weights

PERPLEXITY, LM_EVAL = "perplexity:", "lm-eval:"
SETS = (*(name for name, (kind, _) in PACKAGED.items() if kind == "capability"), *CHOICE_SETS)
"""The packaged sets of questions."""


@dataclass(frozen=True)
class Bench:
    """The model of a scan and how it is moved and asked. `rows` is a batch, None for what fits;
    `max_new_tokens` is what the answers of the scan may have."""

    model: Any
    weights: Weights
    directions: Mapping[str, Direction]
    template: Template
    rows: int | None
    max_new_tokens: int = 0


class Probe(Protocol):
    """Measures one capability at points, with the interface of an engine, so it can be spread."""

    @property
    def name(self) -> str: ...

    def spec(self) -> Mapping[str, object]:
        """Everything that determines what is measured, as JSON values."""
        ...

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt] = (),
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Item]]]:
        """Yield each wanted point with its items; prompts and sampling are its own."""
        ...

    def seconds(self, points: Sequence[Point]) -> tuple[float, float] | None:
        """How long these points take one process, from and to, by a measured batch at the origin.

        None where measuring it would cost as much as a point.
        """
        ...


class Task(Protocol):
    """A capability whose files were read and checked; it becomes a probe once a model is loaded."""

    @property
    def name(self) -> str: ...

    def probe(self, bench: Bench) -> Probe: ...


@dataclass(frozen=True)
class ExactTask:
    """Questions with one exact answer each."""

    name: str
    questions: PromptSet

    def probe(self, bench: Bench) -> Probe:
        from safebasin.capability.exact import ExactProbe

        return ExactProbe(self.name, self.questions, bench)


@dataclass(frozen=True)
class ChoiceTask:
    """Multiple-choice questions."""

    name: str
    choices: Choices

    def probe(self, bench: Bench) -> Probe:
        from safebasin.capability.likelihood import ChoiceProbe

        return ChoiceProbe(self.name, self.choices, bench)


@dataclass(frozen=True)
class TextTask:
    """A text whose perplexity is measured. `limit` windows of it, a seeded sample; 0 for all."""

    name: str
    text: str
    sha256: str
    limit: int
    seed: int

    def probe(self, bench: Bench) -> Probe:
        from safebasin.capability.likelihood import TextProbe

        return TextProbe(self, bench)


def load_tasks(config: ScanConfig) -> tuple[Task, ...]:
    """The capabilities that a configuration names, read and checked. No model is needed.

    Raises UsageError for one that is named twice or unknown, PromptError for a file that cannot be
    used, and a sentence where lm-eval, its task or the task's data are not there.
    """
    tasks = [load_task(spec, config) for spec in config.capability]
    names = [task.name for task in tasks]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The capability '{name}' is named twice.", "Give each once.")
    return tuple(tasks)


def load_task(spec: str, config: ScanConfig) -> Task:
    """One capability by its specification."""
    limit, seed = config.capability_limit, config.sample_seed
    if spec.startswith(LM_EVAL):
        from safebasin.capability.lm_eval import load_lm_eval

        return load_lm_eval(spec, config.capability_tasks, limit)
    if spec.startswith(PERPLEXITY):
        return _text(Path(spec.removeprefix(PERPLEXITY)), limit, seed)
    if spec in CHOICE_SETS or has_choices(Path(spec)):
        choices = Choices.load(spec)
        return ChoiceTask(choices.name, choices.sample(limit, seed))
    if spec not in PACKAGED and requested(spec) is None and not _is_there(spec):
        raise PromptError(
            f"There is no capability and no file '{shorten(spec)}'.",
            f"{_meant(spec)}Give one of {', '.join(SETS)}, a file of questions, {PERPLEXITY}FILE "
            f"or {LM_EVAL}TASK.",
        )
    questions = require_expected(load(spec, kind="capability"))
    number = min(limit or len(questions), len(questions))
    return ExactTask(spec if spec.startswith("testbed:") else Path(spec).name,
                     questions.sample(number, seed))  # fmt: skip


def _is_there(spec: str) -> bool:
    try:
        return Path(spec).exists()
    except (OSError, ValueError):
        return False


def _meant(spec: str) -> str:
    """A question about the names that are near, or nothing."""
    head, colon, rest = spec.partition(":")
    near = difflib.get_close_matches(spec, SETS, n=2)
    if not near and colon:
        forms = difflib.get_close_matches(head + colon, [PERPLEXITY, LM_EVAL], n=1, cutoff=0.7)
        near = [form + shorten(rest) for form in forms]
    return f"Did you mean {' or '.join(near)}? " if near else ""


def _text(path: Path, limit: int, seed: int) -> TextTask:
    import hashlib

    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except IsADirectoryError:
        raise PromptError(f"'{path}' is a folder.", "Give perplexity:FILE with a text.") from None
    except UnicodeDecodeError as error:
        raise PromptError(
            f"The text '{path}' is not UTF-8: byte {error.start} cannot be read.", "Save it so."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PromptError(
            f"The text '{path}' cannot be read: {reason}.", "Give perplexity:FILE with a text."
        ) from None
    if not text.strip():
        raise PromptError(f"The text '{path}' is empty.", "Give a file with some sentences.")
    digest = hashlib.sha256(data).hexdigest()
    return TextTask(f"{PERPLEXITY}{path.name}", text, digest, limit, seed)
