"""What finding a steering is asked to do, and how a reader is told of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from safebasin.errors import UsageError
from safebasin.setting import described, required, setting
from safebasin.system_message import system_message


def in_words(spec: Mapping[str, Any]) -> str:
    """How answers are steered, by an engine's specification: what a reader has to know."""
    blocks = ", ".join(map(str, spec["blocks"]))
    share = spec["strength"] * spec["share"]
    return (
        f"answers are steered by {spec['kind']} after block {blocks}, by {share:g} of the vector's "
        "norm"
    )


@described
@dataclass(frozen=True)
class SteerConfig:
    """Everything that `steer` can be told."""

    model: str = field(metadata=required("The model: as for scan.", argument=True))
    harmful: str = field(metadata=required("Requests to be refused: as --prompts of scan."))
    benign: str = field(metadata=required("Requests to be answered that resemble them."))
    blocks: str | None = setting(
        None, "The blocks to steer, as 1 or 10-19. [default: the third in which refusals are read]"
    )
    share: float = setting(0.25, "How much is added, in units of the vector's norm.")
    limit: int | None = setting(None, "Prompts of each set, a sample. [default: 128, or all]")
    sample_seed: int = setting(0, "The seed of that sample.")
    system: str | None = setting(None, "The system message. [default: none]", parse=system_message)
    template: str | None = setting(None, "A Jinja chat template file, a folder with one, or raw.")
    dtype: str | None = setting(None, "float32, bfloat16, float16. [default: float32 on a CPU]")
    device: str | None = setting(None, "cpu, cuda, cuda:1, mps. [default: a GPU if there is one]")
    trust_remote_code: bool = setting(False, "Run code that this model brings along.")
    out: str | None = setting(
        None, "The file that is written. [default: one under runs/]", path=True
    )

    def __post_init__(self) -> None:
        if not (math.isfinite(self.share) and self.share > 0):
            raise UsageError(f"The share is {self.share}.", "Give a positive number, such as 0.25.")
        if self.limit is not None and self.limit < 4:
            raise UsageError(f"{self.limit} prompts of each set are too few.", "Give at least 4.")
