"""The cases of benchmarks/attribution.py that are about neurons of MLPs, which are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attribution_heads import drawn

from safebasin.attribution.masks import count_of
from safebasin.attribution.units import SUMMED, Places, Units, ablated, mean_inputs
from safebasin.compare.divergence import (
    answered,
    divergence_at_tokens,
    log_probabilities,
    measured,
)
from safebasin.engines import Sampling
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.plane import Point

if TYPE_CHECKING:
    from attribution_cases import Laboratory

RANDOM = "random"
CHOSEN = (*SUMMED, RANDOM)
"""By what neurons are chosen: a real model has too many to ablate them one by one."""


def neurons(lab: Laboratory) -> Iterator[str]:
    """The model where some neurons give their mean: those of the highest scores, or random ones."""
    for seed in lab.plan.head_seeds:
        for by in CHOSEN:
            for share in lab.plan.neurons:
                yield from lab.case(
                    f"neurons/{by}/{share:g}/{seed}",
                    lambda b=by, s=seed, p=share: _without(lab, b, s, p),
                )


def _without(lab: Laboratory, by: str, seed: int, share: float) -> dict[str, Any]:
    """The mean is over the prompts of utility, as `units:neurons,mean-ablation` has it."""
    places = Places.among(lab.subject, "neurons")
    safety, utility = (lab.rows(source, seed) for source in ("safety", "utility"))
    if by == RANDOM:
        chosen = drawn(places, count_of(share, len(places.units)), seed)
    else:
        scores = Units("neurons", by).locate(lab.subject, safety)  # type: ignore[arg-type]
        chosen = list(scores.top(share))
    means = mean_inputs(lab.subject, places, utility)
    judge, plain = lab.judge, lab.engine.plain  # before anything is ablated
    rows = answered(plain, lab.everyday, Sampling(lab.plan.tokens))
    tokens = vocabulary_rows(plain.model)
    before = list(log_probabilities(plain, rows, tokens, keep=True))
    with ablated(places, chosen, means):
        told = lab.judged(lab.answers(Point()), judge)
        after = list(log_probabilities(plain, rows, tokens, keep=True))
    each = [
        measured(prompt.id, divergence_at_tokens(*pair)).mean
        for prompt, pair in zip(lab.everyday, zip(before, after, strict=True), strict=True)
    ]
    return {
        "neurons": len(places.units), "chosen": len(chosen), **told,
        "kl": [None if one is None else round(one, 5) for one in each],
    }  # fmt: skip
