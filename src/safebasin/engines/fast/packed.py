"""Weights of linear modules in the order in which oneDNN reads them.

oneDNN puts weights that lie otherwise in order anew for every product, which for few tokens is a
good part of its work. A small model has room for a copy in that order, made once a point.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import silu

from safebasin.engines.fast import products
from safebasin.engines.fast.products import Weights, added, by_onednn, filled, gated, product

SMALL = 2**18
"""Multiplications of a product that is too small to be worth oneDNN's call."""

FEW = 512
"""Tokens up to which one product of two modules saves more than the larger memory of it costs."""

MOST = 2**23
"""Elements of all weights together from which on a second copy of them is not small any more."""


class Packed:
    """Linear modules of the same input, side by side as one, and a copy of them in oneDNN's order.

    Without the copy, or for few tokens, products are made from the weights themselves.
    """

    def __init__(self, *weights: Weights) -> None:
        self.weights = weights
        self.tensors = [tensor for pair in weights for tensor in pair if tensor is not None]
        self.elements = sum(weight.numel() for weight, _ in weights)
        self._copy: Tensor | None = None
        self._bias: Tensor | None = None
        self._seen: list[tuple[int, int]] = []

    def forget(self) -> None:
        """Have the copy made anew the next time, whatever wrote to the weights."""
        self._seen = []

    def refresh(self) -> None:
        """Make the copy, where a weight or a bias was written to since it was made.

        What is written through a parameter's `.data` is not noticed, as torch does not count it.
        """
        seen = [(tensor._version, tensor.data_ptr()) for tensor in self.tensors]
        if seen != self._seen:
            self._make()
            self._seen = seen

    @torch.inference_mode()
    def _make(self) -> None:
        weights = [weight for weight, _ in self.weights]
        biases = [bias for _, bias in self.weights if bias is not None]
        whole = weights[0] if len(weights) == 1 else torch.cat(weights)
        self._copy = torch.ops.mkldnn._reorder_linear_weight(whole, None)
        self._bias = torch.cat(biases) if biases else None

    def product(self, x: Tensor) -> Tensor:
        """x·Wᵀ + b [tokens, out of all modules], for x [tokens, in]; memory of its own."""
        if self._copy is not None and self._is_worth(x):
            return by_onednn(_filled(x), self._copy, self._bias)[: len(x)]
        parts = [product(x, *each) for each in self.weights]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """x·Wᵀ + b + r for one module and the residual r [tokens, out]."""
        if self._copy is not None and self._is_worth(x):
            return self.product(x).add_(residual)
        return added(x, *self.weights[0], residual)

    def gated(self, x: Tensor) -> Tensor:
        """silu(x·Gᵀ + g) * (x·Uᵀ + u) for two modules, of as many outputs."""
        if self._copy is not None and self._is_worth(x) and len(x) <= FEW:
            opened, passed = self.product(x).chunk(2, dim=-1)
            return silu(opened).mul_(passed)
        return gated(x, *self.weights)

    def _is_worth(self, x: Tensor) -> bool:
        return len(x) * self.elements >= SMALL


def may_pack(modules: Sequence[Packed]) -> bool:
    """Whether copies of these are small, and oneDNN's products are faster here."""
    tensors = [tensor for module in modules for tensor in module.tensors]
    if any(t.dtype != torch.float32 or t.device.type != "cpu" for t in tensors):
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    biased = [[bias is not None for _, bias in module.weights] for module in modules]
    alike = all(all(each) or not any(each) for each in biased)
    small = sum(module.elements for module in modules) <= MOST
    return alike and small and products.onednn_is_faster()


def _filled(x: Tensor) -> Tensor:
    """Few tokens as they are; for more there are kernels only for some numbers of them."""
    return filled(x) if len(x) > products.TOKENS_STEP else x
