"""What a trajectory is asked to show."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import MOST_POINTS, described, required, setting

PlaneKind = Literal["principal", "interpolation", "random"]
PLANES: tuple[PlaneKind, ...] = get_args(PlaneKind)


@described
@dataclass(frozen=True)
class TrajectoryConfig:
    """Everything that `trajectory` can be told.

    Of the scan, `model` is the base that the training began with, `steps` are cells along the
    longer axis, and `radius` is how far a random axis goes. `notes` is what a reader has to know of
    how the checkpoints were found.
    """

    checkpoints: tuple[str, ...] = field(
        metadata=required(
            "The output folder of the training, or its checkpoints in the order of training: "
            "folders, adapters, base+adapter.",
            argument=True,
        )
    )
    plane: PlaneKind = setting(
        "principal",
        "principal: two main directions of the run. interpolation: the lines to its last and first "
        "checkpoint. random: the line to its last one, and noise.",
    )
    scan: ScanConfig = field(default_factory=lambda: ScanConfig(steps=10))
    padding: float = setting(0.25, "Room around the checkpoints, as a share of their extent.")
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        plane_kind(self.plane)
        least = 1 if self.plane == "random" else 2
        if len(self.checkpoints) < least:
            raise UsageError(
                f"A {self.plane} plane takes {least} checkpoints; {len(self.checkpoints)} given.",
                "Give more, or --plane random.",
            )
        if not 0 <= self.padding <= 10:
            raise UsageError(f"The padding is {self.padding}.", "Give a share from 0 to 10.")
        if not (math.isfinite(self.scan.radius) and self.scan.radius > 0):
            raise UsageError(
                f"The radius is {self.scan.radius}.",
                "Give a positive finite number, such as --radius 0.3.",
            )
        if self.scan.steps < 2:
            raise UsageError(f"The map has {self.scan.steps} steps.", "Give at least --steps 2.")
        if self.scan.steps**2 > MOST_POINTS:
            raise UsageError(
                f"A map of {self.scan.steps} steps a side may have more than {MOST_POINTS} points.",
                "Give a smaller --steps.",
            )

    def to_json(self) -> dict[str, Any]:
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "scan"}
        return {**own, "checkpoints": list(self.checkpoints), "scan": self.scan.to_json()}


def plane_kind(text: str) -> PlaneKind:
    """The kind of plane that a text names; UsageError where it names none."""
    for kind in PLANES:
        if text == kind:
            return kind
    raise UsageError(f"Unknown plane '{text}'.", f"Give {' or '.join(PLANES)}.")


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """The names by the number they end in, where they differ in nothing else; else as given.

    A shell lists checkpoint-100 before checkpoint-20.
    """
    found = [re.fullmatch(r"(.*?)(\d+)/?", name) for name in names]
    matched = [one for one in found if one is not None]
    if len(matched) < len(names) or len({one[1] for one in matched}) > 1:
        return tuple(names)
    return tuple(one[0] for one in sorted(matched, key=lambda one: int(one[2])))
