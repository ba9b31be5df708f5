"""Which way of working suits a model, its memory and a job."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from safebasin.directions import Direction
from safebasin.directions.resident import bytes_to_hold
from safebasin.engines import Sampling
from safebasin.engines.fast.choice import (
    ROWS,
    TYPICAL_ANSWER,
    Job,
    in_place_seconds,
    measure_plain,
    measure_pooled,
    pool_at_best,
    pool_seconds,
)
from safebasin.engines.fast.compiled.kernels import only_numba_is_missing
from safebasin.engines.fast.costs import Cost, Counter
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.grouping import along_lines
from safebasin.engines.fast.memory_plan import SHARE_OF_FREE, MemoryPlan, Mode, fitting_rows
from safebasin.engines.fast.pooled import direction_bytes, not_poolable
from safebasin.engines.fast.prefixes import shared_prefix
from safebasin.engines.fast.products import bfloat16_gain
from safebasin.engines.fast.scoring import Room
from safebasin.engines.fast.slots import CacheShape
from safebasin.engines.fast.support import mismatch, pool_mismatch, unsupported
from safebasin.engines.memory import free_bytes
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.plane import Point
from safebasin.weights import Weights
from safebasin.weights.divided import least

LOG = logging.getLogger(__name__)

POOL_ROWS = {"cpu": 96, "cuda": 384}
"""How many rows a pool has where nothing else is asked for and memory allows."""

READY_POINTS = 6
"""For how many points a pool keeps displaced weights, where arithmetic and not memory is slow."""

READY_BYTES = 256 * 2**20
"""The most memory they may take, so that large models stay within a few times their size."""

WORTH = 0.9
"""The share of the time in place that a pool, which takes more memory, has to stay under."""

WORTH_TELLING = 1.3
"""From how many times float32's speed on a plan tells of bfloat16: a choice; with 1.9 times as fast
products SmolLM2's answers take two thirds of the time."""

FEWEST_ROWS = 8
"""A pool of fewer rows is not worth a direction's memory."""

COPIES_A_POINT = 3
"""How often as long as the copy the whole way to a point is taken to be: a choice. Of SmolLM2-135M
a copy took .26 s, displacing .19 where the direction was held and .74 where it was drawn, and
putting back .04: 1.9 and 4.0 times the copy."""


