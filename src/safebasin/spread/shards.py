"""Shards: points divided among jobs that share a file system and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from safebasin.errors import UsageError
from safebasin.plane import Point
from safebasin.spread.dealing import dealt


@dataclass(frozen=True)
class Shard:
    """The `index`-th of `count` shards, counted from 1."""

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise UsageError(
                f"Shard {self.index} of {self.count} was asked for.",
                f"Give --shard 1/{max(1, self.count)} to --shard {max(1, self.count)}"
                f"/{max(1, self.count)}.",
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `i/N`, such as 2/8. Raises UsageError."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None:
            raise UsageError(f"The shard '{text}' is not of the form i/N.", "Give --shard 1/4.")
        return cls(int(found[1]), int(found[2]))

    @property
    def name(self) -> str:
        return f"{self.index}-of-{self.count}"

    def points(self, points: Sequence[Point]) -> tuple[Point, ...]:
        """This shard's points: with an order from the origin outward, all shards cost alike."""
        return tuple(points[i] for i in self.indices(len(points)))

    def indices(self, total: int, before: int = 0) -> list[int]:
        """Which of `total` pieces are this shard's, where `before` others were dealt already."""
        mine = dealt(before + total, self.count)[self.index - 1]
        return [index - before for index in mine if index >= before]
