"""The cases of benchmarks/attribution.py that are about layers: gaps, scaling, noise in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from safebasin.attribution.angles import AngularGap
from safebasin.attribution.kinds import named
from safebasin.attribution.refusing import Refusing, openers_of
from safebasin.directions import Gaussian, Restricted
from safebasin.subject.rows import Message, Row, Rows
from safebasin.subject.subject import Subject

if TYPE_CHECKING:
    from attribution_cases import Laboratory


def gaps(lab: Laboratory) -> Iterator[str]:
    """The angular gap by both definitions, of the model and of what it was aligned from."""
    base: list[Subject] = []
    for which in ("model", "base"):
        for definition in ("paper", "code"):

            def found(of: str = which, by: str = definition) -> dict[str, Any]:
                if of == "base" and not base:
                    base.append(Subject.load(lab.plan.base, device="cpu"))
                rows = [lab.rows(source, 0) for source in ("safety", "utility")]
                subject = base[0] if of == "base" else lab.subject
                return AngularGap(by).locate(subject, *rows).to_json()  # type: ignore[arg-type]

            yield from lab.case(f"gap/{which}/{definition}", found)


def scaling(lab: Laboratory) -> Iterator[str]:
    rows = [lab.rows(source, 0) for source in ("safety", "utility")]
    for method in lab.plan.scaling:

        def found(m: str = method) -> dict[str, Any]:
            searched: Any = named(f"scaling:{m}").locate(lab.subject, *rows)
            return dict(searched.to_json())

        yield from lab.case(f"scaling/{method}", found)


def openers(lab: Laboratory) -> Iterator[str]:
    """The probability of a refusal's first token on prompts that were not learnt from."""

    def found() -> dict[str, Any]:
        learnt = openers_of(lab.subject, "learnt-first-token", *_calibration(lab))
        asked = Rows(
            "harmful",
            tuple(
                Row((Message("user", one.text), Message("assistant", "No.")), one.id)
                for one in lab.asked["harmful"]
            ),
        )
        by_table, by_own = (Refusing(lab.subject, asked, openers=o) for o in (None, learnt))
        return _rounded({"table": by_table.each().tolist(), "learnt": by_own.each().tolist()})

    yield from lab.case("openers", found)


def noise(lab: Laboratory) -> Iterator[str]:
    """The probability of a refusal's first token where noise is in one interval of blocks."""
    safety, made = lab.rows("safety", 0), []
    for seed in lab.plan.directions:
        for first, last in lab.plan.intervals:

            def each(s: int = seed, i: int = first, j: int = last) -> dict[str, Any]:
                weights = lab.subject.weights
                if not made:
                    own = openers_of(lab.subject, lab.plan.objective, *_calibration(lab))
                    made.append(Refusing(lab.subject, safety, lab.plan.objective, own))
                [asked] = made
                direction = Restricted(Gaussian(s, weights), i, j, weights)
                found: dict[str, Any] = {"origin": asked.each().tolist()}
                for length in lab.plan.noise:
                    values = []
                    for sign in (-1, 1):
                        with weights.displaced([(sign * length, direction)]):
                            values.append(asked.each().tolist())
                    found[f"{length:g}"] = values
                return dict(_rounded(found))

            yield from lab.case(f"noise/{first}-{last}/{seed}", each)


def _calibration(lab: Laboratory) -> list[Rows]:
    return [lab.rows(source, 0) for source in ("safety", "utility")]


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 5) if np.isfinite(value) else None
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return {key: _rounded(one) for key, one in value.items()} if isinstance(value, dict) else value
