"""What a study of conditions is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from safebasin.conditions.system_prompts import SYSTEM_PROMPTS
from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import described, setting

ALL = tuple(SYSTEM_PROMPTS)


@described
@dataclass(frozen=True)
class ConditionsConfig:
    """Everything that `conditions` can be told.

    Of the scan, the system message is not used.
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    systems: tuple[str, ...] = setting(
        ALL,
        "template, default, role-play, safety (all four by default), empty, peng2024:NAME, or a "
        "text file; repeatable.",
        name="--system",
    )
    attacks: tuple[str, ...] = setting(
        (), "A published artefact, a suffix or a template; repeatable.", name="--attack", path=True
    )
    neighbourhood: float = setting(
        0.1, "How far out, in alpha, an attack is to be seen to stop working."
    )

    def __post_init__(self) -> None:
        if not self.systems:
            raise UsageError("No system prompt is named.", "Give at least --system template.")
        if self.scan.axes != 1:
            raise UsageError("Conditions are drawn as lines.", "Give --axes 1.")
        if not 0 < self.neighbourhood <= self.scan.radius:
            raise UsageError(
                f"The neighbourhood is {self.neighbourhood}, the radius {self.scan.radius}.",
                "Give a neighbourhood above 0 and up to the radius.",
            )

    def to_json(self) -> dict[str, Any]:
        return {
            "systems": list(self.systems),
            "attacks": list(self.attacks),
            "neighbourhood": self.neighbourhood,
            "scan": self.scan.to_json(),
        }
