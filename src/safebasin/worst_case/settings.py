"""What a search for the worst direction is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from safebasin.config import ScanConfig
from safebasin.errors import UsageError


@dataclass(frozen=True)
class WorstCaseConfig:
    """Everything that `worst-case` can be told.

    scan        the model and how it is asked; `scan.radius` and `scan.steps` span the lines, whose
                positive half is measured, and `scan.seeds` are random directions beside them
    ball        the search stays within this share of the norm of every tensor
    iterations  steps of the ascent; restarts begin at random noise besides the origin
    search      prompts that the search sees; `scan.limit` others measure what it found
    aligned_from  the base that the model was aligned from, for the alignment direction
    refine      finer places where a line leaves the basin, three times over
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    ball: float = 0.1
    iterations: int = 10
    restarts: int = 2
    search: int = 24
    aligned_from: str | None = None
    refine: int = 4

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
        own = {
            name: getattr(self, name)
            for name in ("ball", "iterations", "restarts", "search", "aligned_from", "refine")
        }
        return {**own, "scan": self.scan.to_json()}
