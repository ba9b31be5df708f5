"""One call of an engine's `answers`: the points on their way, and what they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack

from safebasin.directions import Direction
from safebasin.engines import Progress, Wanted
from safebasin.engines.broken_logits import no_numbers
from safebasin.engines.fast.batch import Batch
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.grouping import Group, along_lines, one_by_one
from safebasin.engines.fast.memory_plan import MemoryPlan
from safebasin.engines.fast.pooled import Pool
from safebasin.engines.fast.rows import Row
from safebasin.engines.fast.scoring import OriginScores
from safebasin.engines.template import Template
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights


class Work:
    """One call of `answers`: the points on their way, and what they share."""

    def __init__(
        self,
        forward: Forward,
        weights: Weights,
        directions: Mapping[str, Direction],
        batch: Batch,
        plan: MemoryPlan,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        encoded: Sequence[list[int]],
        template: Template,
        scores: OriginScores | None,
        progress: Progress | None,
        wanted: Wanted | None,
    ) -> None:
        self.forward = forward
        self.weights = weights
        self.directions = directions
        self.batch = batch
        self.plan = plan
        self.points = points
        self.prompts = prompts
        self.encoded = encoded
        self.progress = progress
        self.wanted = wanted
        self.template = template
        self.scores = scores
        self.answered: dict[int, dict[int, tuple[Exchange, list[int]]]] = {}

    def run(self) -> Iterator[tuple[Point, list[Exchange]]]:
        if self.plan.mode == "pool":
            groups = along_lines(self.points, self.directions)
        else:
            groups = one_by_one(self.points)
        pooled: str | None = None
        try:
            for group in groups:
                if group.pooled != pooled:
                    pooled = group.pooled
                    self.forward.pool = None
                    if pooled is not None:
                        direction = self.directions[pooled]
                        self.forward.pool = Pool.of(
                            self.forward.model, self.weights, direction, self.plan.kept
                        )
                yield from self._answer(group)
        finally:
            self.forward.pool = None

    def _answer(self, group: Group) -> Iterator[tuple[Point, list[Exchange]]]:
        """Answer a group; its points are scored, and handed over, at the undisplaced weights."""
        later = []
        if not any(self._is_wanted(point) for point, _ in group.members):
            return
        with ExitStack() as stack:
            if group.base:
                terms = [(value, self.directions[name]) for name, value in group.base]
                stack.enter_context(self.weights.displaced(terms))
            if self.forward.pool is not None:
                self.forward.pool.forget()
            for finished in self.batch.run(self._rows(group), self._is_wanted):
                for point in self._take(finished):
                    if group.base:
                        later.append(point)
                    else:
                        yield self._complete(point)
        for point in later:
            yield self._complete(point)

    def _is_wanted(self, point: int) -> bool:
        if self.wanted is None or self.wanted(self.points[point]):
            return True
        self.answered.pop(point, None)
        return False

    def _rows(self, group: Group) -> Iterator[Row]:
        """The rows of a group, point by point, long prompts first."""
        order = sorted(range(len(self.encoded)), key=lambda i: (-len(self.encoded[i]), i))
        for point, coefficient in group.members:
            for i in order:
                tokens = list(self.encoded[i])
                yield Row(point, i, tokens, len(tokens), coefficient)

    def _take(self, finished: Sequence[Row]) -> list[int]:
        """Keep the finished rows' exchanges; return the points that are complete with them."""
        new: dict[int, list[Exchange]] = {}
        for row in finished:
            prompt = self.prompts[row.prompt]
            if row.broken and self.points[row.point].is_origin:
                raise no_numbers(self.forward.model, prompt.id)
            answer = row.answer
            exchange = self.template.exchange(
                prompt, self.encoded[row.prompt], answer, row.finish or "length"
            )
            self.answered.setdefault(row.point, {})[row.prompt] = (exchange, answer)
            new.setdefault(row.point, []).append(exchange)
        for point, exchanges in new.items():
            if self.progress is not None:
                self.progress(self.points[point], exchanges)
        return [point for point in new if len(self.answered[point]) == len(self.prompts)]

    def _complete(self, point: int) -> tuple[Point, list[Exchange]]:
        answered = self.answered.pop(point)
        ordered = [answered[i] for i in range(len(self.prompts))]
        exchanges = [exchange for exchange, _ in ordered]
        if self.scores is not None:
            with self.forward.hurried():  # a few long passes, by weights that are left at once
                scores = self.scores.score([(i, answer) for i, (_, answer) in enumerate(ordered)])
            exchanges = [
                exchange.scored(score) for exchange, score in zip(exchanges, scores, strict=True)
            ]
        return self.points[point], exchanges
