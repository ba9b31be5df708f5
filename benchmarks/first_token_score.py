"""Does the first-token score rank points as the ASR of generated answers does?

The packaged model along the three default directions: the same prompts at the same points, once
by a single pass for the first token and once by whole answers and the keyword judge. Also: how
many points a line an adaptive scan takes for its edges, with the score and without, replayed on
the measured answers.

    python benchmarks/first_token_score.py --out benchmarks/results/first_token_score.json
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, spearmanr

from safebasin.config import ScanConfig
from safebasin.landscape import Landscape, Survey
from safebasin.plane import Axis, Point
from safebasin.scanning.adaptive import coarse_steps, edges, grain_of, is_open, lines, next_values
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.scanning.scout import Scout

Numbers = NDArray[np.float64]


def rank_correlation(score: Numbers, asr: Numbers, seed: int) -> dict[str, Any]:
    """Spearman's coefficient with a percentile bootstrap interval over points."""

    def coefficient(first: Numbers, second: Numbers) -> float:
        return float(spearmanr(first, second).statistic)

    found = bootstrap(
        (score, asr), coefficient, paired=True, vectorized=False, n_resamples=2000,
        method="percentile", rng=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = found.confidence_interval
    return {
        "value": coefficient(score, asr), "low": float(low), "high": float(high),
        "points": len(score),
    }  # fmt: skip


def correlations(each: Sequence[tuple[Numbers, Numbers]], seed: int) -> dict[str, Any]:
    """(score, asr) of every direction: each alone, all together, and the points in between.

    The origin, which is in the middle of every line, is one point of all.
    """
    distinct = [
        part if i == 0 else tuple(np.delete(numbers, len(numbers) // 2) for numbers in part)
        for i, part in enumerate(each)
    ]
    score, asr = (np.concatenate(parts) for parts in zip(*distinct, strict=True))
    between = (asr > 0) & (asr < 1)
    return {
        "each": [rank_correlation(one, other, seed) for one, other in each],
        "all": rank_correlation(score, asr, seed),
        "asr_neither_0_nor_1": rank_correlation(score[between], asr[between], seed),
    }


def replay(
    whole: Survey, config: ScanConfig, edge_tolerance: float, scores: Callable[[str, float], float]
) -> dict[str, Any]:
    """The values a line that an adaptive scan takes, by answers that were measured already."""
    values = list(Axis.symmetric("", config.radius, coarse_steps(config.steps)).values)
    grain = grain_of(config.radius, config.steps, edge_tolerance)
    rounds = 0
    while True:
        found = edges(restricted(whole, values), config.tolerance)
        new = next_values(found, values, 10_000, edge_tolerance, grain, scores)
        if not new:
            return {
                "values": len(values), "rounds": rounds,
                "known": not any(is_open(edge, edge_tolerance) for edge in found),
            }  # fmt: skip
        values, rounds = sorted([*values, *new]), rounds + 1


def restricted(whole: Survey, values: Sequence[float]) -> Survey:
    """The survey of some of the values of its lines."""
    [axis] = whole.plane.axes
    places = [int(np.argmin(np.abs(np.array(axis.values) - value))) for value in values]
    parts = []
    for landscape in whole.landscapes:
        [plane] = lines(landscape.plane.directions, values)
        outcomes = landscape.outcomes[places]
        parts.append(Landscape(plane, landscape.judge, landscape.prompt_ids, outcomes))
    return Survey(tuple(parts), replicates=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", type=Path, help="keep the scan in this folder, or resume it")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.run or Path(temporary) / "run"
        config = ScanConfig(
            steps=80, judges=("llm-landscape",), device="cpu", workers=1, out=str(folder)
        )
        prepared = prepare(config)
        survey = scan(prepared).surveys["llm-landscape"]
    scout = Scout.of(prepared)
    begun = time.process_time()
    scout.masses(prepared.points)
    seconds = time.process_time() - begun
    each = []
    for landscape in survey.landscapes:
        score = np.array([scout.score(point) for point in landscape.plane.points])
        each.append((score, landscape.asr))
    usual = replace(config, steps=20)
    by_score = partial(score_at, scout)
    result = {
        "model": prepared.checkpoint.name,
        "prompts": f"{prepared.prompts.name} ({len(prepared.prompts)})",
        "directions": list(config.direction_names),
        "points": len(prepared.points),
        "openers": scout.openers(),
        "cpu_seconds_of_scoring": round(seconds, 1),
        "seed": given.seed,
        "correlation": correlations(each, given.seed),
        "adaptive": [
            {
                "edge_tolerance": tolerance,
                "even_values": 2 * math.ceil(config.radius / tolerance - 1e-9) + 1,
                "by_score_and_asr": replay(survey, usual, tolerance, by_score),
                "by_asr": replay(survey, usual, tolerance, lambda name, value: math.nan),
            }
            for tolerance in (0.05, 0.025, 0.0125)
        ],
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["correlation"], indent=1), json.dumps(result["adaptive"], indent=1))


def score_at(scout: Scout, name: str, value: float) -> float:
    return scout.score(Point.of({name: value}))


if __name__ == "__main__":
    main()
