"""A committed result of benchmarks/attribution.py, and how its numbers are worded."""

from __future__ import annotations

from typing import Any

import numpy as np
from attribution_numbers import kl, less, letters, mean
from page_text import rows

from safebasin.landscape import Estimate

PARTS = ("attention", "mlp")
UNMEASURED = "not measured"


class Found:
    """The cases of a result, by what they are of."""

    def __init__(self, result: Any) -> None:
        self.plan, self.cases = result["plan"], result["cases"]

    def seeds(self, kind: str, method: str, setting: str) -> list[Any]:
        """The cases of every calibration seed that was measured."""
        head = f"{kind}/{method}/{setting}/"
        return [case for name, case in self.cases.items() if name.startswith(head)]

    def paired(self, one: str, other: str) -> tuple[list[Any], list[Any]]:
        """The cases beneath two heads, of the seeds that both were measured with."""
        a, b = self.beneath(f"{one}/"), self.beneath(f"{other}/")
        both = [seed for seed in a if seed in b]
        return [a[seed] for seed in both], [b[seed] for seed in both]

    def settings(self, kind: str, method: str) -> list[str]:
        head = f"{kind}/{method}/"
        names = [name[len(head) :] for name in self.cases if name.startswith(head)]
        return list(dict.fromkeys(name.rpartition("/")[0] for name in names))

    def beneath(self, head: str) -> dict[str, Any]:
        return {k[len(head) :]: case for k, case in self.cases.items() if k.startswith(head)}

    def less(self, one: str, other: str, field: str, letter: str) -> Estimate:
        """How much more often an answer is of a kind in the cases of one head than of another."""
        own, control = self.paired(one, other)
        if not own:
            return Estimate(None, note=UNMEASURED)
        return less(*(letters(cases, field, letter) for cases in (own, control)))


def percent(one: Estimate, digits: int = 1) -> str:
    if one.value is None:
        return "not judged"
    low, high = (one.value if end is None else end for end in (one.low, one.high))
    value, a, b = (f"{100 * v:.{digits}f}" for v in (one.value, low, high))
    return f"{value} % ({a} to {b})"


def points(one: Estimate, digits: int = 1) -> str:
    if one.value is None:
        return UNMEASURED if one.note == UNMEASURED else "not judged"
    low, high = (one.value if end is None else end for end in (one.low, one.high))
    value, a, b = (f"{100 * v:+.{digits}f}" for v in (one.value, low, high))
    return f"{value} ({a} to {b})"


def spread(one: Estimate) -> str:
    if one.value is None:
        return "-"
    return f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f})"


def asr(cases: list[Any]) -> str:
    """By the paper's keywords."""
    return percent(mean(letters(cases, "keywords", "c")))


def effects(what: str, lines: list[tuple[str, list[Any], str]]) -> str:
    """What the model does without something: of each removal its name, cases and control."""
    shares = any("taken" in case for _, cases, _ in lines for case in cases)
    header = [
        f"{what}, setting{', share of weights' if shares else ''}",
        "ASR",
        "refused / complied / incoherent, %",
        "over-refusal",
        "benign incoherent",
        "KL",
        "refused, less random",
    ]
    return rows(header, [_effect(*line) for line in lines])


def _effect(name: str, cases: list[Any], against: str) -> list[str]:
    taken = [case["taken"] / case["of"] for case in cases if "taken" in case]
    size = f", {100 * np.mean(taken):.2f} %" if taken else ""
    shares = " / ".join(
        f"{100 * np.nanmean(letters(cases, 'harmful', letter)):.0f}" for letter in "rci"
    )
    divergence = mean(kl(cases), (0.0, np.inf))
    moved = "no numbers" if divergence.value is None else f"{divergence.value:.3f}"
    return [
        f"{name}{size}",
        asr(cases),
        shares,
        percent(mean(letters(cases, "benign", "r"))),
        percent(mean(letters(cases, "benign", "i"))),
        moved,
        against,
    ]
