"""What an evaluation is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from safebasin.config import ScanConfig, check_strength
from safebasin.errors import UsageError
from safebasin.prompts.published import BY_NAME, requested
from safebasin.setting import described, setting

NONE = "none"
TESTBED = "testbed:"


@described
@dataclass(frozen=True)
class EvaluateConfig:
    """Everything that `evaluate` can be told.

    Of the scan, the grid is not used.
    """

    scan: ScanConfig = field(default_factory=ScanConfig)
    benign: str | None = setting(
        None,
        "Benign prompts for over-refusal, or none. [default: the named set's twin, if it is "
        "packaged or on the hub; none beside a file]",
    )
    capability: str | None = setting(
        None,
        "Questions with exact answers, or none. [default: the packaged ones, of a packaged model]",
    )
    samples: int = setting(1, "Answers to each prompt; several need a temperature.")
    temperature: float = setting(
        0.0, "Draw answers from softmax(logits / temperature); 0 is greedy."
    )
    noise_seed: int = setting(0, "The seed of the draws.")
    steer: str | None = setting(
        None, "A steering file, as steer writes it: the model answers steered.", path=True
    )
    steer_strength: float = setting(1.0, "How much of that steering; 1 is its own.")

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError(f"{self.samples} samples were asked for.", "Give at least 1.")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise UsageError(f"The temperature is {self.temperature}.", "Give 0 or more.")
        check_strength(self.steer, self.steer_strength)
        if self.steer is not None and self.temperature:
            raise UsageError(
                "A steered model is asked greedily.", "Leave out --temperature, or --steer."
            )
        if self.samples > 1 and self.temperature == 0:
            raise UsageError(
                f"{self.samples} greedy answers to a prompt are all the same.",
                "Give --temperature 0.7, or --samples 1.",
            )

    @property
    def benign_set(self) -> str | None:
        """The set that measures over-refusal, or None for the benign rows of the prompts' own."""
        if self.benign is not None:
            return None if self.benign == NONE else self.benign
        return twin(self.scan.prompts)

    @property
    def capability_set(self) -> str | None:
        if self.capability is not None:
            return None if self.capability == NONE else self.capability
        packaged = self.scan.model.startswith(TESTBED) and self.scan.prompts.startswith(TESTBED)
        return f"{TESTBED}capability" if packaged else None

    def to_json(self) -> dict[str, Any]:
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.steer is None:
            del own["steer"], own["steer_strength"]
        return {**own, "scan": self.scan.to_json()}


def twin(prompts: str) -> str | None:
    """The benign set beside a named one; None for a file, or where the twin is not on the hub.

    A file was given so that nothing has to be fetched, and the twin would have to be.
    """
    if prompts.startswith(f"{TESTBED}harmful"):
        return prompts.replace("harmful", "benign", 1)
    request = requested(prompts)
    if request is None or request.path or not request.published.twin:
        return None
    return request.published.twin if BY_NAME[request.published.twin].repository else None


def twin_advice(prompts: str) -> str:
    """How to have over-refusal measured beside a set whose twin is not taken."""
    request = requested(prompts)
    if request is None or not request.published.twin:
        return "give --benign xstest-safe or a file"
    name = request.published.name
    benign = request.published.twin
    if BY_NAME[benign].repository:
        return f"give --benign {benign}, the twin of {name}, or {benign}=FILE"
    return f"give --benign {benign}=FILE, the twin of {name}, which is not on the hub"
