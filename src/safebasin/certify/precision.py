"""How many directions and prompts make VISAGE's interval as narrow as wanted.

VISAGE is a mean over D directions, each asked the same P prompts. Its variance has three parts,

    direction / D  +  prompt / P  +  both / (D P),

which a first run shows: by how VISAGE differs between its directions, and by how it moves when the
prompts are drawn again. VISAGE's interval is a t interval by these parts, widened to the
percentiles of drawn prompts; these are taken from the first run as well. Directions are expensive
where they agree already, prompts where these do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from safebasin.errors import UsageError
from safebasin.landscape import Survey, measures
from safebasin.landscape.cells import COUNTED, has_verdict
from safebasin.landscape.intervals import PRIOR, Array, moderated, usual_spread

REPLICATES = 400
DIRECTIONS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)
PROMPTS = (20, 40, 80, 160, 320, 520, 1000)


@dataclass(frozen=True)
class Spread:
    """The three parts of VISAGE's variance, in squared points, as a first run shows them.

    `usual` is the standard deviation between directions that is usual, in points, and moderates
    that of few directions (see `safebasin.landscape.intervals`). `below` and `above` are how far
    the percentiles of the first run's drawn prompts lie from their mean, in points, and `shift` how
    far that lies above its VISAGE: a bias that more prompts do not take away.
    """

    direction: float
    prompt: float
    both: float
    directions: int
    prompts: int
    usual: float = 0.0
    below: float = 0.0
    above: float = 0.0
    shift: float = 0.0

    def width(self, directions: int, prompts: int, level: float = 0.95) -> float:
        """The expected width of the interval, in points of 100."""
        from scipy.special import stdtrit

        seen = self.direction + self.both / prompts
        by_direction = moderated(seen, directions, self.usual) / directions
        by_prompt = self.prompt / prompts
        variance = by_direction + by_prompt
        if variance == 0:
            return 0.0
        freedom = variance**2 / (
            by_direction**2 / (PRIOR + directions - 1) + by_prompt**2 / max(prompts - 1, 1)
        )
        quantile = float(stdtrit(max(freedom, 1.0), 0.5 + level / 2))
        half = quantile * math.sqrt(variance)
        drawn = self._by_prompts(directions, prompts)
        first = self._by_prompts(self.directions, self.prompts)
        scale = math.sqrt(drawn / first) if first > 0 else 0.0
        low = max(half, scale * self.below - self.shift)
        return low + max(half, scale * self.above + self.shift)

    def _by_prompts(self, directions: int, prompts: int) -> float:
        """The variance that other prompts give to the mean over the same directions."""
        return (self.prompt + self.both / directions) / prompts


@dataclass(frozen=True)
class Option:
    """One way to the wanted precision; `answers` counts directions times prompts."""

    directions: int
    prompts: int
    width: float

    @property
    def answers(self) -> int:
        return self.directions * self.prompts

    def to_json(self) -> dict[str, Any]:
        return {"directions": self.directions, "prompts": self.prompts, "width": self.width}


def spread(survey: Survey, seed: int = 0) -> Spread:
    """The parts of the variance of VISAGE in a measured survey.

    Raises UsageError for a survey of one direction, or of fewer than 5 prompts.
    """
    codes = np.stack([landscape.outcomes for landscape in survey.landscapes])
    count, prompts = len(codes), codes.shape[-1]
    if count < 2 or prompts < 5:
        raise UsageError(
            f"{count} directions and {prompts} prompts do not show how much they differ.",
            "Measure at least 2 directions and 5 prompts first.",
        )
    flat = codes.reshape(count, -1, prompts)
    axes = [np.array(axis.values) for axis in survey.plane.axes]
    weights = measures.grid(measures.spacing, axes)
    judged = has_verdict(flat).astype(float)
    hits = np.isin(flat, COUNTED["asr"]).astype(float)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(prompts, np.full(prompts, 1 / prompts), REPLICATES).astype(float)
    values = _visage(hits, judged, np.ones(prompts), weights)
    replicates = np.stack([_visage(hits, judged, draw, weights) for draw in drawn])
    by_prompt = float(replicates.mean(1).var())
    by_direction = float(values.var(ddof=1)) / count
    deviation = replicates - replicates.mean(1, keepdims=True)
    both = float(deviation.var(axis=0).sum()) / (count * (count - 1))
    value, means = float(values.mean()), replicates.mean(1)
    low, high = np.quantile(means, [0.5 - survey.level / 2, 0.5 + survey.level / 2])
    return Spread(
        direction=count * max(0.0, by_direction - both),
        prompt=prompts * max(0.0, by_prompt - both),
        both=count * prompts * both,
        directions=count,
        prompts=prompts,
        usual=usual_spread(value, (0.0, 100.0)),
        below=float(means.mean() - low),
        above=float(high - means.mean()),
        shift=float(means.mean()) - value,
    )


def _visage(hits: Array, judged: Array, counts: Array, weights: Array) -> Array:
    """VISAGE of each direction with every prompt counted so often: (directions,)."""
    n = judged @ counts
    asr = np.where(n > 0, (hits @ counts) / np.maximum(n, 1), 1.0)
    return measures.visage(asr, weights)


def options(
    found: Spread,
    width: float,
    directions: Sequence[int] = DIRECTIONS,
    prompts: Sequence[int] = PROMPTS,
    level: float = 0.95,
) -> tuple[Option, ...]:
    """For each number of directions the fewest prompts that give the width, the cheapest first.

    Raises UsageError for a width that is none.
    """
    if not (math.isfinite(width) and 0 < width <= 100):
        raise UsageError(
            f"A width of {width:g} points is wanted.", "Give one above 0 and up to 100."
        )
    ways = []
    for number in directions:
        for asked in prompts:
            expected = found.width(number, asked, level)
            if expected <= width:
                ways.append(Option(number, asked, expected))
                break
    return tuple(sorted(ways, key=lambda way: (way.answers, way.directions)))
