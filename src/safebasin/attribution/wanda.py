"""Wanda: how large a weight is, times how much flows through it."""

from __future__ import annotations

from typing import Any, ClassVar

from safebasin.attribution.base import NO_ROWS, Gives, HeldScores, require_rows, scores_of
from safebasin.subject.gathering import gather
from safebasin.subject.rows import Rows
from safebasin.subject.statistics import InputNorm
from safebasin.subject.subject import Subject


class Wanda:
    """I_ij = |W_ij|·‖X_j‖₂ (Sun et al., arXiv 2306.11695), X at the tokens of answers (Wei et al.).

    X_j holds what enters at input j where the token itself is one of an answer, its end token
    included.
    """

    kind: ClassVar[str] = "wanda"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 2.1"
    gives: ClassVar[Gives] = "scores"

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> HeldScores:
        require_rows(safety, utility)
        found = {}
        for layer, statistic in gather(subject, safety.rows, InputNorm, where="answer"):
            own = layer.of(subject.weights.pristine(layer.parameter.name))
            found[layer] = own.float().abs() * statistic.result().to(own.device)
        return scores_of(self, subject, safety, found)
