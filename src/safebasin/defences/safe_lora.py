"""Safe LoRA: what a fine-tune changed, projected onto what alignment had changed before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.defences.models import changes, named, require_finite, told
from safebasin.directions import Held
from safebasin.subject.linear import Linear, assembled
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.parameters import Parameter


@dataclass(frozen=True)
class Projection:
    """What Safe LoRA makes of one linear layer.

    cosine   of the angle between the change ΔW and C·ΔW, in [0, 1]
    applied  whether the layer is projected: the cosine is below the threshold
    """

    layer: Linear
    cosine: float
    applied: bool


class SafeLora:
    """W_aligned + C·ΔW in place of W_aligned + ΔW, where the two differ most.

    ΔW = W - W_aligned is what the fine-tune changed of a linear layer [out, in], by LoRA or in
    full, V = W_aligned - W_unaligned what alignment had changed, and

        C = V·Vᵀ / ‖V‖_F

    (Hsu et al., NeurIPS 2024, arXiv 2405.16833, Sec. 3). A layer is projected where
    cos(C·ΔW, ΔW) < threshold. The default is the one of the authors' code, which rounds the cosine
    to five places and takes ≤. C is no projection by its size, which grows with V: C·ΔW is as
    large as alignment's own change was. What ΔW or V leave as it was is not projected, nor are
    embeddings, norms and biases; what ΔW changed outside of V's columns alone is taken back.

    The subject is the fine-tune. Raises UsageError for a threshold that is not finite, and
    DirectionError where one of the checkpoints does not fit it.
    """

    kind: ClassVar[str] = "safe-lora"
    reference: ClassVar[str] = "Hsu et al., NeurIPS 2024, arXiv 2405.16833, Sec. 3"

    def __init__(
        self, aligned: Checkpoint | str, unaligned: Checkpoint | str, threshold: float = 0.5
    ) -> None:
        require_finite(threshold=threshold)
        self.aligned, self.unaligned = named(aligned), named(unaligned)
        self.threshold = threshold

    def spec(self) -> dict[str, Any]:
        """Both checkpoints by name and fingerprint, and the threshold."""
        models = told(aligned=self.aligned, unaligned=self.unaligned)
        return {"kind": self.kind, **models, "threshold": self.threshold}

    def direction(self, subject: Subject) -> Direction:
        """C·ΔW - ΔW of the layers that are projected, in float64 and rounded once."""
        steps: dict[Parameter, dict[int | None, Tensor]] = {}
        for one in changes(subject, self.aligned, self.unaligned):
            if one.inside is not None and one.cosine < self.threshold:
                own = steps.setdefault(one.layer.parameter, {})
                own[one.layer.expert] = (one.inside - one.tuned).float()
        tensors = {one.name: assembled(one, parts) for one, parts in steps.items()}
        return Held(f"{self.kind}-{self.threshold:g}", tensors)

    def projections(self, subject: Subject) -> tuple[Projection, ...]:
        """What is made of each layer that fine-tune and alignment both changed."""
        return tuple(
            Projection(one.layer, one.cosine, one.cosine < self.threshold)
            for one in changes(subject, self.aligned, self.unaligned)
            if one.inside is not None
        )
