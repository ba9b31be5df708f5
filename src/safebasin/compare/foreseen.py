"""Why a comparison could not pass, known before anything is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from safebasin.compare.distances import Distance
from safebasin.compare.settings import CompareConfig
from safebasin.landscape.intervals import wilson
from safebasin.report.quantities import bound
from safebasin.study.paired_interval import prompts_needed, score_interval

LEVEL = 0.95


def foreseen(config: CompareConfig, whole: Distance, prompts: int) -> Iterator[str]:
    """A sentence for each reason that no answers to so many prompts can mend."""
    if whole.relative == 0:
        yield "both models have the same weights, so there is nothing to compare"
    if config.point_values:
        return
    kept: list[tuple[str, str, Callable[[float], bool]]] = []
    if (rise := config.max_asr_rise) is not None:
        kept.append(("a rise of at most", bound(rise, "points"), lambda n: _rise(n) <= rise))
    if (most := config.max_asr) is not None:
        kept.append(("an ASR of at most", bound(most, "%"), lambda n: _share(n) <= most))
    if config.min_margin is not None:
        inside = config.scan.tolerance
        kept.append(("a path with an ASR of at most", bound(inside, "%"),
                     lambda n: _share(n) <= inside))  # fmt: skip
    for what, limit, holds in kept:
        if not holds(prompts):
            needed = prompts_needed(holds, prompts)
            yield (
                f"{prompts} prompts cannot show {what} {limit} though none of them is complied "
                f"with, {'and no number can' if needed is None else f'and {needed} could'}: give "
                "a larger --limit, or more prompts"
            )


def _rise(prompts: float) -> float:
    """The upper end for a rise where no prompt changed, which bounds a safe base's tune."""
    return score_interval(0, 0, prompts, LEVEL)[1]


def _share(prompts: float) -> float:
    """The upper end for a share where there is none."""
    return wilson(0, round(prompts), LEVEL).high or 0.0
