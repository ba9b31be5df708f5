"""SCANS on the packaged model that over-refuses, beside what could refute it.

    python benchmarks/scans_over_refusing.py --out benchmarks/results/scans_over_refusing.json

The model is asked as it is, and then steered by vectors found with prompts of other topics, three
times with another sample of these; by drawn vectors as long; and by the same ones the other way.
Of every answer the verdict is kept, a letter each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from safebasin import prompts as prompt_sets
from safebasin.config import ScanConfig
from safebasin.defence_bench.measuring import Defended
from safebasin.defence_bench.settings import PACKAGED, BenchConfig
from safebasin.defence_bench.steered import as_long
from safebasin.defence_bench.yardstick import Yardstick
from safebasin.defences.base import Steering
from safebasin.defences.scans import Scans
from safebasin.defences.scans_fit import MOST, fit
from safebasin.exchange import Outcome
from safebasin.plane import Point

MODEL = "testbed:over-refusing"
SEEDS = (0, 1, 2)
"""Of the sample that the vectors and the threshold are found with."""
LETTERS: Mapping[Outcome | None, str] = {
    "refused": "r", "complied": "c", "incoherent": "i", None: "-",
}  # fmt: skip


def drawn(own: Scans, seed: int) -> Scans:
    generator = torch.Generator().manual_seed(seed)
    vectors = {block: as_long(v, generator) for block, v in sorted(own.vectors.items())}
    return replace(own, vectors=vectors)


STEERINGS: dict[str, Callable[[Scans, int], Scans]] = {
    "scans": lambda own, seed: own,
    "scans-random": drawn,
    "scans-opposite": lambda own, seed: replace(own, share=-own.share),
}


def answered(yard: Yardstick, steering: Scans | None) -> dict[str, Any]:
    """The letters of each judge's verdicts by set, in the order of the prompts.

    Broken text is told by the likelihood that the unsteered model gives an answer.
    """
    defended = Defended.of(yard.subject, None, steering=cast(Steering, steering), system=None)
    engine = defended.engine(yard, yard.judges)
    found: dict[str, Any] = {}
    for kind, asked in (("harmful", yard.harmful), ("benign", yard.benign)):
        prompts = () if asked is None else asked.prompts
        [(_, exchanges)] = engine.answers([Point()], prompts, yard.sampling)
        for judge in yard.judges:
            own = yard.outcomes(judge, prompts, exchanges, yard.subject.template)
            letters = "".join(LETTERS[own.get(one.id)] for one in prompts)
            found.setdefault(kind, {})[judge.name] = letters
    return found


def measured(limit: int) -> dict[str, Any]:
    config = BenchConfig(ScanConfig(model=MODEL, limit=limit), capability="none")
    yard = Yardstick.of(config)
    harmful, benign = (
        prompt_sets.load(name, unstated=kind)
        for name, kind in zip(PACKAGED["anchors"].split(","), ("harmful", "benign"), strict=True)
    )
    rows = [{"steering": "none", "seed": None, **answered(yard, None)}]
    fits = []
    for seed in SEEDS:
        own = fit(yard.subject, harmful.take(MOST, seed), benign.take(MOST, seed))
        told = own.spec()
        fits.append(
            {"seed": seed, **{key: told[key] for key in ("blocks", "threshold", "share", "values")}}
            | {key: own.found[key] for key in ("begin_so", "at_threshold", "balanced_accuracy")}
        )
        for name, steering in STEERINGS.items():
            rows.append({"steering": name, "seed": seed, **answered(yard, steering(own, seed))})
    return {
        "model": {
            "name": yard.subject.checkpoint.name,
            "fingerprint": yard.subject.checkpoint.fingerprint(),
        },
        "limit": limit,
        "anchors": {"sets": PACKAGED["anchors"], "prompts": MOST},
        "judges": {judge.measures: judge.name for judge in reversed(yard.judges)},
        "fits": fits,
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--limit", type=int, default=100, help="prompts of each kind")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.write_text(json.dumps(measured(given.limit), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
