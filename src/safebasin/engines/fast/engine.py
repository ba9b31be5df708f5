"""The fast engine: full batches over slots, many points at once, drafts, early stops.

In float32 it gives the plain engine's answers token for token, up to where a verdict is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from safebasin.directions import Direction
from safebasin.engines import Progress, Sampling, Wanted
from safebasin.engines.fast.batch import Batch
from safebasin.engines.fast.costs import Counter
from safebasin.engines.fast.drafts import Drafts
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.memory_plan import MemoryPlan, Mode
from safebasin.engines.fast.planning import Planner
from safebasin.engines.fast.prefixes import shared_prefix
from safebasin.engines.fast.rows import Ending
from safebasin.engines.fast.scoring import OriginScores, Room
from safebasin.engines.fast.stop_table import StopTable
from safebasin.engines.fast.work import Work
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import UsageError
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.stopping import StopRule
from safebasin.weights import Weights

DRAFT_KNEE = 256.0
"""How many tokens a pass's overhead is taken to be worth where drafts are asked for."""


class FastEngine:
    """Answers greedily in batches that stay full; models that it cannot run go to the plain engine.

    stop      ends an answer when its verdict is decided; None keeps answers whole
    mode      "pool" answers rows of many points in one batch, "in-place" one point after another,
              "auto" whichever is expected to be faster and fits in memory
    rows      how many rows are answered at a time; None takes what is useful and fits
    drafts    whether answers are drafted and verified; None drafts where it is measured to pay
    scores    whether answers are scored under the undisplaced model

    Of a model that transformers has divided among processes each process makes such an engine, and
    asks it the same; all get the same answers.
    """

    name = "fast"
    own_process = False
    ends_early = True

    def __init__(
        self,
        model: Any,
        weights: Weights,
        directions: Mapping[str, Direction],
        template: Template,
        *,
        stop: StopRule | None = None,
        mode: Mode = "auto",
        rows: int | None = None,
        drafts: bool | None = None,
        scores: bool = True,
    ) -> None:
        if mode not in ("auto", "in-place", "pool", "plain"):
            raise UsageError(f"Unknown mode '{mode}'.", "Give auto, in-place, pool or plain.")
        if rows is not None and rows < 1:
            raise UsageError(f"A batch of {rows} rows was asked for.", "Give at least 1.")
        if weights.divided:
            # What is measured to be faster differs from process to process, and all have to do
            # the same.
            if mode == "pool" or drafts:
                raise UsageError(
                    "A model that is divided among processes is asked in place and without drafts.",
                    "Give the mode in-place, and leave out the drafts.",
                )
            mode, drafts = ("plain" if mode == "plain" else "in-place"), False
        self.plain = PlainEngine(model, weights, directions, template, rows)
        self.model = model
        self.weights = weights
        self.directions = self.plain.directions
        self.template = template
        self.stop = stop
        self.mode: Mode = mode
        self.rows = rows
        self.drafts = drafts
        self.scores = scores
        self.planner = Planner(model, weights, self.directions, mode, rows, drafts, scores)
        self.notes: list[str] = []  # what happened that a user should know of
        self._table: StopTable | None = None

    @property
    def own_limit(self) -> int | None:
        """The limit of new tokens that the checkpoint asks for, if it does."""
        return self.plain.own_limit

    @property
    def forward(self) -> Forward | None:
        """What runs the passes, once the model was found to suit them."""
        return self.planner.forward

    @property
    def counter(self) -> Counter:
        """What the engine has computed so far; the plain engine's work is not in it."""
        return Counter() if self.forward is None else self.forward.counter

    def free(self) -> None:
        """Give back the memory of the model; nothing can be asked any more."""
        self.planner.forward = None  # with its copies of weights, and its graphs
        self.plain.free()

    def spec(self) -> dict[str, object]:
        early = {} if self.stop is None else {"stop": self.stop.spec()}
        return {**self.plain.spec(), **early}

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        """Yield each point once it is complete, with the exchanges in the order of `prompts`."""
        encoded = [self.template.encode(prompt) for prompt in prompts]
        self.plain.check(prompts, encoded, sampling)
        plan = self.planner.plan(points, encoded, sampling)
        if plan.mode == "plain" or self.forward is None:
            yield from self.plain.answers(points, prompts, sampling, progress, wanted)
            return
        batch = Batch(
            self.forward,
            self._ending(points, sampling),
            plan.length,
            plan.rows,
            prefix=shared_prefix(encoded),
            drafts=None if self.drafts is False else Drafts(points),
            knee=DRAFT_KNEE if self.drafts else None,
        )
        work = Work(
            self.forward,
            self.weights,
            self.directions,
            batch,
            plan,
            points,
            prompts,
            encoded,
            self.template,
            OriginScores(self.forward, encoded, Room.on(self.forward.device, plan.free))
            if self.scores
            else None,
            progress,
            wanted,
        )
        try:
            yield from work.run()
        finally:
            self.notes += batch.notes

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Answers are tried at the undisplaced weights while this lasts: they are not scored, and
        nothing is computed anew of the weights, to which nobody writes."""
        scores, self.scores = self.scores, False
        try:
            with nullcontext() if self.forward is None else self.forward.unwritten():
                yield
        finally:
            self.scores = scores

    def settle(
        self, points: Sequence[Point], prompts: Sequence[Prompt], sampling: Sampling
    ) -> None:
        """Choose the way of working, once for all copies of the engine."""
        self.plan(points, prompts, sampling)

    def plan_text(self) -> str:
        """Nothing is chosen before there are points and prompts."""
        return ""

    def close(self) -> None:
        """Nothing runs elsewhere."""

    def plan(
        self, points: Sequence[Point], prompts: Sequence[Prompt], sampling: Sampling
    ) -> MemoryPlan:
        """How these points will be answered, what memory it takes, and why. Answers nothing.

        Raises EngineError where the model cannot take one of the prompts.
        """
        encoded = [self.template.encode(prompt) for prompt in prompts]
        self.plain.check(prompts, encoded, sampling)
        return self.planner.plan(points, encoded, sampling)

    def _ending(self, points: Sequence[Point], sampling: Sampling) -> Ending:
        if self.stop is not None and self._table is None:
            self._table = StopTable(
                self.stop,
                self.template.tokenizer,
                self.template.decode,
                self.template.opened,
                self.template.marks,
            )
        ends = self.plain.ends
        others = {i: frozenset(ends.of(point)) for i, point in enumerate(points) if ends.at}
        return Ending(frozenset(ends.own), sampling.max_new_tokens, self._table, others)
