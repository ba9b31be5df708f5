"""Which way of working is expected to be faster, by a few measured passes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

from safebasin.directions import Direction
from safebasin.engines.fast.costs import Cost
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.pooled import Pool
from safebasin.engines.fast.slots import CacheShape, SlotStorage
from safebasin.weights import Weights

ROWS = 64
"""The rows of the measured passes, one token each."""

TOGETHER = 4
"""At how many points the rows of a pool mostly are."""

REPEATS = 4
"""How often a pass is measured, the best of which counts; longer ones, which chance moves less,
fewer times."""

ENOUGH = 0.1
"""Seconds of measuring after which a pass is not measured again: a choice, as PROBE_SECONDS is.
SmolLM2-135M's passes take .06 s of one row and .2 of 64: two of the one are measured, one of the
other."""

POOLED_AT_LEAST = 1.6
"""A pass of a pool takes at least so often what one at one point takes: each product is made with
the weights and once more with the direction."""

TYPICAL_ANSWER = 32
"""How many tokens an answer is taken to have; most are refusals, which are short."""

DRAFTS_SAVE = 8
"""By how much drafts are taken to shorten the longest answers, before any was measured."""


@dataclass(frozen=True)
class Job:
    """What is to be answered: numbers of points, lines, prompts, and tokens.

    `limit` is how long the longest answer is taken to be, `answer` how long one is in the mean.
    `pace` is how many passes a token of the longest one takes, where that was measured.
    """

    points: int
    lines: int
    prompts: int
    prompt_tokens: int
    limit: int
    drafts: bool
    answer: float = TYPICAL_ANSWER
    pace: float | None = None

    @property
    def answer_tokens(self) -> float:
        """The tokens of all answers at all points."""
        return self.points * self.prompts * min(self.limit, self.answer)

    @property
    def steps(self) -> float:
        """The passes that the longest answer takes."""
        return max(1.0, self.limit * self.passes_a_token)

    @property
    def passes_a_token(self) -> float:
        """The passes that a token of an answer takes, as far as it is known."""
        return self.pace or (1 / DRAFTS_SAVE if self.drafts else 1.0)


def in_place_seconds(job: Job, cost: Cost, rows: int) -> float:
    """What one point after another is expected to take, so many `rows` at a time.

    Every point waits for its longest row, or for its rows one after another.
    """
    tokens = job.answer_tokens + job.points * job.prompt_tokens
    passes = max(job.points * job.steps, job.answer_tokens * job.passes_a_token / max(rows, 1))
    return passes * cost.overhead + tokens * cost.each


def pool_seconds(job: Job, pooled: Cost, plain: Cost, rows: int, kept: int) -> float:
    """What a pool is expected to take: every line waits for its longest row.

    Prompts are read with displaced weights that are kept ready, where there are any.
    """
    passes = job.answer_tokens / rows + job.lines * job.steps
    reading = plain if kept else pooled
    return (
        passes * pooled.overhead
        + job.answer_tokens * pooled.each
        + job.points * job.prompt_tokens * reading.each
    )


def pool_at_best(job: Job, plain: Cost, rows: int) -> float:
    """The least that a pool may take which keeps no weights ready, by the cost at one point."""
    pooled = Cost(POOLED_AT_LEAST * plain.overhead, POOLED_AT_LEAST * plain.each)
    return pool_seconds(job, pooled, plain, rows, 0)


def measure_plain(forward: Forward, context: int) -> Cost:
    """The cost of a pass at one point whose rows have `context` tokens."""
    return _cost(forward, context, [0.0] * ROWS)


def measure_pooled(
    forward: Forward, weights: Weights, direction: Direction, context: int, kept: int
) -> Cost:
    """The cost of a pass with rows of many points, for `kept` of which weights are kept ready."""
    values = [0.01 * i for i in range(1, TOGETHER + 1)]
    try:
        forward.pool = Pool.of(forward.model, weights, direction, kept)
        if forward.pool.kept >= TOGETHER:
            forward.pool.keep_ready(values)
        return _cost(forward, context, [values[i * TOGETHER // ROWS] for i in range(ROWS)])
    finally:
        forward.pool = None


def _cost(forward: Forward, context: int, coefficients: Sequence[float]) -> Cost:
    before = replace(forward.counter)
    try:
        with nullcontext() if forward.pool is None else forward.hurried():
            return _measured(forward, context, coefficients)
    finally:
        forward.counter = before


def _measured(forward: Forward, context: int, coefficients: Sequence[float]) -> Cost:
    storage = SlotStorage(CacheShape.of(forward.model), ROWS, context + 1, forward.device)

    def seconds(rows: int, repeats: int = REPEATS) -> float:
        feeds = [Feed(slot, context, [0]) for slot in range(rows)]
        best, begin = float("inf"), time.perf_counter()
        for _ in range(repeats):
            start = time.perf_counter()
            with forward.attached():
                forward.predictions(storage, feeds, coefficients[:rows])
            best = min(best, time.perf_counter() - start)
            if time.perf_counter() - begin > ENOUGH:
                break
        return best

    seconds(1, repeats=1)  # what a first pass alone takes does not count
    one, many = seconds(1), seconds(ROWS)
    each = max(many - one, 0.0) / (ROWS - 1)
    return Cost(max(one - each, 0.0), each)
