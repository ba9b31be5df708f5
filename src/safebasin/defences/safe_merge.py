"""SafeMERGE: a safe model merged in where a fine-tune left what alignment had changed."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.defences.models import (
    changes,
    named,
    require_finite,
    require_share,
    told,
)
from safebasin.directions import Held, Toward
from safebasin.subject.linear import Linear, assembled
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.parameters import Parameter


class SafeMerge:
    """W_aligned + (1 - w)·ΔW + w·ΔW_safe in the layers that left the safety subspace.

    ΔW = W - W_aligned is what the fine-tune changed of a linear layer, ΔW_safe what a model that
    was tuned for safety from the same aligned one did. A layer is merged where the cosine of ΔW
    and C·ΔW is below the threshold, with Safe LoRA's C of aligned and unaligned model (Djuhera et
    al., arXiv 2503.17239, Sec. 3). Threshold 0.35 and w = 0.2 are those of the authors' code; as
    there C is zero, and the cosine, where alignment left a layer as it was. Merged are the changes
    themselves: the code merges the factors A and B of two adapters apart, which adds mixed terms.

    Without `safe` the aligned model is the safe one. The subject is the fine-tune; what it left as
    it was stays. Raises UsageError for settings that are no numbers or no share, and DirectionError
    where one of the models does not fit.
    """

    kind: ClassVar[str] = "safe-merge"
    reference: ClassVar[str] = "Djuhera et al., 2025, arXiv 2503.17239, Sec. 3"

    def __init__(
        self,
        aligned: Checkpoint | str,
        unaligned: Checkpoint | str,
        safe: Checkpoint | str | None = None,
        threshold: float = 0.35,
        share: float = 0.2,
    ) -> None:
        require_finite(threshold=threshold)
        require_share(share, "share of the safe model")
        self.aligned, self.unaligned = named(aligned), named(unaligned)
        self.safe = self.aligned if safe is None else named(safe)
        self.threshold, self.share = threshold, share

    def spec(self) -> dict[str, Any]:
        """The models by name and fingerprint, the threshold and the share."""
        models = told(aligned=self.aligned, unaligned=self.unaligned, safe=self.safe)
        settings = {"threshold": self.threshold, "share": self.share}
        return {"kind": self.kind, **models, **settings}

    def direction(self, subject: Subject) -> Direction:
        """w·(W_safe - W) of the layers that are merged, in float64 and rounded once."""
        safe = Toward(self.safe, subject.weights)
        steps: dict[Parameter, dict[int | None, Tensor]] = {}
        for layer in self.merged(subject):
            whole = safe.tensor(layer.parameter)
            if whole is None:
                continue
            own = steps.setdefault(layer.parameter, {})
            own[layer.expert] = (layer.of(whole).double() * self.share).float()
        tensors = {one.name: assembled(one, parts) for one, parts in steps.items()}
        return Held(f"{self.kind}-{self.threshold:g}-{self.share:g}", tensors)

    def merged(self, subject: Subject) -> tuple[Linear, ...]:
        """The layers whose cosine is below the threshold."""
        found = changes(subject, self.aligned, self.unaligned)
        return tuple(one.layer for one in found if one.cosine < self.threshold)
