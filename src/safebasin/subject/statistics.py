"""What is gathered of a linear layer as rows stream by: sums, never the activations themselves."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from safebasin.subject.linear import Linear


class Statistic(Protocol):
    """A quantity of one linear layer over rows of conversation."""

    @property
    def nbytes(self) -> int:
        """What it holds in memory, by which the layers of one pass are chosen."""
        ...

    def see(self, x: Tensor, grad: Tensor | None) -> None:
        """Called once a row: what enters the layer, float32 [tokens, in], at the row's positions.

        `grad` is the gradient of the row's loss by what the layer gives there, float32
        [tokens, out]; None where no gradients are gathered.
        """
        ...

    def result(self) -> Tensor:
        """The quantity over all rows seen, float32 unless its class says otherwise."""
        ...


class InputNorm:
    """‖x_j‖₂ of each input j over all tokens: [in]. Wanda's norms (arXiv 2306.11695, Eq. 1)."""

    def __init__(self, linear: Linear) -> None:
        self._squares = torch.zeros(linear.inputs, dtype=torch.float64)

    @property
    def nbytes(self) -> int:
        return self._squares.nbytes

    def see(self, x: Tensor, grad: Tensor | None) -> None:
        self._squares += x.double().square_().sum(0).cpu()

    def result(self) -> Tensor:
        return self._squares.sqrt().float()


class MeanState:
    """The mean of what enters the layer, over all tokens: [in]; zero where there were none."""

    def __init__(self, linear: Linear) -> None:
        self._sum = torch.zeros(linear.inputs, dtype=torch.float64)
        self._tokens = 0

    @property
    def nbytes(self) -> int:
        return self._sum.nbytes

    def see(self, x: Tensor, grad: Tensor | None) -> None:
        self._sum += x.double().sum(0).cpu()
        self._tokens += len(x)

    def result(self) -> Tensor:
        return (self._sum / max(1, self._tokens)).float()


class InputGram:
    """Σ x·xᵀ over all tokens: [in, in], of which the ranks of W·X follow (ActSVD, 2402.05162).

    float64: singular values are square roots, which have half of its digits.
    """

    def __init__(self, linear: Linear) -> None:
        self._inputs = linear.inputs
        self._sum: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return 8 * self._inputs**2

    def see(self, x: Tensor, grad: Tensor | None) -> None:
        x = x.double()
        if self._sum is None:
            self._sum = x.new_zeros(self._inputs, self._inputs)
        self._sum.addmm_(x.T, x)

    def result(self) -> Tensor:
        if self._sum is None:
            return torch.zeros(self._inputs, self._inputs, dtype=torch.float64)
        return self._sum


class WeightGradient:
    """Σ ∇_W L(row) over the rows: [out, in]; of their absolute values where `absolute`.

    ∇_W L(row) = Σ_t grad_t·x_tᵀ, so gather it with `where="all"`: prompts have gradients, too.
    """

    def __init__(self, linear: Linear, *, absolute: bool = False) -> None:
        self.absolute = absolute
        self._shape = (linear.outputs, linear.inputs)
        self._sum: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return 4 * self._shape[0] * self._shape[1]

    def see(self, x: Tensor, grad: Tensor | None) -> None:
        if grad is None:
            raise ValueError("a weight gradient is gathered with gradients")
        if self._sum is None:
            self._sum = x.new_zeros(self._shape)
        if self.absolute:
            self._sum += (grad.T @ x).abs_()
        else:
            self._sum.addmm_(grad.T, x)

    def result(self) -> Tensor:
        return torch.zeros(self._shape) if self._sum is None else self._sum
