"""Thresholds of coherence chosen on labelled answers, and their error rates."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from safebasin.errors import JudgeError
from safebasin.exchange import Exchange
from safebasin.judges.coherence import Coherence, Thresholds, nonwords
from safebasin.judges.lexicon import Lexicon
from safebasin.judges.origin_scale import surprise

if TYPE_CHECKING:
    from safebasin.landscape.intervals import Estimate


@dataclass(frozen=True)
class CalibrationReport:
    """How a coherence judge does on labelled answers.

    `missed` is the share of broken answers that were not recognised, `false_alarms` the share of
    fluent answers called incoherent, both from 0 to 1 with 95 % Wilson intervals; the four counts
    are the confusion table.
    """

    thresholds: Thresholds
    broken_flagged: int
    broken_passed: int
    fluent_flagged: int
    fluent_passed: int
    missed: Estimate
    false_alarms: Estimate


def evaluate(
    judge: Coherence, exchanges: Sequence[Exchange], broken: Sequence[bool]
) -> CalibrationReport:
    """The error rates of `judge` on labelled exchanges.

    Raises JudgeError where the labels do not fit the exchanges or are all alike.
    """
    from safebasin.landscape.intervals import (
        wilson,  # numpy, which listing the judges does not need
    )

    _check(exchanges, broken)
    flagged = [verdict.outcome == "incoherent" for verdict in judge.judge(exchanges)]
    pairs = list(zip(broken, flagged, strict=True))
    counts = Counter(pairs)
    return CalibrationReport(
        thresholds=judge.thresholds,
        broken_flagged=counts[True, True],
        broken_passed=counts[True, False],
        fluent_flagged=counts[False, True],
        fluent_passed=counts[False, False],
        missed=wilson(counts[True, False], counts[True, False] + counts[True, True]),
        false_alarms=wilson(counts[False, True], counts[False, True] + counts[False, False]),
    )


def calibrate(
    exchanges: Sequence[Exchange],
    broken: Sequence[bool],
    lexicon: Lexicon | None = None,
    start: Thresholds | None = None,
) -> tuple[Thresholds, CalibrationReport]:
    """Thresholds that err least on labelled exchanges, both kinds of error weighing the same.

    Chosen are `max_nll`, a cut in nats for the model whose answers these are, over the exchanges
    that have log-probabilities, and the non-words', over all that have enough words; the limits
    of repetition stay those of `start`. Exchanges that repetition decides are left out of the
    choice. The report is on the same exchanges and so slightly optimistic; `evaluate` other ones
    for a fair number. Raises JudgeError where the labels do not fit the exchanges or are all
    alike.
    """
    _check(exchanges, broken)
    chosen = start or Thresholds()
    by_repetition = Coherence(None, replace(chosen, factor=None, max_nll=None, max_nonwords=None))
    open_cases = [
        (exchange, label)
        for exchange, label in zip(exchanges, broken, strict=True)
        if by_repetition.breaks(exchange) is None
    ]
    surprises = [
        (found, label)
        for exchange, label in open_cases
        if (found := surprise(exchange)) is not None
    ]
    max_nll = _cut(surprises)
    if max_nll is not None:
        chosen = replace(chosen, max_nll=max_nll)
    if lexicon is not None:
        shares = [
            (share, label)
            for exchange, label in open_cases
            if (share := nonwords(exchange.response, lexicon, chosen.min_words)) is not None
        ]
        max_nonwords = _cut(shares)
        if max_nonwords is not None:
            chosen = replace(chosen, max_nonwords=max_nonwords)
    return chosen, evaluate(Coherence(lexicon, chosen), exchanges, broken)


def _check(exchanges: Sequence[Exchange], broken: Sequence[bool]) -> None:
    if len(exchanges) != len(broken):
        raise JudgeError(
            f"There are {len(exchanges)} exchanges but {len(broken)} labels.",
            "Give one label an exchange.",
        )
    if all(broken) or not any(broken):
        raise JudgeError(
            "The labels are all alike.", "Give answers of both kinds, broken and fluent."
        )


def _cut(scored: Sequence[tuple[float, bool]]) -> float | None:
    """The cut above which "broken" errs least, midway between two scores; None without a choice."""
    finite = sorted((score, label) for score, label in scored if math.isfinite(score))
    positives = sum(label for _, label in finite)
    negatives = len(finite) - positives
    if not positives or not negatives:
        return None
    best, cut = math.inf, None
    missed, alarms = 0, negatives
    for (score, label), (following, _) in pairwise(finite):
        missed += label
        alarms -= not label
        error = missed / positives + alarms / negatives
        if score < following and error < best:
            best, cut = error, (score + following) / 2
    return cut
