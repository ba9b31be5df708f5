"""SNIP: what the loss would change by, to first order, if one weight were zero."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

from safebasin.attribution.base import NO_ROWS, Gives, HeldScores, require_rows, scores_of
from safebasin.errors import UsageError
from safebasin.subject.gathering import gather
from safebasin.subject.rows import Rows
from safebasin.subject.statistics import WeightGradient
from safebasin.subject.subject import Subject

Definition = Literal["paper", "code"]


class Snip:
    """I(W) = E_x |W ⊙ ∇_W L(x)| with L(x) = -log p(answer | prompt) (Wei et al., Sec. 2.1).

    The absolute value is taken of each row's gradient, before the mean over the rows.

    definition="paper"  L is the sum over the answer's tokens, and I the mean over the rows
    definition="code"   L is their mean, and I the sum over the rows: with answers of different
                        lengths another order of the weights
    """

    kind: ClassVar[str] = "snip"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 2.1"
    gives: ClassVar[Gives] = "scores"

    def __init__(self, definition: Definition = "paper") -> None:
        if definition not in ("paper", "code"):
            raise UsageError(f"SNIP has no definition '{definition}'.", "Give paper or code.")
        self.definition: Definition = definition

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "definition": self.definition}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> HeldScores:
        require_rows(safety, utility)
        paper = self.definition == "paper"
        found = {}
        for layer, statistic in gather(
            subject,
            safety.rows,
            partial(WeightGradient, absolute=True),
            where="all",
            gradients="sum" if paper else "mean",
        ):
            own = layer.of(subject.weights.pristine(layer.parameter.name))
            score = statistic.result().mul_(own.float().abs())
            found[layer] = score.div_(len(safety)) if paper else score
        return scores_of(self, subject, safety, found)
