"""RESTA: the difference that alignment made, added to a fine-tune."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.defences.drop import dropped
from safebasin.defences.models import held, named, require_finite, require_share, told
from safebasin.directions import Difference, Toward
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.parameters import Parameter


class Resta:
    """W + γ·(W_aligned - W_unaligned), and with `drop` DARE on what the fine-tune changed before.

    δ_safe = W_aligned - W_unaligned is the safety vector: of the aligned model and one whose
    safety was taken away, or from before its alignment (Bhardwaj et al., ACL 2024, arXiv
    2402.11746, Sec. 3). With a share p to drop it is RESTA_d: W_aligned + DARE_p(ΔW) + γ·δ_safe,
    where ΔW = W - W_aligned and DARE sets a random share p of it to zero and divides the rest by
    1 - p (Yu et al., arXiv 2311.03099, Sec. 3). γ = 0.2 and p = 0.3 are the settings of this
    baseline in arXiv 2405.09055; the drop is off unless it is asked for.

    The subject is the fine-tune. All selected parameters move. Raises UsageError for a factor that
    is not finite or a share outside [0, 1), and DirectionError where a model does not fit.
    """

    kind: ClassVar[str] = "resta"
    reference: ClassVar[str] = "Bhardwaj et al., ACL 2024, arXiv 2402.11746, Sec. 3"

    def __init__(
        self,
        aligned: Checkpoint | str,
        unaligned: Checkpoint | str,
        factor: float = 0.2,
        drop: float = 0.0,
        seed: int = 0,
    ) -> None:
        require_finite(factor=factor)
        require_share(drop, "share to drop", below_one=True)
        self.aligned, self.unaligned = named(aligned), named(unaligned)
        self.factor, self.drop, self.seed = factor, drop, seed

    def spec(self) -> dict[str, Any]:
        """Both models by name and fingerprint, the factor, and the drop with its seed."""
        models = told(aligned=self.aligned, unaligned=self.unaligned)
        settings = {"factor": self.factor, "drop": self.drop, "seed": self.seed}
        return {"kind": self.kind, **models, **settings}

    def direction(self, subject: Subject) -> Direction:
        """γ·δ_safe + DARE(ΔW) - ΔW, in float64 and rounded once."""
        safety = Difference(self.unaligned, self.aligned, subject.weights)
        back = Toward(self.aligned, subject.weights) if self.drop else None

        def step(parameter: Parameter) -> Tensor | None:
            found = safety.tensor(parameter)
            total = None if found is None else found.double().mul_(self.factor)
            change = None if back is None else back.tensor(parameter)
            if change is not None:
                tuned = -change.double()
                lost = dropped(tuned, parameter, self.drop, self.seed).sub_(tuned)
                total = lost if total is None else lost.add_(total.to(lost.device))
            return None if total is None else total.float()

        name = f"{self.kind}-{self.factor:g}" + (f"-drop-{self.drop:g}" if self.drop else "")
        return held(name, subject, step)
