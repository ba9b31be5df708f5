"""A judge of which only the stored verdicts are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from safebasin.errors import JudgeError
from safebasin.exchange import Exchange, Verdict
from safebasin.judges.guards import GUARDS
from safebasin.judges.protocol import MEASURES, Measure

_OURS: dict[object, Measure] = {
    "outcome": "outcome",
    "coherence": "coherence",
    "refusal": "refusal",
    "keywords": "refusal",
    "rubric": "harm",
}
"""What each kind of judge measures, by the type in its specification."""


@dataclass(frozen=True)
class StoredJudge:
    """A judge whose verdicts a run holds; it reads those and judges nothing.

    `lacks` says in a sentence why it cannot judge here, and `remedy` what to do about it. `lacks`
    is empty where nothing is missing, as with a guard, whose model is only not loaded for reading.
    """

    name: str
    stored: Mapping[str, object]
    measures: Measure
    lacks: str = ""
    remedy: str = ""

    def spec(self) -> Mapping[str, object]:
        return self.stored

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """No verdicts; not to be stored, for the judge itself may still be asked."""
        return [Verdict(None, "not asked: name the judge with --judge") for _ in exchanges]

    def refusal(self) -> JudgeError:
        """What whoever wants new verdicts of it is told."""
        why = f" {self.lacks}" if self.lacks else ""
        return JudgeError(
            f"Of the judge '{self.name}' there are its stored verdicts alone.{why}",
            self.remedy or "Name it with --judge to have it judge.",
        )


def measures_of(spec: Mapping[str, object], recorded: str | None = None) -> Measure | None:
    """What the judge of a stored specification tells apart; None where nothing says it."""
    for known in MEASURES:
        if known == recorded:
            return known
    if spec.get("type") == "guard":
        guard = GUARDS.get(str(spec.get("guard")))
        return "harm" if guard is None else guard.measures
    return _OURS.get(spec.get("type"))
