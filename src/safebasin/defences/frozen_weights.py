"""Single weights that are kept as they are while the rest is fine-tuned."""

from __future__ import annotations

from typing import Any, ClassVar

from safebasin.defences.base import TrainingDefence
from safebasin.defences.models import require_known
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask


class FrozenWeights(TrainingDefence):
    """The weights of a mask do not move: no gradient, no momentum, no weight decay.

    (Wei et al., ICML 2024, arXiv 2402.05162, Sec. 4.) The mask is what an attribution found, such
    as the top share of the weights that safety needs. This is the paper's text, masked gradients;
    the authors' code sets the weights of a finished fine-tune back instead. LoRA moves
    whole matrices and cannot honour it.

    Raises DirectionError where the mask is of another model.
    """

    kind: ClassVar[str] = "frozen-weights"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 4"

    def __init__(self, mask: Mask) -> None:
        self.mask = mask

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "mask": self.mask.spec()}

    def gradients(self, subject: Subject) -> Mask:
        """All but the mask's, of the parameters that it speaks of."""
        require_known(self.mask, subject)
        for one in subject.weights.select(exclude_norms=False).parameters:
            self.mask.tensor(one)
        return ~self.mask
