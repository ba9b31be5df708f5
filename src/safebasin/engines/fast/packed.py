"""Weights of linear modules in the order in which oneDNN reads them.

oneDNN puts weights that lie otherwise in order anew for every product, which for few tokens is a
good part of its work.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import silu

from safebasin.engines.fast.compiled.kernels import Exact, Kernels
from safebasin.engines.fast.products import (
    TOKENS_STEP,
    Weights,
    added,
    by_onednn,
    filled,
    gated,
    product,
)

SMALL = 2**18
"""Multiplications of a product that is too small to be worth oneDNN's call."""

FEW = 512
"""Tokens up to which one product of two modules saves more than the larger memory of it costs."""


class Packed:
    """Linear modules of the same input, side by side as one, and a copy of them in oneDNN's order.

    Without a copy that is as they are, or for few tokens, products are made from the weights.
    """

    def __init__(self, *weights: Weights) -> None:
        self.weights = weights
        self.tensors = [tensor for pair in weights for tensor in pair if tensor is not None]
        self.elements = sum(weight.numel() for weight, _ in weights)
        self.step = TOKENS_STEP
        self._copy: Tensor | None = None
        self._bias: Tensor | None = None
        self._seen: list[tuple[int, int]] | None = None
        self._copied = False

    @property
    def bytes(self) -> int:
        """What a copy takes."""
        return sum(weight.nbytes for weight, _ in self.weights)

    def is_copied(self) -> bool:
        """Whether there is a copy of the weights as they were when they were last looked at."""
        return self._copied

    def forget(self) -> None:
        """Take the copy for that of other weights, whatever wrote to them."""
        self._seen = None

    def look(self) -> bool:
        """Look whether a weight or a bias was written to since; the copy is of no use then.

        What is written through a parameter's `.data` is not noticed, as torch does not count it.
        """
        seen = [(tensor._version, tensor.data_ptr()) for tensor in self.tensors]
        changed = seen != self._seen
        if changed:
            self._seen, self._copied = seen, False
        return changed

    def drop(self) -> None:
        """Give back the memory of the copy."""
        self._copy = self._bias = None
        self._copied = False

    @torch.inference_mode()
    def copy(self) -> None:
        """Copy the weights as they are. The new copy takes the memory of the one before it."""
        weights = [weight for weight, _ in self.weights]
        biases = [bias for _, bias in self.weights if bias is not None]
        self._copy = None
        whole = weights[0] if len(weights) == 1 else torch.cat(weights)
        self._copy = torch.ops.mkldnn._reorder_linear_weight(whole, None)
        self._bias = torch.cat(biases) if biases else None
        self._copied = True

    def product(self, x: Tensor) -> Tensor:
        """x·Wᵀ + b [tokens, out of all modules], for x [tokens, in]; memory of its own."""
        if self._copied and self._copy is not None and self._is_worth(x):
            return by_onednn(self._filled(x), self._copy, self._bias)[: len(x)]
        parts = [product(x, *each) for each in self.weights]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)

    def products(self, x: Tensor) -> Sequence[Tensor]:
        """x·Wᵀ + b [tokens, out] of each module, which may lie side by side."""
        if self._copied and self._copy is not None and self._is_worth(x):
            sizes = [weight.shape[0] for weight, _ in self.weights]
            return torch.split(self.product(x), sizes, dim=-1)
        return [product(x, *each) for each in self.weights]

    def added(self, x: Tensor, residual: Tensor) -> Tensor:
        """x·Wᵀ + b + r for one module and the residual r [tokens, out]."""
        if self._copied and self._is_worth(x):
            return self.product(x).add_(residual)
        return added(x, *self.weights[0], residual)

    def gated(self, x: Tensor) -> Tensor:
        """silu(x·Gᵀ + g) * (x·Uᵀ + u) for two modules, of as many outputs."""
        if self._copied and self._is_worth(x) and len(x) <= FEW:
            opened, passed = self.product(x).chunk(2, dim=-1)
            return silu(opened).mul_(passed)
        return gated(x, *self.weights)

    def _is_worth(self, x: Tensor) -> bool:
        return len(x) * self.elements >= SMALL

    def _filled(self, x: Tensor) -> Tensor:
        """Few tokens as they are; for more there are kernels only for some numbers of them."""
        return filled(x, self.step) if len(x) > self.step else x


class Screened(Packed):
    """An output layer in float32, of which the likeliest tokens are found by bfloat16.

    Its copy is one in bfloat16, by which all logits are computed nearly.
    """

    norms: Tensor

    @property
    def bytes(self) -> int:
        return super().bytes // 2

    def drop(self) -> None:
        super().drop()
        self.norms = torch.empty(0)

    @torch.inference_mode()
    def copy(self) -> None:
        ((weight, _),) = self.weights
        self._copy = None
        near = weight.to(torch.bfloat16)
        self._copy = torch.ops.mkldnn._reorder_linear_weight(near, None)
        self.norms = torch.linalg.vector_norm(weight, dim=1)
        self._copied = True

    def product(self, x: Tensor) -> Tensor:
        return product(x, *self.weights[0])

    def likeliest(self, x: Tensor, kernels: Kernels) -> Tensor | None:
        """int64 [2, tokens]: the likeliest tokens, and whether their logits are numbers; None
        where there is no copy of the weights as they are."""
        if not self._copied or self._copy is None:
            return None
        near = by_onednn(self._filled(x).to(torch.bfloat16), self._copy, None)
        return kernels.choose(near[: len(x)], Exact(x, self.weights[0][0], self.norms))
