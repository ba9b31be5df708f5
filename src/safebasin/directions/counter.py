"""Random directions drawn by a counter, each of them a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from safebasin.config import Normalise
from safebasin.directions.counter_displacement import displace_, parts_of, sums_of_squares
from safebasin.directions.counter_noise import Parts, draw, noise_key, whole_numbers
from safebasin.directions.gaussian import LAWS, Gaussian
from safebasin.weights import Weights
from safebasin.weights.counted import Term
from safebasin.weights.parameters import Parameter
from safebasin.weights.streaming import PIECE
from safebasin.weights.sums import raw, row_inner

_SAMPLE = 1 << 12


class CounterGaussian(Gaussian):
    """Random noise scaled to the weights, as `Gaussian`, each element of which is drawn by itself.

    An element depends on the seed, the parameter's name and shape and its own index alone, and
    comes from integer arithmetic and a table (`counter_noise`, `normal_table`): the same bits on
    any device, whole or in pieces. On a GPU weights are displaced by one kernel, and nothing of
    the direction is stored. The noise of a seed is another than that of `Gaussian`.
    """

    concurrent = False  # torch's own threads draw

    def __init__(
        self,
        seed: int,
        weights: Weights,
        normalise: Normalise = "tensor",
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(seed, weights, normalise, name=name)
        self._scales: dict[str, float | Tensor] = {}

    def spec(self) -> dict[str, Any]:
        return {**super().spec(), "law": "counter"}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights:
            return None
        scale, device = self._scale(parameter), self._device(parameter)
        noise = draw(self._key(parameter), 0, math.prod(parameter.shape), device)
        if isinstance(scale, Tensor):
            matrices, outer, rows, inner = self._parts(parameter)
            parts = noise.view(matrices, outer, rows, inner)
            parts.mul_(scale.to(device).view(matrices, 1, rows, 1))
        else:
            noise.mul_(scale)
        return noise.reshape(parameter.shape)

    def pieces(self, parameter: Parameter) -> Iterator[Tensor] | None:
        """The same numbers as `tensor`, PIECE at a time; None where there are several scales."""
        if parameter.name not in self.weights:
            return None
        scale, device = self._scale(parameter), self._device(parameter)
        if isinstance(scale, Tensor):
            return None
        key, count = self._key(parameter), math.prod(parameter.shape)
        return (
            draw(key, begin, min(PIECE, count - begin), device).mul_(scale)
            for begin in range(0, count, PIECE)
        )

    def term(self, parameter: Parameter, coefficient: float) -> Term | None:
        """What displaces the parameter by so much without holding the direction; None for none."""
        if parameter.name not in self.weights:
            return None
        return Term(self._key(parameter), coefficient, self._scale(parameter))

    def displace_(
        self,
        target: Tensor,
        origin: Tensor,
        terms: Sequence[Term],
        parameter: Parameter,
        offset: int,
    ) -> Tensor:
        """Add the noise of all terms to part of a parameter; see `Counted`."""
        return displace_(target, origin, terms, offset=offset, parts=parts_of(parameter))

    def essence(self, parameter: Parameter) -> bytes | None:
        """Bytes that tell `tensor` apart from any other, without all of it; None for none."""
        if parameter.name not in self.weights:
            return None
        key, scale = self._key(parameter), self._scale(parameter)
        count = min(_SAMPLE, math.prod(parameter.shape))
        sample = whole_numbers(key, 0, count, self._device(parameter))
        scales = torch.as_tensor(scale, dtype=torch.float32)
        return b"counter\0%016x%016x\0" % key + bytes(raw(scales)) + bytes(raw(sample))

    def _key(self, parameter: Parameter) -> tuple[int, int]:
        return noise_key(self.seed, parameter.name, parameter.shape)

    def _device(self, parameter: Parameter) -> torch.device:
        return self.weights.pristine(parameter.name).device

    def _parts(self, parameter: Parameter) -> Parts:
        """What is scaled by one number each, as the rows of parts."""
        fall = parts_of(parameter)
        return Parts(1, 1, fall.matrices, fall.size) if self._is_one_row(parameter) else fall

    def _scale(self, parameter: Parameter) -> float | Tensor:
        """‖W‖/‖z‖ as float32: of the tensor, or of each of its parts."""
        known = self._scales.get(parameter.name)
        if known is None:
            known = self._scales[parameter.name] = self._measured_scale(parameter)
        return known

    def _measured_scale(self, parameter: Parameter) -> float | Tensor:
        parts = self._parts(parameter)
        own = np.sqrt(sums_of_squares(self._key(parameter), parts, self._device(parameter)))
        if self._is_one_row(parameter):
            wanted = np.array(self.weights.matrix_norms(parameter))
        else:
            dim, pristine = parameter.output_dim, self.weights.pristine(parameter.name)
            each = [row_inner(one, one, dim).sqrt() for one in parameter.split(pristine)]
            wanted = torch.cat(each).cpu().numpy()
        factors = np.divide(wanted, own, out=np.zeros_like(own), where=own > 0)
        scales = torch.from_numpy(factors.astype(np.float32))
        return scales if len(scales) > 1 else float(scales)


LAWS["counter"] = CounterGaussian
