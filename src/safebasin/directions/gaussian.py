"""Random directions, each of them a seed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from safebasin.config import Law, Normalise
from safebasin.directions.base import along_rows
from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.streaming import PIECE
from safebasin.weights.sums import fp32, norm, norm_of_pieces, row_inner


class Gaussian:
    """Random noise scaled to the weights: d = z·‖W‖/‖z‖ with z ~ N(0, 1).

    normalise="tensor"  ‖d_p‖ = ‖W_p‖ for every parameter p (Peng et al. 2024, Sec. 3)
    normalise="row"     the same for every output row (filter normalisation, Li et al., NeurIPS
                        2018, arXiv 1712.09913, Sec. 4); a tensor of one dimension is one row

    Where a parameter stacks the matrices of several experts, both hold for each expert's own.

    The noise of a parameter depends on the seed, its name and its shape alone, so it does not
    matter what else the model holds, or where and in which order the noise is drawn. Norms are
    taken in float64 and applied as one float32 factor. What `weights` leaves out is not moved, and
    neither is what has norm zero.
    """

    kind: ClassVar[str] = "gaussian"
    random: ClassVar[bool] = True
    concurrent: bool = True

    def __init__(
        self,
        seed: int,
        weights: Weights,
        normalise: Normalise = "tensor",
        *,
        name: str | None = None,
    ) -> None:
        if normalise not in ("tensor", "row"):
            raise DirectionError(f"Unknown normalisation '{normalise}'.", "Give tensor or row.")
        self.seed = int(seed)
        self.weights = weights
        self.normalise: Normalise = normalise
        self.name = name or f"gaussian-{self.seed}"
        self._factors: dict[str, tuple[float, ...]] = {}

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Gaussian:
        """The direction of a `spec()`, of whatever law."""
        law = spec.get("law", "stream")  # earlier versions knew no other
        return random_direction(spec["seed"], weights, spec["normalise"], law, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "seed": self.seed,
            "normalise": self.normalise,
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights:
            return None
        noise = torch.from_numpy(
            _generator(self.seed, parameter).standard_normal(parameter.shape, dtype=np.float32)
        )
        if self._is_one_row(parameter):
            parts = parameter.split(noise)
            factors = self._factors.get(parameter.name)
            if factors is None:
                factors = self._keep(parameter, [norm(part) for part in parts])
            for part, factor in zip(parts, factors, strict=True):
                _scaled(part, factor)
            return noise
        one, pristine = parameter.matrix, self.weights.pristine(parameter.name)
        for part, own in zip(parameter.split(noise), parameter.split(pristine), strict=True):
            own_rows = row_inner(part, part, one.output_dim).sqrt()
            wanted = row_inner(own, own, one.output_dim).sqrt().cpu()
            by_row = torch.where(own_rows > 0, wanted / own_rows, 0.0)
            part.mul_(along_rows(by_row.float(), one))
        return noise

    def pieces(self, parameter: Parameter) -> Iterator[Tensor] | None:
        """The same numbers as `tensor`, drawn PIECE at a time; None where rows are normalised."""
        if parameter.name not in self.weights or not self._is_one_row(parameter):
            return None
        if parameter.stacked is not None:
            return self._stacked_pieces(parameter)
        factors = self._factors.get(parameter.name)
        if factors is None:  # the noise is drawn once more, for its norm
            factors = self._keep(parameter, [norm_of_pieces(self._noise(parameter))])
        [factor] = factors
        return (_scaled(noise, factor) for noise in self._noise(parameter))

    def _stacked_pieces(self, parameter: Parameter) -> Iterator[Tensor]:
        """The same of stacked matrices, of which a piece may hold parts of several."""
        size = math.prod(parameter.matrix.shape)
        factors = self._factors.get(parameter.name)
        if factors is None:
            own = [norm(part) for part in _regrouped(self._noise(parameter), size)]
            factors = self._keep(parameter, own)
        done = 0
        for noise in self._noise(parameter):
            end = done + len(noise)
            for i in range(done // size, (end - 1) // size + 1):
                noise[max(0, i * size - done) : (i + 1) * size - done].mul_(factors[i])
            done = end
            yield noise

    def _is_one_row(self, parameter: Parameter) -> bool:
        return self.normalise == "tensor" or len(parameter.matrix.shape) < 2

    def _keep(self, parameter: Parameter, own: Sequence[float]) -> tuple[float, ...]:
        """What scales noise of the norms `own` to the parameter's matrices."""
        wanted = self.weights.matrix_norms(parameter)
        found = tuple(fp32(w / o) if o else 0.0 for w, o in zip(wanted, own, strict=True))
        self._factors[parameter.name] = found
        return found

    def _noise(self, parameter: Parameter) -> Iterator[Tensor]:
        generator = _generator(self.seed, parameter)
        count = math.prod(parameter.shape)
        for begin in range(0, count, PIECE):
            size = min(PIECE, count - begin)
            yield torch.from_numpy(generator.standard_normal(size, dtype=np.float32))


LAWS: dict[str, type[Gaussian]] = {"stream": Gaussian}
"""What draws a seed's noise: by a stream here, and by a counter in `CounterGaussian`."""


def random_direction(
    seed: int,
    weights: Weights,
    normalise: Normalise = "tensor",
    law: Law = "stream",
    *,
    name: str | None = None,
) -> Gaussian:
    """The direction of a seed by a law: `Gaussian` for "stream", `CounterGaussian` for "counter".

    Raises DirectionError for another law.
    """
    if law not in LAWS:
        raise DirectionError(
            f"There is no law '{law}' of random directions.", "Give stream or counter, or update."
        )
    return LAWS[law](seed, weights, normalise, name=name)


def _scaled(noise: Tensor, factor: float) -> Tensor:
    """The same tensor, multiplied in place by the thread that asks: several may draw."""
    noise.numpy()[...] *= np.float32(factor)
    return noise


def _regrouped(pieces: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    """The numbers of flat pieces, `size` at a time."""
    held: list[Tensor] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            *whole, rest = (
                torch.split(torch.cat(held), size)
                if count % size
                else (*torch.split(torch.cat(held), size), piece[:0])
            )
            yield from whole
            held, count = [rest], len(rest)


def _generator(seed: int, parameter: Parameter) -> np.random.Generator:
    """What draws the noise of a parameter, from the seed, its name and its shape alone."""
    shape = "x".join(map(str, parameter.shape))
    text = f"safebasin gaussian 1\0{seed}\0{parameter.name}\0{shape}"
    entropy = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy)))
