"""Pairs of directions at right angles."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from safebasin.directions.base import Normalised, along_rows, products
from safebasin.directions.kinds import rebuild
from safebasin.errors import DirectionError
from safebasin.weights import Direction, Weights
from safebasin.weights.direction import Concurrent
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import at_once, inner, row_inner, rows_at_once

Form = Literal["tensor", "row", "global"]
# Below these squares of the sine of the angle between them two directions count as parallel.
# Rows are short and many, so that small angles do occur; their remainder is computed directly.
_PARALLEL = 1e-8
_PARALLEL_ROWS = 1e-12


class Orthogonal:
    """The direction `second` made orthogonal to `first` (Gram-Schmidt), under the name of `second`.

    form="tensor"  in every tensor p:  e_p = d2_p - (d1_p·d2_p / ‖d1_p‖²) d1_p, then rescaled to
                   ‖d2_p‖. The directions are orthogonal in each tensor, hence as a whole, and the
                   norm law of `second` holds. A tensor of one element becomes zero.
    form="row"     the same in every output row
                   Where a parameter stacks the matrices of several experts, both hold for each one
    form="global"  one coefficient for all tensors, and ‖e‖ = ‖d1‖ as a whole: the planes between
                   models of Peng et al. (2024), Sec. 3

    The default is the normalisation of `second` where that has one, else "global", which needs
    `weights` and reads both directions once at the start. Computed in float64 and rounded once.
    Raises DirectionError where the two are parallel.
    """

    kind: ClassVar[str] = "orthogonal"
    random: ClassVar[bool] = True

    def __init__(
        self,
        second: Direction,
        first: Direction,
        weights: Weights | None = None,
        form: Form | None = None,
        *,
        name: str | None = None,
    ) -> None:
        if form is None:
            form = second.normalise if isinstance(second, Normalised) else "global"
        if form not in ("tensor", "row", "global"):
            raise DirectionError(f"Unknown form '{form}'.", "Give tensor, row or global.")
        if weights is None and isinstance(second, Normalised):
            weights = second.weights
        if weights is None:
            raise DirectionError(
                f"'{second.name}' cannot be made orthogonal without the weights.",
                "Give Orthogonal(second, first, weights).",
            )
        self.first, self.second = first, second
        self.form: Form = form
        self.name = name or second.name
        self._along, self._scale = 0.0, 1.0
        if form == "global":
            self._along, self._scale = self._global(weights)
        else:
            # A parallel pair shows in any tensor; the smallest real one is quick to draw.
            views = [view for view in weights.views() if math.prod(view.matrix.shape) > 1]
            if views:
                self.tensor(min(views, key=lambda view: math.prod(view.shape)))

    @property
    def concurrent(self) -> bool:
        """Whether several threads may ask for tensors, and gain by it: as for `second`."""
        gains = isinstance(self.second, Concurrent) and self.second.concurrent
        return gains and isinstance(self.first, Concurrent)

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Orthogonal:
        """The direction of a `spec()`, both of its own rebuilt."""
        second, first = (rebuild(spec[key], weights) for key in ("second", "first"))
        return cls(second, first, weights, spec["form"], name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "form": self.form,
            "second": self.second.spec(),
            "first": self.first.spec(),
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        second, first = self.second.tensor(parameter), self.first.tensor(parameter)
        if self.form == "global":
            if second is None and first is None:
                return None
            along = torch.zeros(parameter.shape) if first is None else first
            rest = torch.zeros(parameter.shape) if second is None else second
            return _combine(rest.to(along.device), along, self._along, self._scale)
        if second is None or first is None:
            return second
        first = first.to(second.device)
        if parameter.stacked is None:
            return self._matrix(second, first, parameter)
        pairs = zip(parameter.split(second), parameter.split(first), strict=True)
        made = [self._matrix(*pair, parameter.matrix) for pair in pairs]
        return torch.stack(made).reshape(parameter.shape)

    def _matrix(self, second: Tensor, first: Tensor, parameter: Parameter) -> Tensor:
        if self.form == "tensor" or len(parameter.shape) < 2:
            coefficients = self._block(
                inner(first, first), inner(first, second), inner(second, second), parameter
            )
            return _combine(second, first, *coefficients)
        return self._rows(second, first, parameter)

    def _global(self, weights: Weights) -> tuple[float, float]:
        ff, fs, ss = products(self.first, self.second, weights)
        sine_squared = 1 - fs * fs / (ff * ss) if ff and ss else 0.0
        if sine_squared < _PARALLEL:
            raise _parallel(self.second, self.first)
        return fs / ff, math.sqrt(ff / (ss * sine_squared))

    def _block(self, ff: float, fs: float, ss: float, parameter: Parameter) -> tuple[float, float]:
        if ff == 0 or ss == 0:
            return 0.0, 1.0
        rest = max(0.0, ss - fs * fs / ff)
        if math.prod(parameter.shape) == 1:
            return 0.0, 0.0
        if rest < ss * _PARALLEL:
            raise _parallel(self.second, self.first, parameter.name)
        return fs / ff, math.sqrt(ss / rest)

    def _rows(self, second: Tensor, first: Tensor, parameter: Parameter) -> Tensor:
        result = torch.empty_like(second)
        dim = parameter.output_dim
        size = rows_at_once(second, dim)
        pieces = (torch.split(x, size, dim) for x in (result, first, second))
        for out, first_rows, second_rows in zip(*pieces, strict=True):
            a, b = first_rows.double(), second_rows.double()
            ff, ss = row_inner(a, a, dim), row_inner(b, b, dim)
            whole = (ff > 0) & (ss > 0)
            along = torch.where(whole, row_inner(a, b, dim) / ff, 0.0)
            b -= along_rows(along, parameter) * a
            rest = row_inner(b, b, dim)
            if math.prod(parameter.shape) == parameter.shape[dim]:
                rest = torch.where(whole, math.inf, rest)  # rows of one element become zero
            elif (whole & (rest < ss * _PARALLEL_ROWS)).any():
                raise _parallel(self.second, self.first, parameter.name)
            scale = torch.where(whole, torch.sqrt(ss / rest), 1.0)
            out.copy_(b * along_rows(scale, parameter))
        return result


def _combine(second: Tensor, first: Tensor, along: float, scale: float) -> Tensor:
    """(second - along·first)·scale, in float64 by pieces, rounded to float32 once."""
    result = torch.empty_like(second, memory_format=torch.contiguous_format)
    pieces = (torch.split(x.reshape(-1), at_once(second)) for x in (result, second, first))
    for out, x, y in zip(*pieces, strict=True):
        out.copy_((x.double() - along * y.double()) * scale)
    return result


def _parallel(second: Direction, first: Direction, where: str | None = None) -> DirectionError:
    place = f" in '{where}'" if where else ""
    return DirectionError(
        f"The directions '{first.name}' and '{second.name}' are parallel or zero{place}.",
        "Give another second direction, such as one of another seed.",
    )
