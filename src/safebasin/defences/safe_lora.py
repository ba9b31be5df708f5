"""Safe LoRA: what a fine-tune changed, projected onto what alignment had changed before it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Difference, Held, Toward
from safebasin.errors import UsageError
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
    embeddings, norms and biases.

    The subject is the fine-tune. Raises UsageError for a threshold that is no number, and
    DirectionError where one of the checkpoints does not fit it.
    """

    kind: ClassVar[str] = "safe-lora"
    reference: ClassVar[str] = "Hsu et al., NeurIPS 2024, arXiv 2405.16833, Sec. 3"

    def __init__(
        self, aligned: Checkpoint | str, unaligned: Checkpoint | str, threshold: float = 0.5
    ) -> None:
        if math.isnan(threshold):
            raise UsageError("The threshold is not a number.", "Give one from 0 to 1.")
        self.aligned, self.unaligned = (
            Checkpoint.parse(one) if isinstance(one, str) else one for one in (aligned, unaligned)
        )
        self.threshold = threshold

    def spec(self) -> dict[str, Any]:
        """Both checkpoints by name and fingerprint, and the threshold."""
        models = {"aligned": self.aligned, "unaligned": self.unaligned}
        named = {
            key: {"name": one.name, "fingerprint": one.fingerprint()} for key, one in models.items()
        }
        return {"kind": self.kind, **named, "threshold": self.threshold}

    def direction(self, subject: Subject) -> Direction:
        """C·ΔW - ΔW of the layers that are projected, in float64 and rounded once."""
        steps: dict[Parameter, dict[int | None, Tensor]] = {}
        for found, change, inside in self._changed(subject):
            if found.applied:
                own = steps.setdefault(found.layer.parameter, {})
                own[found.layer.expert] = (inside - change).float()
        tensors = {one.name: assembled(one, parts) for one, parts in steps.items()}
        return Held(f"{self.kind}-{self.threshold:g}", tensors)

    def projections(self, subject: Subject) -> tuple[Projection, ...]:
        """What is made of each layer that fine-tune and alignment both changed."""
        return tuple(found for found, _, _ in self._changed(subject))

    def _changed(self, subject: Subject) -> Iterator[tuple[Projection, Tensor, Tensor]]:
        """Each layer with ΔW and C·ΔW, float64 [out, in]."""
        weights = subject.weights
        back = Toward(self.aligned, weights)
        alignment = Difference(self.unaligned, self.aligned, weights)
        for parameter, layers in groupby(subject.linear, key=lambda one: one.parameter):
            tuned, changed = back.tensor(parameter), alignment.tensor(parameter)
            if tuned is None or changed is None:
                continue
            for layer in layers:
                change = -layer.of(tuned).double()
                v = layer.of(changed).to(change)
                if not (bool(change.any()) and bool(v.any())):
                    continue
                inside = v @ (v.T @ change) / v.norm()
                cosine = float((inside * change).sum() / (inside.norm() * change.norm()))
                yield Projection(layer, cosine, cosine < self.threshold), change, inside
