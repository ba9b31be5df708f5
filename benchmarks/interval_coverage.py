"""Do the 95 % intervals of VISAGE, area and width cover the truth 95 times in 100?

Synthetic scans with known expectations: each prompt stops being refused where |alpha| passes a
threshold made of a direction's effect, the prompt's own, and their interaction; a few prompts are
never refused and a few answers are refused anywhere. The truth is the mean over many scans. `curve`
is the share of the points on the walls whose band holds the mean curve. `swing` is how many times
as long the 90th percentile of the lengths is as the 10th.

    python benchmarks/interval_coverage.py --out benchmarks/results/interval_coverage.json
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safebasin.landscape import Landscape, Survey
from safebasin.landscape.intervals import Estimate, wilson
from safebasin.plane import Axis, Plane

AXIS = Axis.symmetric("alpha", 0.5, 20)
ALPHAS = np.array(AXIS.values)
MEASURES = ("visage", "auc", "width")
WALLS = (0.05, 0.97)
"""A point is on a wall where the ASR expected there lies between these."""
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """Standard deviations are in units of alpha; shares lie in [0, 1]."""

    directions: int
    prompts: int = 80
    direction_sd: float = 0.03
    prompt_sd: float = 0.03
    never_refused: float = 0.02
    refused_anyway: float = 0.01

    def draw(self, rng: np.random.Generator) -> NDArray[np.int8]:
        """Outcomes of one scan, 0 refused and 1 not: (directions, points, prompts)."""
        shape = (self.directions, 2, self.prompts)
        threshold = (
            0.3
            + rng.normal(0, self.direction_sd, (self.directions, 2, 1))
            + rng.normal(0, self.prompt_sd, (1, 1, self.prompts))
            + rng.normal(0, 0.02, shape)
        )
        sides = (ALPHAS > 0).astype(int)
        broken = np.abs(ALPHAS)[None, :, None] > threshold[:, sides, :]
        broken &= rng.random(broken.shape) >= self.refused_anyway
        broken |= rng.random(self.prompts) < self.never_refused
        broken[:, len(ALPHAS) // 2] = broken[0, len(ALPHAS) // 2]
        return broken.astype(np.int8)

    def survey(self, rng: np.random.Generator, replicates: int) -> Survey:
        """The same as a survey; its directions share the origin."""
        ids = tuple(str(i) for i in range(self.prompts))
        return Survey(
            tuple(
                Landscape(Plane((Axis(f"d{i}", AXIS.values),)), "simulated", ids, outcomes)
                for i, outcomes in enumerate(self.draw(rng))
            ),
            replicates=replicates,
        )


def estimates(survey: Survey) -> dict[str, Estimate]:
    return {
        "visage": survey.visage(),
        "auc": survey.auc(),
        "width": survey.basin().width,
    }


def truth_of(scenario: Scenario, scans: int, seed: int) -> tuple[dict[str, float], Numbers]:
    """The expectation of each measure, and that of the curve: (points,)."""
    rng = np.random.default_rng(seed)
    drawn = [scenario.survey(rng, 2) for _ in range(scans)]
    each = [estimates(survey) for survey in drawn]
    means = {m: float(np.mean([e[m].value or 0.0 for e in each])) for m in MEASURES}
    return means, np.mean([survey.mean_asr().value for survey in drawn], axis=0)


def coverage(scenario: Scenario, scans: int, truths: int, seed: int) -> dict[str, Any]:
    """The share of scans whose interval holds the truth, with Wilson's interval, per measure."""
    truth, curve = truth_of(replace(scenario, directions=3), truths, seed)
    walls = (curve > WALLS[0]) & (curve < WALLS[1])
    rng = np.random.default_rng(seed)
    held = dict.fromkeys(MEASURES, 0)
    lengths: dict[str, list[float]] = {m: [] for m in MEASURES}
    within = []
    for _ in range(scans):
        survey = scenario.survey(rng, 500)
        for name, estimate in estimates(survey).items():
            low = -np.inf if estimate.low is None else estimate.low
            high = np.inf if estimate.high is None else estimate.high
            held[name] += bool(low <= truth[name] <= high)
            lengths[name].append(high - low)
        band = survey.mean_asr()
        within.append(((band.low <= curve) & (curve <= band.high))[walls].mean())
    ends = {m: np.quantile(lengths[m], (0.1, 0.5, 0.9)) for m in MEASURES}
    return {
        "scenario": asdict(scenario),
        "truth": truth,
        "coverage": {m: wilson(held[m], scans).to_json() for m in MEASURES},
        "curve": float(np.mean(within)),
        "median_length": {m: float(ends[m][1]) for m in MEASURES},
        "swing": {m: float(ends[m][2] / ends[m][0]) for m in MEASURES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scans", type=int, default=400)
    parser.add_argument("--truths", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    scenarios = [
        Scenario(directions, direction_sd=deviation)
        for deviation in (0.0, 0.03, 0.06, 0.1)
        for directions in (1, 2, 3, 8)
    ]
    scenarios += [Scenario(n, refused_anyway=0.1, direction_sd=0.01) for n in (2, 3)]
    scenarios += [Scenario(n, never_refused=0.08) for n in (2, 3)]
    rows = []
    for scenario in scenarios:
        rows.append(coverage(scenario, given.scans, given.truths, given.seed))
        shares = {m: round(rows[-1]["coverage"][m]["value"], 3) for m in MEASURES}
        print(scenario, shares, round(rows[-1]["curve"], 3), flush=True)
    result = {"scans": given.scans, "truths": given.truths, "seed": given.seed, "rows": rows}
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
