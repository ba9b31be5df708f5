"""What a search for the worst direction is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import described, setting


@described
@dataclass(frozen=True)
class WorstCaseConfig:
    """Everything that `worst-case` can be told.

    Of the scan, `radius` and `steps` span the lines, whose positive half is measured; `seeds` are
    random directions beside them; and `limit` prompts measure what the search found.
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    ball: float = setting(0.1, "The search stays within this share of each tensor's norm.")
    iterations: int = setting(10, "Steps of the ascent.")
    restarts: int = setting(2, "Attempts from random noise, besides that from the origin.")
    search: int = setting(24, "Prompts that the search sees; others measure what it found.")
    aligned_from: str | None = setting(
        None, "The base it was aligned from: measures the alignment direction too."
    )
    refine: int = setting(4, "Finer places where a line leaves the basin, three times over.")

    def __post_init__(self) -> None:
        if self.scan.shard is not None:
            raise UsageError(
                "Each step of the search, and each finer place, follows from the ones before: it "
                "cannot be split into shards.",
                "Give --workers; or search without --shard, and measure what it saved with "
                "scan --directions FILE --shard i/N.",
            )
        if not 0 < self.ball <= self.scan.radius:
            raise UsageError(
                f"The ball is {self.ball}, the radius of the lines {self.scan.radius}.",
                "Give a ball above 0 and up to the radius.",
            )
        for name, value, least in (
            ("iterations", self.iterations, 1),
            ("restarts", self.restarts, 0),
            ("search prompts", self.search, 1),
            ("finer places", self.refine, 0),
            ("steps", self.scan.steps, 2),
        ):
            if value < least:
                raise UsageError(f"The number of {name} is {value}.", f"Give at least {least}.")

    def to_json(self) -> dict[str, Any]:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "scan"}
        return {**own, "scan": self.scan.to_json()}
