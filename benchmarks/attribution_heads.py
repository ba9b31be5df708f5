"""The cases of benchmarks/attribution.py that are about heads: their scores, and removing some."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random as Draw
from typing import TYPE_CHECKING, Any

import torch

from safebasin.attribution.probe import Probe
from safebasin.attribution.units import SUMMED, Places, Unit, Units, UnitScores
from safebasin.directions import Pruned

if TYPE_CHECKING:
    from attribution_cases import Laboratory

BY = ("mean-ablation", "zero-ablation", "snip", "wanda")
REMOVED = ("probe", "zero-ablation", "random")


def heads(lab: Laboratory) -> Iterator[str]:
    """The scores of all heads, and the model without some: the highest, or random ones."""
    if not lab.plan.heads:
        return
    known: dict[tuple[str, int], UnitScores] = {}
    for by in BY:
        yield from lab.case(f"units/{by}", lambda b=by: {"heads": _plain(_located(lab, b, 0))})
    yield from lab.case("probe", lambda: {"heads": _plain(_located(lab, "probe", 0))})
    for seed in lab.plan.head_seeds:
        for by in REMOVED:
            for count in lab.plan.heads:

                def without(b: str = by, n: int = count, s: int = seed) -> dict[str, Any]:
                    if b != "random" and (b, s) not in known:
                        known[b, s] = _known(lab, b) if s == 0 else _located(lab, b, s)
                    places = Places.among(lab.subject, "heads")
                    chosen = drawn(places, n, s) if b == "random" else known[b, s].top(1.0)[:n]
                    mask = places.mask(chosen)
                    own = {"heads": len(places.units), "taken": mask.count, "of": mask.numel}
                    return {**own, **lab.effect(Pruned(mask, lab.subject.weights))}

                yield from lab.case(f"heads/{by}/{count}/{seed}", without)


def _located(lab: Laboratory, by: str, seed: int) -> UnitScores:
    rows = [lab.rows(source, seed) for source in ("safety", "utility")]
    if by == "probe":
        return Probe("heads", seed).locate(lab.subject, *rows)
    if by in SUMMED:
        return Units("heads", by).locate(lab.subject, *rows)  # type: ignore[arg-type]
    few = [one.first(lab.plan.ablated) for one in rows]
    return Units("heads", by, lab.plan.objective).locate(lab.subject, *few)  # type: ignore[arg-type]


def drawn(places: Places, count: int, seed: int) -> list[Unit]:
    """Random units, the same ones whatever is measured of them."""
    return Draw(f"{places.of} {seed}").sample(places.units, len(places.units))[:count]


def _known(lab: Laboratory, by: str) -> UnitScores:
    """The scores of the first seed, as they were measured already."""
    stored = lab.known["probe" if by == "probe" else f"units/{by}"]["heads"]
    scores = {int(block): torch.tensor(row) for block, row in stored.items()}
    return UnitScores(by, Places.among(lab.subject, "heads"), scores, {})


def _plain(found: UnitScores) -> dict[str, Any]:
    return {str(b): [round(float(v), 6) for v in s] for b, s in found.scores.items()}
