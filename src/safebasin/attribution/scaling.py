"""Which interval of blocks carries refusal: the one whose scaling changes it most."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from safebasin.attribution.base import NO_ROWS, Gives, made_of, require_rows
from safebasin.attribution.refusing import Array, Objective, Refusing, openers_of
from safebasin.directions import Scaled
from safebasin.errors import DataError, EngineError, UsageError
from safebasin.landscape import Estimate
from safebasin.subject.rows import Rows
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject

Variant = Literal["paper", "code"]
Measure = Callable[[int, int, float], float]
"""From (first block, last block, α) to the mean objective over the prompts, R_o."""

BETA = 0.05
"""The step of α (App. A.3.4)."""
ENOUGH = 15 / 721
"""N_u: the least standard deviation of R_o over the upper bounds, 15 of the paper's 721 prompts."""
MOST_STEPS = 20
"""After so many steps the search for an α ends: at 2, or at 0."""
LARGE = 0.5
"""From this baseline on R_o is large already, and α goes down."""


@dataclass(frozen=True)
class Interval:
    """What the search found, with all that it measured on the way.

    first, last  the interval, 0-based, both included
    alpha        what its matrices were multiplied with; `reached` says whether the spread of R_o
                 over the upper bounds reached the rule's, None where α was given
    alphas       each α that was tried, with that standard deviation
    sweeps       by "upper" and "lower": each bound with its R_o
    baseline     R_o of the model itself, and `scaled` of the one with the interval scaled
    harmful      the same of the prompts of safety, before and after
    broken       the share of broken answers after; None where no answers were judged
    table        where first tokens were learnt, what the table's would have given of the prompts of
                 safety, before: held against the first of `harmful` it says what was learnt
    """

    first: int
    last: int
    alpha: float
    reached: bool | None
    alphas: tuple[tuple[float, float], ...]
    sweeps: Mapping[str, tuple[tuple[int, float], ...]]
    baseline: Estimate
    scaled: Estimate
    harmful: tuple[Estimate, Estimate]
    broken: float | None = None
    found_by: Mapping[str, Any] = field(default_factory=dict)
    table: Estimate | None = None

    @property
    def flat(self) -> bool:
        """Whether R_o was the same at every bound, so that no interval is above another."""
        values = [value for row in self.sweeps.values() for _, value in row if np.isfinite(value)]
        return len(set(values)) <= 1

    def spec(self) -> dict[str, Any]:
        return dict(self.found_by)

    def to_json(self) -> dict[str, Any]:
        table = {} if self.table is None else {"table": self.table.to_json()}
        return {
            "first": self.first,
            "last": self.last,
            "alpha": self.alpha,
            "reached": self.reached,
            "alphas": [list(one) for one in self.alphas],
            "sweeps": {which: [list(one) for one in row] for which, row in self.sweeps.items()},
            "baseline": self.baseline.to_json(),
            "scaled": self.scaled.to_json(),
            "harmful": [one.to_json() for one in self.harmful],
            "broken": self.broken,
            **table,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Interval:
        """What `to_json` gave; ValueError, KeyError or TypeError where it is no such value."""
        before, after = map(Estimate.from_json, value["harmful"])
        broken, table = value["broken"], value.get("table")
        return cls(
            int(value["first"]),
            int(value["last"]),
            float(value["alpha"]),
            value["reached"],
            tuple((float(alpha), float(spread)) for alpha, spread in value["alphas"]),
            {
                str(which): tuple((int(bound), float(one)) for bound, one in row)
                for which, row in value["sweeps"].items()
            },
            Estimate.from_json(value["baseline"]),
            Estimate.from_json(value["scaled"]),
            (before, after),
            None if broken is None else float(broken),
            table=None if table is None else Estimate.from_json(table),
        )


class Scaling:
    """The interval of blocks whose scaled matrices change refusals most (Li et al., Sec. 3.4).

    R_o is how much the model refuses the prompts of `utility`: harmless ones that sound harmful.
    With the first block fixed the last one is swept over the whole window, and the interval that
    refuses most is taken, least where α < 1; then the first block likewise. R_o has more than one
    peak, so no sweep ends early. Of equal values the shorter interval is taken.

    objective   "first-token": the mean probability of a refusal's first token;
                "learnt-first-token": of the first tokens of the model's own refusals of `safety`
                and `utility`, where the table knows few of them; "over-refusals": the share of
                prompts refused in 32 tokens, which a model has to do sometimes
    alpha       None for the rule of App. A.3.4: from 1 up by .05 (down where R_o is .5 or more)
                until R_o's standard deviation over the upper bounds, of the population, is 15 of
                721 prompts; where 20 steps do not reach it, the α with the largest. Or an α.
    variant     "paper": q, k, v, o, gate, up and down; "code": without o, as the authors' code did
                when the paper was written
    start       the first block that the upper bound is swept with, which the paper takes from the
                angular gap by eye
    """

    kind: ClassVar[str] = "scaling"
    reference: ClassVar[str] = "Li et al., ICLR 2025, arXiv 2408.17003, Sec. 3.4 and App. A.3.4"
    gives: ClassVar[Gives] = "interval"

    def __init__(
        self,
        objective: Objective = "first-token",
        alpha: float | str | None = None,
        variant: Variant = "paper",
        start: int | str = 0,
    ) -> None:
        if objective not in get_args(Objective):
            raise UsageError(
                f"Scaling is not searched by '{objective}'.",
                f"Give one of {', '.join(get_args(Objective))}.",
            )
        if variant not in ("paper", "code"):
            raise UsageError(f"Scaling has no variant '{variant}'.", "Give paper or code.")
        self.objective: Objective = objective
        self.alpha = None if alpha in (None, "") else float(alpha)
        if self.alpha is not None and not (0 <= self.alpha <= 10 and self.alpha != 1):
            raise UsageError(
                f"Scaling by {self.alpha:g} finds nothing.",
                "Give a factor from 0 to 10, but not 1.",
            )
        self.variant: Variant = variant
        self.start = int(start)

    def spec(self) -> dict[str, Any]:
        own = {"objective": self.objective, "alpha": self.alpha, "variant": self.variant}
        return {"kind": self.kind, **own, "start": self.start}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> Interval:
        """Raises DataError without rows of utility, UsageError for a start beyond the model."""
        require_rows(safety, utility, prompts=True)
        if not len(utility):
            raise DataError(
                "The scaling search counts refusals of harmless prompts, and there are none.",
                "Give rows of such prompts with --utility.",
            )
        blocks = len(blocks_of(subject))
        if not 0 <= self.start < blocks:
            raise UsageError(
                f"The sweep cannot start at block {self.start} of {blocks}.",
                f"Give one from 0 to {blocks - 1}.",
            )
        openers = openers_of(subject, self.objective, safety, utility)
        asked = Refusing(subject, utility, self.objective, openers)
        harmful = Refusing(subject, safety, self.objective, openers)
        before, harmful_before = asked.each(), harmful.each()
        table = None
        if openers is not None:
            known = Refusing(subject, safety)
            table = known.estimate(known.each())

        def each(ask: Refusing, first: int, last: int, alpha: float) -> Array:
            o_proj = self.variant == "paper"
            scaled = Scaled(first, last, subject.weights, include_o_proj=o_proj)
            with subject.weights.displaced([(alpha - 1, scaled)]):
                return ask.each()

        def measure(first: int, last: int, alpha: float) -> float:
            return _mean(each(asked, first, last, alpha))

        found = search(measure, blocks, _mean(before), self.alpha, self.start)
        after = each(asked, found.first, found.last, found.alpha)
        broken = asked.broken
        harmful_after = each(harmful, found.first, found.last, found.alpha)
        others = {"name": utility.name, "sha256": utility.sha256, "n": len(utility)}
        return Interval(
            found.first,
            found.last,
            found.alpha,
            found.reached,
            found.alphas,
            found.sweeps,
            asked.estimate(before),
            asked.estimate(after),
            (harmful.estimate(harmful_before), harmful.estimate(harmful_after)),
            broken,
            {**made_of(self, subject, safety), "others": others},
            table,
        )


@dataclass(frozen=True)
class Searched:
    """The bare result of `search`, as in `Interval`."""

    first: int
    last: int
    alpha: float
    reached: bool | None
    alphas: tuple[tuple[float, float], ...]
    sweeps: Mapping[str, tuple[tuple[int, float], ...]]


def search(
    measure: Measure, blocks: int, baseline: float, alpha: float | None = None, start: int = 0
) -> Searched:
    """The search itself, over any objective of (first, last, α): steps 3 to 5 of the paper."""
    down = baseline >= LARGE if alpha is None else alpha < 1

    def upper(factor: float) -> list[tuple[int, float]]:
        return [(last, measure(start, last, factor)) for last in range(start, blocks)]

    step = -BETA if down else BETA
    factors = [alpha] if alpha is not None else [1 + n * step for n in range(1, MOST_STEPS + 1)]
    tried: list[tuple[float, float]] = []
    swept: dict[float, list[tuple[int, float]]] = {}
    for factor in (round(one, 9) for one in factors):
        swept[factor] = upper(factor)
        tried.append((factor, _spread(swept[factor])))
        if tried[-1][1] >= ENOUGH:
            break
    reached = tried[-1][1] >= ENOUGH
    chosen = tried[-1][0] if reached else max(tried, key=lambda one: one[1])[0]
    last = _best(swept[chosen], down)
    # From the top down, so that of equal values the shorter interval is met first here, too.
    lower = [(first, measure(first, last, chosen)) for first in range(last, -1, -1)]
    first = _best(lower, down)
    sweeps = {"upper": tuple(swept[chosen]), "lower": tuple(reversed(lower))}
    return Searched(
        first, last, chosen, None if alpha is not None else reached, tuple(tried), sweeps
    )


def _best(sweep: Sequence[tuple[int, float]], down: bool) -> int:
    """The bound with the highest value, or the lowest: the first of equal ones."""
    known = [one for one in sweep if np.isfinite(one[1])]
    if not known:
        raise EngineError(
            "Scaled so, the model gives no numbers at any bound.", "Give a factor nearer to 1."
        )
    sign = -1 if down else 1
    return max(known, key=lambda one: sign * one[1])[0]


def _spread(sweep: Sequence[tuple[int, float]]) -> float:
    values = [value for _, value in sweep if np.isfinite(value)]
    return float(np.std(values)) if values else 0.0


def _mean(each: Array) -> float:
    known = each[np.isfinite(each)]
    return float(known.mean()) if len(known) else float("nan")
