"""The matrices of an interval of blocks scaled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.projections import is_router, writers


class Scaled:
    """The matrices of blocks `first` to `last`, both included: d = W, and at α - 1 they are α·W.

    So Li et al. (arXiv 2408.17003, Sec. 3.4) scale q, k, v, o, gate, up and down of an interval;
    fused ones count as what they fuse. Biases, norms, routers of experts and tables of tokens
    stay. At coefficient 0, which is α = 1, the model is the model, bit for bit; elsewhere
    W + (α - 1)·W is α·W to rounding.

    include_o_proj   False leaves out attention's output matrix, as the authors' code did when the
                     paper was written

    Raises DirectionError for an interval that the model does not have, or without a matrix.
    """

    kind: ClassVar[str] = "scaled"
    random: ClassVar[bool] = False

    def __init__(
        self,
        first: int,
        last: int,
        weights: Weights,
        *,
        include_o_proj: bool = True,
        name: str | None = None,
    ) -> None:
        self.first, self.last, self.include_o_proj = int(first), int(last), bool(include_o_proj)
        self.weights = weights
        without = "" if include_o_proj else "-without-o_proj"
        self.name = name or f"scaled-{self.first}-{self.last}{without}"
        tables = weights.tables
        own = [
            one
            for one in weights.parameters
            if one.layer is not None
            and len(one.matrix.shape) == 2
            and one.name not in tables
            and not is_router(one)
        ]
        out = {one.name for one in writers(own, "attention")}
        if not include_o_proj and not out:
            raise DirectionError(
                "Which matrix is attention's output is not known of this model.",
                "Leave include_o_proj as it is.",
            )
        most = max((one.layer or 0 for one in own), default=-1)
        if not 0 <= self.first <= self.last <= most:
            raise DirectionError(
                f"The model has no blocks {self.first} to {self.last}.",
                f"Give an interval within 0 to {most}.",
            )
        self._names = {
            one.name
            for one in own
            if self.first <= (one.layer or 0) <= self.last
            and (include_o_proj or one.name not in out)
        }

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Scaled:
        """The direction of a `spec()`, over the weights at hand."""
        o_proj = spec["include_o_proj"]
        return cls(spec["first"], spec["last"], weights, include_o_proj=o_proj, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "first": self.first,
            "last": self.last,
            "include_o_proj": self.include_o_proj,
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if self._names.isdisjoint(parameter.names):
            return None
        return self.weights.pristine(parameter.name).float().clone()
