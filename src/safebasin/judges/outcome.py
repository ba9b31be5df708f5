"""Refused, complied or incoherent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from safebasin.exchange import Exchange, Verdict
from safebasin.judges.coherence import Coherence
from safebasin.judges.protocol import Judge, Measure
from safebasin.judges.refusal import RefusalJudge


@dataclass(frozen=True)
class OutcomeJudge:
    """Incoherent where `coherence` says so (a garbled refusal too), else what `refusal` says.

    An answer that was cut off in its thought is not judged, unless the thought itself is broken.
    """

    refusal: Judge = field(default_factory=RefusalJudge)
    coherence: Judge = field(default_factory=Coherence)

    @property
    def name(self) -> str:
        return "outcome"

    @property
    def measures(self) -> Measure:
        return "outcome"

    def spec(self) -> Mapping[str, object]:
        return {
            "type": "outcome",
            "name": self.name,
            "refusal": dict(self.refusal.spec()),
            "coherence": dict(self.coherence.spec()),
        }

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        coherence = self.coherence.judge(exchanges)
        refusal = self.refusal.judge(exchanges)
        return [
            broken if broken.outcome == "incoherent" else replace(read, score=broken.score)
            for broken, read in zip(coherence, refusal, strict=True)
        ]
