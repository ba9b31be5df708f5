"""From the records of a study to its answer: which measure goes with the ASR afterwards. No torch.

Every measure is turned so that more means safer (plain ASR is taken as 1 - ASR), and every outcome
is an ASR after a fine-tune: a measure that predicts has a coefficient near -1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from safebasin.prediction.association import (
    LEVEL,
    PERMUTATIONS,
    REPLICATES,
    Array,
    Groups,
    associate,
    holm,
    resampled,
    spearman_within,
)

Record = Mapping[str, Any]

MEASURES: dict[str, str] = {
    "visage": "VISAGE",
    "width": "basin width",
    "area": "area",
    "worst_case": "worst-case length",
    "first_token": "first-token score",
    "plain": "plain ASR",
}
"""Key in a record (`plain` is 1 - plain_asr) -> name for people."""

OUTCOMES: dict[str, str] = {"harmful": "harmful", "mixture": "mixture", "benign": "benign"}
WELL_ALIGNED = 0.10
"""The plain ASR up to which a checkpoint counts as well aligned."""


@dataclass(frozen=True)
class View:
    """One way to ask the question.

    `aligned_only` leaves out checkpoints with a plain ASR above WELL_ALIGNED; `beyond_plain` takes
    what the plain ASR leaves open; `score` is what counts after a fine-tune: `keyword_asr`, or the
    share of exact coherent `compliance`. With `by_alignment` the ways of aligning are what is
    resampled and shuffled, not the checkpoints.
    """

    name: str
    aligned_only: bool = False
    beyond_plain: bool = False
    score: str = "keyword_asr"
    by_alignment: bool = False

    @property
    def measures(self) -> list[str]:
        return [name for name in MEASURES if not (self.beyond_plain and name == "plain")]


VIEWS = (
    View("all"),
    View("well_aligned", aligned_only=True),
    View("beyond_plain", beyond_plain=True),
    View("by_alignment", by_alignment=True),
    View("compliance", score="compliance"),
    View("well_aligned_compliance", aligned_only=True, score="compliance"),
)


def measured(records: Sequence[Record], name: str) -> Array:
    """(n,): a measure of each checkpoint, turned so that more means safer."""
    if name == "plain":
        return np.array([1.0 - record["before"]["plain_asr"] for record in records])
    return np.array([record["before"][name] for record in records], dtype=np.float64)


def outcome(
    records: Sequence[Record], name: str, score: str = "keyword_asr", seed: int | None = None
) -> Array:
    """(n,): a share after the fine-tunes whose name begins so, the mean over them and their seeds.

    With `seed` only the fine-tunes of that training seed.
    """
    return np.array(
        [
            np.mean(
                [
                    one[score]
                    for tune, found in record["after"].items()
                    if tune == name or tune.startswith(f"{name}-")
                    for one in found
                    if seed is None or one["seed"] == seed
                ]
            )
            for record in records
        ]
    )


def groups(records: Sequence[Record]) -> Groups:
    """(n,): the base of each checkpoint."""
    return np.array([record["base"] for record in records])


def kinds(records: Sequence[Record]) -> Groups:
    """(n,): the way in which each checkpoint was aligned."""
    return np.array([record["name"].removeprefix(f"{record['base']}-") for record in records])


def is_well_aligned(record: Record) -> bool:
    return bool(record["before"]["plain_asr"] <= WELL_ALIGNED)


def analyse(records: Sequence[Record], seed: int = 0) -> dict[str, Any]:
    """Everything that the page says, as JSON values; None where a number is not defined.

    Within a view the p-values are corrected by Holm over all its measures and outcomes.
    """
    aligned = [record for record in records if is_well_aligned(record)]
    return {
        "level": LEVEL,
        "bootstrap_samples": REPLICATES,
        "permutations": PERMUTATIONS,
        "seed": seed,
        "checkpoints": len(records),
        "well_aligned": len(aligned),
        "spread": {
            group: _spread(part) for group, part in (("all", records), ("well_aligned", aligned))
        },
        "repeatability": {
            name: _rounded(_repeatability(aligned, name)) if aligned else None for name in OUTCOMES
        },
        "views": {view.name: _view(_chosen(records, view), view, seed)
                  for view in VIEWS},
        "by_tune": {
            tune: {
                name: _associated(aligned, name, tune, seed) for name in MEASURES
            }
            for tune in records[0]["after"]
        },
        "by_base": {
            group: {
                base: {
                    name: _value(measured(own, name), outcome(own, "harmful"), groups(own))
                    for name in MEASURES
                }
                for base in dict.fromkeys(groups(part).tolist())
                for own in ([one for one in part if one["base"] == base],)
            }
            for group, part in (("all", records), ("well_aligned", aligned))
        },
        "against_plain": {
            group: {
                name: _against_plain(part, name, seed) for name in MEASURES if name != "plain"
            }
            for group, part in (("all", records), ("well_aligned", aligned))
        },
        "without_one_alignment": {
            group: {name: _without_one(part, name) for name in MEASURES}
            for group, part in (("all", records), ("well_aligned", aligned))
        },
        "across_bases": {
            name: _value(
                measured(records, name), outcome(records, "harmful"), np.zeros(len(records))
            )
            for name in MEASURES
        },
        "pairs": {
            group: {name: _pairs(part, name) for name in MEASURES}
            for group, part in (("all", records), ("well_aligned", aligned))
        },
    }  # fmt: skip


def _chosen(records: Sequence[Record], view: View) -> list[Record]:
    """The checkpoints of a view; by alignment, those aligned in a way that every base has."""
    if view.aligned_only:
        return [record for record in records if is_well_aligned(record)]
    if view.by_alignment:
        bases, each = len(set(groups(records).tolist())), kinds(records)
        return [r for r, kind in zip(records, each, strict=True) if sum(each == kind) == bases]
    return list(records)


def _without_one(records: Sequence[Record], name: str) -> list[float | None]:
    """The least and the greatest coefficient where one way of aligning is left out, harmful."""
    each = kinds(records)
    found = []
    for kind in dict.fromkeys(each.tolist()):
        rest = [record for record, own in zip(records, each, strict=True) if own != kind]
        found.append(_value(measured(rest, name), outcome(rest, "harmful"), groups(rest)))
    known = [value for value in found if value is not None]
    return [min(known), max(known)] if known else [None, None]


def _view(records: Sequence[Record], view: View, seed: int) -> dict[str, dict[str, Any]]:
    group = groups(records)
    given = measured(records, "plain") if view.beyond_plain else None
    block = kinds(records) if view.by_alignment else None
    found = {
        (after, name): associate(
            measured(records, name), outcome(records, after, view.score), group, seed, given, block
        )
        for after in OUTCOMES
        for name in view.measures
    }
    adjusted = dict(zip(found, holm([one.p for one in found.values()]), strict=True))
    return {
        after: {
            name: {**found[after, name].to_json(), "adjusted": _rounded(adjusted[after, name])}
            for name in view.measures
        }
        for after in OUTCOMES
    }


def _associated(records: Sequence[Record], name: str, after: str, seed: int) -> dict[str, Any]:
    found = associate(measured(records, name), outcome(records, after), groups(records), seed)
    return found.to_json()


def _against_plain(records: Sequence[Record], name: str, seed: int) -> dict[str, Any]:
    """How much lower than that of plain ASR the coefficient is, on the harmful fine-tunes.

    Below 0 the measure predicts better. The interval is a paired bootstrap's.
    """
    group, after = groups(records), outcome(records, "harmful")
    own, plain = measured(records, name), measured(records, "plain")
    drawn = resampled(group, seed)
    value = spearman_within(own, after, group) - spearman_within(plain, after, group)
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    each = spearman_within(own[drawn], after[drawn], group) - spearman_within(
        plain[drawn], after[drawn], group
    )
    low, high = np.nanquantile(each, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return {"value": _rounded(value), "low": _rounded(low), "high": _rounded(high)}


def _repeatability(records: Sequence[Record], name: str) -> float:
    """How well one training seed's ranking of the checkpoints predicts another's.

    The mean coefficient within bases over pairs of seeds: what a single fine-tune can be predicted
    to at best is of this order.
    """
    seeds = sorted(
        {
            one["seed"]
            for tune, found in records[0]["after"].items()
            if tune.startswith(name)
            for one in found
        }
    )
    each = [outcome(records, name, seed=seed) for seed in seeds]
    found = [spearman_within(a, b, groups(records)) for a, b in combinations(each, 2)]
    return float(np.mean(found)) if found else float("nan")


def _pairs(records: Sequence[Record], name: str) -> dict[str, Any]:
    """How many of the pairs of one base that differ in both the measure puts in the right order."""
    own, after, group = measured(records, name), outcome(records, "harmful"), groups(records)
    signs = [
        np.sign(own[i] - own[j]) * np.sign(after[i] - after[j])
        for i, j in combinations(range(len(records)), 2)
        if group[i] == group[j]
    ]
    compared, right = (int(np.sum(test)) for test in (np.array(signs) != 0, np.array(signs) < 0))
    return {"pairs": len(signs), "compared": compared, "right": right}


def _spread(records: Sequence[Record]) -> dict[str, Any]:
    """The least, the median and the greatest value of every measure and outcome."""
    if not records:
        return {}
    values = {name: measured(records, name) for name in MEASURES}
    values |= {f"after_{name}": outcome(records, name) for name in OUTCOMES}
    return {
        name: [_rounded(v) for v in (one.min(), np.median(one), one.max())]
        for name, one in values.items()
    }


def _value(first: Array, second: Array, group: Groups) -> float | None:
    return _rounded(float(spearman_within(first, second, group)))


def _rounded(value: Any) -> float | None:
    return None if value is None or np.isnan(value) else round(float(value), 5)
