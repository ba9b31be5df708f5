"""LoX: further along what alignment changed most."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.defences.models import held, named, require_finite, told
from safebasin.directions import Difference, Toward, Truncated
from safebasin.errors import DirectionError, UsageError
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.parameters import Parameter


class Lox:
    """W_aligned + α·Proj_k(W_aligned - W_base): low-rank extrapolation.

    Proj_k keeps the k largest singular values of each matrix's change (Perin et al., COLM 2025,
    arXiv 2506.15606, Sec. 4). As in the authors' code every matrix is moved, the tables of tokens
    too, and no vector; rank 0 takes the whole change, which is ExPO (arXiv 2404.16792); and α is 1
    unless another is given.

    The subject is the aligned model: LoX is done before others fine-tune it. With `aligned` given
    the subject is a fine-tune of that one, and the same step is added after it: a variant of ours,
    called after-tuning in the specification.

    Raises UsageError for a rank below 0 and a factor that is not finite, and DirectionError where
    the base does not fit or alignment changed nothing.
    """

    kind: ClassVar[str] = "lox"
    reference: ClassVar[str] = "Perin et al., COLM 2025, arXiv 2506.15606, Sec. 4"

    def __init__(
        self,
        unaligned: Checkpoint | str,
        aligned: Checkpoint | str | None = None,
        rank: int = 6,
        factor: float = 1.0,
    ) -> None:
        if rank < 0:
            raise UsageError(f"No change has rank {rank}.", "Give 1 or more, or 0 for all of it.")
        require_finite(factor=factor)
        self.unaligned = named(unaligned)
        self.aligned = None if aligned is None else named(aligned)
        self.rank, self.factor = rank, factor

    def spec(self) -> dict[str, Any]:
        """The models by name and fingerprint, rank and factor, and when it is done."""
        models = told(aligned=self.aligned, unaligned=self.unaligned)
        done = "before-tuning" if self.aligned is None else "after-tuning"
        settings = {"rank": self.rank, "factor": self.factor, "variant": done}
        return {"kind": self.kind, **models, **settings}

    def direction(self, subject: Subject) -> Direction:
        """α·Proj_k(ΔW) of each matrix, float32."""
        sign, change = self._change(subject)
        low = Truncated(change, self.rank) if self.rank else change

        def step(parameter: Parameter) -> Tensor | None:
            if len(parameter.matrix.shape) < 2:
                return None
            found = low.tensor(parameter)
            if found is None or not bool(found.any()):
                return None
            return found.double().mul_(sign * self.factor).float()

        made = held(f"{self.kind}-{self.rank}-{self.factor:g}", subject, step)
        if not made.tensors and not math.isclose(self.factor, 0):
            aligned = self.aligned or subject.checkpoint
            raise DirectionError(
                f"'{aligned.name}' and '{self.unaligned.name}' have the same matrices: there is no "
                "alignment to extrapolate.",
                "Give the model from before its alignment.",
            )
        return made

    def _change(self, subject: Subject) -> tuple[float, Direction]:
        """(s, d) with s·d = W_aligned - W_base."""
        if self.aligned is None:
            return -1.0, Toward(self.unaligned, subject.weights)
        return 1.0, Difference(self.unaligned, self.aligned, subject.weights)
