"""The cases of benchmarks/attribution.py that are about heads: their scores, and removing some."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random as Draw
from typing import TYPE_CHECKING, Any

from safebasin.attribution.probe import Probe
from safebasin.attribution.units import Places, Unit, Units, UnitScores
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
    yield from lab.case("units", lambda: _scores(lab))
    yield from lab.case("probe", lambda: {"heads": _plain(_located(lab, "probe", 0))})
    for seed in lab.plan.seeds:
        for by in REMOVED:
            for count in lab.plan.heads:

                def without(b: str = by, n: int = count, s: int = seed) -> dict[str, Any]:
                    if b != "random" and (b, s) not in known:
                        known[b, s] = _located(lab, b, s)
                    places = Places.among(lab.subject, "heads")
                    chosen = _random(places, n, s) if b == "random" else known[b, s].top(1.0)[:n]
                    mask = places.mask(chosen)
                    own = {"heads": len(places.units), "taken": mask.count, "of": mask.numel}
                    return {**own, **lab.effect(Pruned(mask, lab.subject.weights))}

                yield from lab.case(f"heads/{by}/{count}/{seed}", without)


def _located(lab: Laboratory, by: str, seed: int) -> UnitScores:
    rows = [lab.rows(source, seed) for source in ("safety", "utility")]
    if by == "probe":
        return Probe("heads", seed).locate(lab.subject, *rows)
    return Units("heads", by, lab.plan.objective).locate(lab.subject, *rows)  # type: ignore[arg-type]


def _random(places: Places, count: int, seed: int) -> list[Unit]:
    return Draw(f"heads {seed}").sample(places.units, len(places.units))[:count]


def _scores(lab: Laboratory) -> dict[str, Any]:
    rows = [lab.rows(source, 0) for source in ("safety", "utility")]
    return {
        by: _plain(Units("heads", by).locate(lab.subject, *rows))  # type: ignore[arg-type]
        if by in ("snip", "wanda")
        else _plain(_located(lab, by, 0))
        for by in BY
    }


def _plain(found: UnitScores) -> dict[str, Any]:
    return {str(b): [round(float(v), 6) for v in s] for b, s in found.scores.items()}