class Planner:
    """Chooses a way of working. What it tries out or measures, it does once."""

    def __init__(
        self,
        model: Any,
        weights: Weights,
        directions: Mapping[str, Direction],
        mode: Mode,
        rows: int | None,
        drafts: bool | None,
        scores: bool,
    ) -> None:
        self.model = model
        self.weights = weights
        self.directions = directions
        self.mode: Mode = mode
        self.rows = rows
        self.drafts = drafts
        self.scores = scores
        self.forward: Forward | None = None
        self._checked: dict[str, str | None] = {}
        self._plain: Cost | None = None
        self._pooled: Cost | None = None

    def plan(
        self, points: Sequence[Point], encoded: Sequence[list[int]], sampling: Sampling
    ) -> MemoryPlan:
        """How these points will be answered, what memory it takes, and why."""
        longest = max(map(len, encoded)) + sampling.max_new_tokens
        free = least(self.model, free_bytes(self.model.device))
        reason: str | None = "it was asked for"
        if self.mode != "plain":
            reason = self._cannot(encoded, longest, sampling.max_new_tokens)
        if reason is not None:
            return MemoryPlan("plain", 0, longest, 0, 0, 0, 0, free, (reason,))
        shape = CacheShape.of(self.model)
        vocabulary = vocabulary_rows(self.model)
        row = (longest + len(shared_prefix(encoded))) * shape.bytes_per_token + 12 * vocabulary
        pristine = self.weights.pristine_bytes
        scores = 0
        if self.scores:
            room = Room.on(self.model.device, free)
            scores = room.taken(shape, vocabulary, encoded, sampling.max_new_tokens)
        copies = 0 if self.forward is None else self.forward.copied_bytes

        def planned(mode: Mode, wanted: int, direction: int, *reasons: str) -> MemoryPlan:
            held = 0 if mode == "pool" and self._is_line(points) else pristine
            taken = direction + copies + held
            budget = SHARE_OF_FREE * free - taken - scores
            asked = min(self.rows or wanted, most[mode])
            count = fitting_rows(budget, row, asked)
            rows = max(1, count) if mode == "in-place" else count
            if self.rows and rows < asked:
                reasons = (*reasons, f"{asked} rows in a batch were asked for; {rows} fit")
            logits = 12 * vocabulary * rows
            return MemoryPlan(
                mode,
                rows,
                longest,
                taken - direction,
                direction,
                rows * row - logits,
                logits,
                free,
                reasons,
                scores=scores,
            )

        most = {"in-place": len(encoded), "pool": len(points) * len(encoded)}
        to_hold = bytes_to_hold(self.directions.values(), self.model.device)
        in_place = planned(
            "in-place", len(encoded), to_hold, *self._kernel_reasons(), *self._dtype_reasons()
        )
        if self.mode == "in-place":
            return in_place

        def because(reason: str) -> MemoryPlan:
            return replace(in_place, reasons=(reason, *in_place.reasons))

        groups = along_lines(points, self.directions)
        if all(group.pooled is None for group in groups):
            return because("there is no direction to pool along")
        if self.mode == "auto" and all(len(group.members) == 1 for group in groups):
            return because("no two points lie on a line along a direction")
        if self.mode == "auto" and pristine > READY_BYTES:
            reason = self._not_worth_trying(points, encoded, sampling)
            if reason is not None:
                return because(reason)
        reason = self._cannot_pool(points, encoded)
        if reason is not None:
            return because(reason)
        size = max(
            direction_bytes(self.weights.parameters, self.directions[name], self.model.dtype)
            for name in {group.pooled for group in groups}
            if name is not None
        )
        wanted = max(POOL_ROWS.get(self.model.device.type, 96), len(encoded))
        pool = planned("pool", wanted, size + to_hold)
        if pool.rows < min(FEWEST_ROWS, self.rows or FEWEST_ROWS, most["pool"]):
            return because("a direction does not fit beside the weights")
        kept = 0
        if self.model.device.type == "cpu":
            budget = min(READY_BYTES, SHARE_OF_FREE * free - pool.total)
            kept = fitting_rows(budget, pristine, READY_POINTS)
        pool = replace(pool, kept=kept, ready=kept * pristine)
        if self.mode == "pool":
            return pool
        return self._faster(pool, in_place, points, encoded, sampling)

    def seconds(
        self,
        plan: MemoryPlan,
        points: Sequence[Point],
        encoded: Sequence[list[int]],
        longest: int,
        mean: float,
        pace: float | None = None,
    ) -> float:
        """What a plan other than `plain` is expected to take, by a few passes measured once.

        `longest` and `mean` are the numbers of tokens that answers are taken to have, and `pace`
        the passes that a token of the longest one takes, where that was measured.
        """
        if self.forward is None:
            raise RuntimeError("the plain engine's time is not measured here")
        context = max(map(len, encoded)) + TYPICAL_ANSWER // 2
        self._plain = self._measured_plain(self.forward, context)
        job = replace(self._job(points, encoded, longest, mean), pace=pace)
        if plan.mode != "pool":
            return in_place_seconds(job, self._plain, plan.rows)
        if self._pooled is None:
            groups = along_lines(points, self.directions)
            name = next((group.pooled for group in groups if group.pooled), None)
            if name is None:  # the origin alone
                return in_place_seconds(job, self._plain, plan.rows)
            self._pooled = measure_pooled(
                self.forward, self.weights, self.directions[name], context, plan.kept
            )
            # Other work may have taken part in one of the two: what is compared is measured around.
            again = measure_plain(self.forward, context)
            self._plain = min(self._plain, again, key=lambda cost: cost.of(ROWS))
        return pool_seconds(job, self._pooled, self._plain, plan.rows, plan.kept)

    def scoring_seconds(
        self, points: Sequence[Point], encoded: Sequence[list[int]], mean: float
    ) -> float:
        """What scoring adds where answers are scored, by the passes that were measured.

        The prompts are read once for it, and each answer goes through once more, unless it was
        given at another point before.
        """
        if not self.scores:
            return 0.0
        answers = len(points) * len(encoded) * mean
        return self.seconds_of(Counter(tokens=round(sum(map(len, encoded)) + answers)))

    def moving_seconds(self, plan: MemoryPlan, points: Sequence[Point]) -> float:
        """What it takes besides passes to get to the points, where weights were copied for it: at
        each they are displaced, copied and put back."""
        if self.forward is None or plan.mode == "pool":
            return 0.0
        moved = sum(not point.is_origin for point in points)
        return COPIES_A_POINT * moved * self.forward.copy_seconds

    def seconds_of(self, computed: Counter) -> float:
        """What so many passes and tokens at one point take by the passes that were measured."""
        if self._plain is None:
            raise RuntimeError("no pass has been measured")
        return computed.passes * self._plain.overhead + computed.tokens * self._plain.each

    def _measured_plain(self, forward: Forward, context: int) -> Cost:
        if self._plain is None:
            LOG.info("timing its passes")
            self._plain = measure_plain(forward, context)
        return self._plain

    def _job(
        self, points: Sequence[Point], encoded: Sequence[list[int]], longest: int, mean: float
    ) -> Job:
        return Job(
            points=len(points),
            lines=len(along_lines(points, self.directions)),
            prompts=len(encoded),
            prompt_tokens=sum(map(len, encoded)),
            limit=longest,
            drafts=self.drafts is not False,
            answer=mean,
        )

    def _not_worth_trying(
        self, points: Sequence[Point], encoded: Sequence[list[int]], sampling: Sampling
    ) -> str | None:
        """Why a pool of a large model cannot be faster; None where it may be.

        To try one takes drawing a direction three times, which is long for a large model.
        """
        if self.forward is None:
            return None
        context = max(map(len, encoded)) + TYPICAL_ANSWER // 2
        cost = self._measured_plain(self.forward, context)
        job = self._job(points, encoded, sampling.max_new_tokens, TYPICAL_ANSWER)
        rows = max(POOL_ROWS.get(self.model.device.type, 96), len(encoded))
        apart = in_place_seconds(job, cost, self.rows or len(encoded))
        together = pool_at_best(job, cost, rows)
        if together <= WORTH * apart:
            return None
        return f"it is expected to take {apart:.2g} s, and in a pool {together:.2g} s or more"

    def _faster(
        self,
        pool: MemoryPlan,
        in_place: MemoryPlan,
        points: Sequence[Point],
        encoded: Sequence[list[int]],
        sampling: Sampling,
    ) -> MemoryPlan:
        limit = sampling.max_new_tokens
        together, apart = (
            self.seconds(plan, points, encoded, limit, TYPICAL_ANSWER) for plan in (pool, in_place)
        )
        reason = f"it is expected to take {together:.2g} s in a pool and {apart:.2g} s in place"
        chosen = pool if together <= WORTH * apart else in_place
        return replace(chosen, reasons=(reason, *chosen.reasons))

    def _kernel_reasons(self) -> tuple[str, ...]:
        """What would run this model's layers in fewer steps."""
        decoder = None if self.forward is None else self.forward.decoder
        if decoder is None or self.model.device.type != "cpu" or not only_numba_is_missing():
            return ()
        return (
            "Numba, which compiles what lies between the products of a layer, is not installed "
            "(pip install 'safebasin[cpu]')",
        )

    def _dtype_reasons(self) -> tuple[str, ...]:
        """What another dtype would gain; nothing of a small model, which products do not bind."""
        model = self.model
        if model.device.type != "cpu" or model.dtype != torch.float32:
            return ()
        if self.weights.pristine_bytes <= READY_BYTES or self.weights.divided:
            return ()
        gain = bfloat16_gain()
        if gain < WORTH_TELLING:
            return ()
        return (
            f"this processor multiplies {gain:.1f} times as fast in bfloat16 (--dtype bfloat16), "
            "in which up to 2 % of the verdicts are others",
        )

    def _is_line(self, points: Sequence[Point]) -> bool:
        """Whether a pool over these points never has to materialise any."""
        return all(not group.base for group in along_lines(points, self.directions))

    def _cannot(self, encoded: Sequence[list[int]], longest: int, passes: int) -> str | None:
        """Why the plain engine has to do it; the first call tries the model out.

        `passes` may come at each point.
        """
        reason = unsupported(self.model, longest)
        if reason is not None:
            return reason
        if "rows" not in self._checked:
            LOG.info("trying the fast engine on this model")
            forward = Forward(self.model)
            forward.expect(passes)
            reason = mismatch(forward, min(encoded, key=len))
            if reason is not None and forward.decoder is not None:
                forward.decoder = None
                reason = mismatch(forward, min(encoded, key=len))
            self._checked["rows"] = reason
            if reason is None:
                forward.counter = Counter()
                self.forward = forward
        elif self.forward is not None:
            self.forward.expect(passes)
        return self._checked["rows"]

    def _cannot_pool(self, points: Sequence[Point], encoded: Sequence[list[int]]) -> str | None:
        """Why rows of many points cannot share a batch; the first call tries it out."""
        if "pool" not in self._checked:
            self._checked["pool"] = not_poolable(self.model, self.weights.parameters)
        if self._checked["pool"] is None and "pool tried" not in self._checked:
            moved = [point for point in points if not point.is_origin]
            if moved and self.forward is not None:
                name, value = min(moved, key=lambda point: point.distance).terms[0]
                tokens = min(encoded, key=len)
                before = replace(self.forward.counter)
                self._checked["pool"] = self._checked["pool tried"] = pool_mismatch(
                    self.forward, self.weights, self.directions[name], value, tokens
                )
                self.forward.counter = before
                self.weights.forget_pristine()  # a pool along lines needs no copy
        return self._checked["pool"]
