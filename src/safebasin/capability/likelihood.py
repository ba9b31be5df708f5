"""Likelihoods under the displaced model: multiple-choice questions, and a text's perplexity."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from safebasin.capability.choices import Choices
from safebasin.capability.probe import Bench
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.broken_logits import no_numbers
from safebasin.engines.memory import batch_size_for, is_out_of_memory
from safebasin.engines.model_shape import most_positions, vocabulary_rows
from safebasin.engines.padding import Together, first_batch, padded, rows_together
from safebasin.engines.token_table import require_rows
from safebasin.errors import EngineError, PromptError
from safebasin.landscape.capability import Item
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.thought import past

WINDOW = 512
"""The most tokens of a window of text."""
LOGITS_BYTES = {"cpu": 16 * 2**20, "cuda": 256 * 2**20}
"""The most memory that the logits of one batch may take: on a CPU what its caches bear, where
16 MiB took half the time of 256 MiB."""

PLAN_TOKENS = 512
"""About so many tokens are read to measure how long all of them take."""

Row = tuple[list[int], list[int]]
"""The tokens of a context and of what follows it."""


@dataclass(frozen=True)
class ChoiceTask:
    """Multiple-choice questions."""

    name: str
    choices: Choices

    def probe(self, bench: Bench) -> ChoiceProbe:
        return ChoiceProbe(self.name, self.choices, bench)


class ChoiceProbe:
    """The share of questions whose right choice is the likeliest continuation of the question.

    The likelihood is the sum of the log-probabilities of a choice's tokens, as lm-eval's `acc`.
    A choice without a finite likelihood is never the likeliest. Nothing is generated.
    """

    def __init__(self, name: str, choices: Choices, bench: Bench) -> None:
        self.name = name
        self.choices = choices
        self.bench = bench
        self.rows = [
            _continuation(bench, question.prompt, text)
            for question in choices
            for text in question.choices
        ]
        _check_lengths(bench, name, self.rows)

    def spec(self) -> dict[str, object]:
        return {
            "kind": "choice",
            "sha256": self.choices.sha256,
            "ids": [question.prompt.id for question in self.choices],
            "chance": self.choices.chance,
            "dtype": str(self.bench.model.dtype).removeprefix("torch."),
            "template": self.bench.template.spec(),
        }

    def seconds(self, points: Sequence[Point]) -> tuple[float, float]:
        return _seconds(self.bench, self.rows, points)

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt] = (),
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Item]]]:
        for point, scores in _at_points(self.bench, points, self.rows, wanted):
            start = 0
            items = []
            for question in self.choices:
                own = scores[start : start + len(question.choices)]
                start += len(question.choices)
                best = max(range(len(own)), key=lambda i: own[i]) if own else 0
                chosen = best if math.isfinite(own[best]) else None
                answer = None if chosen is None else question.choices[chosen]
                items.append(Item(question.prompt.id, float(chosen == question.answer),
                                  answer=answer))  # fmt: skip
            yield point, items


@dataclass(frozen=True)
class TextTask:
    """A text whose perplexity is measured. `limit` windows of it, a seeded sample; 0 for all."""

    name: str
    text: str
    sha256: str
    limit: int
    seed: int

    def probe(self, bench: Bench) -> TextProbe:
        return TextProbe(self, bench)


class TextProbe:
    """The mean negative log-likelihood a token of a text, in windows that do not overlap.

    A window begins with the start token where there is one, so that its first token counts too.
    """

    def __init__(self, task: TextTask, bench: Bench) -> None:
        self.name = task.name
        self.task = task
        self.bench = bench
        tokenizer = bench.template.tokenizer
        tokens = [
            int(t)
            for t in tokenizer(task.text, add_special_tokens=False, verbose=False)["input_ids"]
        ]
        start = tokenizer.bos_token_id
        self.window = min(WINDOW, _longest(bench) or WINDOW) - (start is not None)
        parts = [tokens[i : i + self.window] for i in range(0, len(tokens), self.window)]
        rows = [([start], part) if start is not None else (part[:1], part[1:]) for part in parts]
        self.rows: dict[str, Row] = {
            f"window-{i:05d}": row for i, row in enumerate(rows, 1) if row[1]
        }
        if not self.rows:
            raise PromptError(
                f"The text of '{task.name}' has too few tokens for a likelihood.", "Give more text."
            )
        if task.limit:
            chosen = sorted(self.rows, key=self._rank)[: task.limit]
            self.rows = {name: self.rows[name] for name in sorted(chosen)}

    def _rank(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.task.seed}|{name}".encode()).digest()

    def spec(self) -> dict[str, object]:
        return {
            "kind": "perplexity",
            "sha256": self.task.sha256,
            "window": self.window,
            "windows": list(self.rows) if self.task.limit else len(self.rows),
            "tokens": sum(len(row[1]) for row in self.rows.values()),
            "dtype": str(self.bench.model.dtype).removeprefix("torch."),
        }

    def seconds(self, points: Sequence[Point]) -> tuple[float, float]:
        return _seconds(self.bench, list(self.rows.values()), points)

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt] = (),
        sampling: Sampling | None = None,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Item]]]:
        rows = list(self.rows.values())
        for point, scores in _at_points(self.bench, points, rows, wanted):
            items = []
            for (name, row), score in zip(self.rows.items(), scores, strict=True):
                mean = -score / len(row[1])
                items.append(Item(name, mean if math.isfinite(mean) else None, len(row[1])))
            yield point, items


def _continuation(bench: Bench, question: Prompt, choice: str) -> Row:
    """The tokens of a question as the model is asked it, and those of a choice after it.

    They are split where the question alone ends, as lm-eval does. A bare prompt and its choice
    are joined by a space. A thought that the template opens is left empty, so that the choice
    stands where the answer does.
    """
    template = bench.template
    context = template.encode(question)
    asked, bare = template.render(question.text), template.source is None
    if after := past(template.opened(context), template.marks):
        asked += after
        context = template.tokenizer(asked, add_special_tokens=bare)["input_ids"]
    joint = asked + (" " if bare else "") + choice
    whole = template.tokenizer(joint, add_special_tokens=bare)["input_ids"]
    rest = [int(token) for token in whole[len(context) :]]
    if not rest:
        raise PromptError(
            f"A choice of '{question.id}' becomes no tokens.", "Give choices with some text."
        )
    return [int(token) for token in whole[: len(context)]], rest


def _longest(bench: Bench) -> int | None:
    return most_positions(bench.model)


def _check_lengths(bench: Bench, name: str, rows: Sequence[Row]) -> None:
    limit, needed = _longest(bench), max(len(a) + len(b) for a, b in rows)
    if limit is not None and needed > limit:
        raise EngineError(
            f"A question of '{name}' has {needed} tokens with its choice; the model takes {limit}.",
            "Leave it out.",
        )


def _at_points(
    bench: Bench, points: Sequence[Point], rows: Sequence[Row], wanted: Wanted | None
) -> Iterator[tuple[Point, list[float]]]:
    """The log-likelihood of every row at every wanted point, in nats; -inf where it is broken.

    Raises EngineError where the model has no row for a token, and where its logits are no numbers
    before it is displaced.
    """
    whole = [[*context, *rest] for context, rest in rows]
    require_rows(bench.model, bench.template.tokenizer, whole, "a row of a capability")
    _together(bench, rows)  # tried out while the weights are undisplaced
    for point in points:
        if wanted is not None and not wanted(point):
            continue
        terms = [(value, bench.directions[name]) for name, value in point.terms]
        with bench.weights.displaced(terms):
            scores = log_likelihoods(bench, rows)
        if point.is_origin and not all(map(math.isfinite, scores)):
            raise no_numbers(bench.model)
        yield point, scores


def _seconds(bench: Bench, rows: Sequence[Row], points: Sequence[Point]) -> tuple[float, float]:
    """The time of all rows at these points, by that of a few rows of all lengths."""
    tokens = [len(context) + len(rest) for context, rest in rows]
    count = max(1, min(len(rows), PLAN_TOKENS * len(rows) // sum(tokens)))
    order = sorted(range(len(rows)), key=lambda i: tokens[i])
    chosen = [order[(2 * i + 1) * len(rows) // (2 * count)] for i in range(count)]
    sample = [rows[i] for i in chosen]
    log_likelihoods(bench, sample)
    start = time.perf_counter()
    log_likelihoods(bench, sample)
    measured = time.perf_counter() - start
    seconds = measured * sum(tokens) / sum(tokens[i] for i in chosen) * len(points)
    return seconds, seconds


def log_likelihoods(bench: Bench, rows: Sequence[Row]) -> list[float]:
    """The sum of the log-probabilities of each row's second part, by the model as it stands."""
    lengths = [len(context) + len(rest) for context, rest in rows]
    order = sorted(range(len(rows)), key=lambda i: (-lengths[i], i))
    together = _together(bench, rows)
    found = [-math.inf] * len(rows)
    vocabulary = vocabulary_rows(bench.model)
    done, size = 0, bench.rows
    while done < len(order):
        longest = lengths[order[done]]
        fits = batch_size_for(bench.model, longest, len(order) - done)
        room = LOGITS_BYTES.get(bench.model.device.type, LOGITS_BYTES["cuda"])
        most = max(1, room // (4 * longest * vocabulary))
        batch = first_batch(order[done:], lengths, min(size or most, fits, most), together)
        try:
            scores = _batch(bench, [rows[i] for i in batch])
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise EngineError(
                    "Memory ran out with one row of a capability.", "Give another --dtype."
                ) from error
            size = len(batch) // 2
            continue
        for i, score in zip(batch, scores, strict=True):
            found[i] = score if math.isfinite(score) else -math.inf
        done += len(batch)
    return found


def _together(bench: Bench, rows: Sequence[Row]) -> Together:
    return rows_together(bench.model, [[*context, *rest] for context, rest in rows], 0, "right")


@torch.inference_mode()
def _batch(bench: Bench, rows: Sequence[Row]) -> list[float]:
    ids, mask = padded([[*context, *rest] for context, rest in rows], 0, "right")
    device = bench.model.device
    logits = bench.model(
        input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
    ).logits
    scores = []
    for k, (context, rest) in enumerate(rows):
        predicted = logits[k, len(context) - 1 : len(context) + len(rest) - 1].float()
        target = torch.tensor(rest, device=predicted.device)
        total = torch.nn.functional.cross_entropy(predicted, target, reduction="sum")
        scores.append(-float(total))
    return scores
