"""What chance does: the baselines that a defence after fine-tuning has to beat."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor

from safebasin.attribution.random import normal, uniform
from safebasin.checkpoint import Checkpoint
from safebasin.defences.models import held, named, require_changed, require_share, told
from safebasin.directions import Toward
from safebasin.errors import UsageError
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.parameters import Parameter


class RandomRestoration:
    """A random share of the weights set back to the aligned model: W + m ⊙ (W_aligned - W).

    Each entry is restored by itself with probability `share`, by the seed and the parameter's name
    and shape alone. It is the control of every method that chooses what to restore, and not Panacea
    itself, which learns its perturbation together with the fine-tune (Wang et al., NeurIPS 2025,
    arXiv 2501.18100). It is DARE's drop without the rescaling (arXiv 2311.03099).

    The subject is the fine-tune. Raises UsageError for what is no share, and DirectionError where
    the aligned model does not fit, or nothing was tuned.
    """

    kind: ClassVar[str] = "random-restoration"
    reference: ClassVar[str] = "a control; compare Wang et al., NeurIPS 2025, arXiv 2501.18100"

    def __init__(self, aligned: Checkpoint | str, share: float = 0.5, seed: int = 0) -> None:
        require_share(share, "share of the weights")
        self.aligned, self.share, self.seed = named(aligned), share, seed

    def spec(self) -> dict[str, Any]:
        """The aligned model by name and fingerprint, the share and the seed."""
        settings = {"share": self.share, "seed": self.seed}
        return {"kind": self.kind, **told(aligned=self.aligned), **settings}

    def direction(self, subject: Subject) -> Direction:
        """m ⊙ (W_aligned - W), float32."""
        back = Toward(self.aligned, subject.weights)
        require_changed(subject, self.aligned, back)

        def step(parameter: Parameter) -> Tensor | None:
            found = back.tensor(parameter)
            if found is None or not bool(found.any()):
                return None
            chosen = uniform(self.seed, parameter.name, parameter.shape) < self.share
            return found * chosen.to(found.device)

        return held(f"{self.kind}-{self.share:g}-{self.seed}", subject, step)


class RandomPerturbation:
    """W + ε with ε ~ N(0, σ²), independent in every entry: the random perturbation of Panacea.

    Wang et al. (NeurIPS 2025, arXiv 2501.18100, Sec. 3) find that noise alone takes some of the
    harm back at the cost of the task, which their learnt perturbation is to avoid. Given by the
    seed and the parameter's name and shape alone. All selected parameters move.

    The subject is the fine-tune. Raises UsageError for a deviation that is negative or not finite.
    """

    kind: ClassVar[str] = "random-perturbation"
    reference: ClassVar[str] = "Wang et al., NeurIPS 2025, arXiv 2501.18100, Sec. 3"

    def __init__(self, deviation: float = 0.01, seed: int = 0) -> None:
        if not (math.isfinite(deviation) and deviation >= 0):
            raise UsageError(f"The deviation is {deviation}.", "Give a finite number from 0 up.")
        self.deviation, self.seed = deviation, seed

    def spec(self) -> dict[str, Any]:
        """The deviation and the seed."""
        return {"kind": self.kind, "deviation": self.deviation, "seed": self.seed}

    def direction(self, subject: Subject) -> Direction:
        """ε, float32."""

        def step(parameter: Parameter) -> Tensor:
            return normal(self.seed, parameter.name, parameter.shape).mul_(self.deviation)

        return held(f"{self.kind}-{self.deviation:g}-{self.seed}", subject, step)
