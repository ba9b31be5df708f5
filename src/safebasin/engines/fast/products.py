"""Products of tokens and weights in float32 on the CPU, by the faster of torch's two libraries.

torch multiplies float32 matrices by its BLAS. On some processors oneDNN, which comes with torch
too, takes half the time; which one does is measured once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, pad, silu

TOKENS_STEP = 16
"""oneDNN makes a kernel for every number of tokens: numbers are rounded up to multiples of this."""

SMALL = 2**20
"""Multiplications of a product that is too small to be worth oneDNN's call."""

LARGE = 2**24
"""Elements of a weight for which oneDNN's own memory, one block a kernel, is no longer small."""

WORTH = 0.85
"""The share of the usual way's time that another has to stay under."""

TRIED = (96, 256, 256)
"""Tokens, inputs and outputs of the product that is timed."""

WIDE = (48, 512, 1024)
"""The same of the product by which dtypes are compared."""


Weights = tuple[Tensor, Tensor | None]
"""The weight [out, in] and the bias [out] of a linear module."""


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x·Wᵀ + b for x [..., in], weight [out, in] and bias [out]."""
    if not _suits(x, weight):
        return linear(x, weight, bias)
    flat = x.reshape(-1, x.shape[-1])
    y = by_onednn(filled(flat), weight, bias)[: len(flat)]
    return y.view(*x.shape[:-1], y.shape[-1])


def added(x: Tensor, weight: Tensor, bias: Tensor | None, residual: Tensor) -> Tensor:
    """x·Wᵀ + b + r for x [tokens, in] and the residual r [tokens, out]."""
    if not _suits(x, weight):
        if x.is_cuda and bias is None:
            return torch.addmm(residual, x, weight.t())
        return linear(x, weight, bias).add_(residual)
    y = by_onednn(filled(x), weight, bias, "add", filled(residual))
    return y[: len(x)]


def gated(x: Tensor, gate: Weights, up: Weights) -> Tensor:
    """silu(x·Gᵀ + g) * (x·Uᵀ + u) for x [tokens, in]: the middle of a gated perceptron."""
    if not (_suits(x, gate[0]) and _suits(x, up[0])):
        return silu(linear(x, *gate), inplace=True).mul_(linear(x, *up))
    full = filled(x)
    opened = by_onednn(full, *gate, "swish")
    return by_onednn(full, *up, "mul", opened)[: len(x)]


Forward = tuple[nn.Module, Callable[..., Tensor]]
"""A module, and what is to be its forward."""


@contextmanager
def replaced(forwards: Sequence[Forward]) -> Iterator[None]:
    """The modules have these forwards while the context lasts, and their own ones after it.

    A module that was given a forward of its own, by whomever, keeps it.
    """
    changed = [(module, own) for module, own in forwards if "forward" not in module.__dict__]
    try:
        for module, forward in changed:
            module.__dict__["forward"] = forward
        yield
    finally:
        for module, _ in changed:
            module.__dict__.pop("forward", None)


def faster_forwards(model: nn.Module) -> list[Forward]:
    """The plain linear modules of a model with a faster forward each; none where there is none."""
    return [
        (module, _forward(module))
        for module in model.modules()
        if isinstance(module, nn.Linear)
        and type(module).forward is nn.Linear.forward
        and _may_suit(module.weight)
        and onednn_is_faster()
    ]


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 matrices faster than BLAS here, by a measurement."""
    if not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    tokens, inputs, outputs = TRIED
    x, weight = torch.ones(tokens, inputs), torch.ones(outputs, inputs)
    with torch.inference_mode():
        try:
            by_blas = seconds(lambda: linear(x, weight))
            return seconds(lambda: by_onednn(x, weight, None)) < WORTH * by_blas
        except RuntimeError:  # built without the operator for this processor
            return False


@cache
def bfloat16_gain() -> float:
    """How many times as fast torch multiplies matrices in bfloat16 as in float32, by a measurement.

    Processors without instructions for it are slower at it, those with some twice as fast.
    """
    tokens, inputs, outputs = WIDE

    def took(dtype: torch.dtype) -> float:
        x, weight = (
            torch.ones(tokens, inputs, dtype=dtype),
            torch.ones(outputs, inputs, dtype=dtype),
        )
        return seconds(lambda: linear(x, weight))

    with torch.inference_mode():
        return took(torch.float32) / took(torch.bfloat16)


def seconds(compute: Callable[[], Tensor], tries: int = 8) -> float:
    """The least time that something takes, of a few tries."""
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        compute()
        best = min(best, time.perf_counter() - start)
    return best


def _forward(module: nn.Linear) -> Callable[[Tensor], Tensor]:
    return lambda x: product(x, module.weight, module.bias)


def _suits(x: Tensor, weight: Tensor) -> bool:
    if x.numel() // x.shape[-1] * weight.numel() < SMALL:
        return False
    return _may_suit(weight) and x.dtype == torch.float32 and onednn_is_faster()


def _may_suit(weight: Tensor) -> bool:
    fits = weight.dtype == torch.float32 and weight.numel() <= LARGE
    return fits and weight.device.type == "cpu"


def filled(x: Tensor, step: int = TOKENS_STEP) -> Tensor:
    """The rows of x, and zeros up to a multiple of `step`."""
    missing = -len(x) % step
    return pad(x, (0, 0, 0, missing)) if missing else x


def by_onednn(
    x: Tensor, weight: Tensor, bias: Tensor | None, then: str = "none", other: Tensor | None = None
) -> Tensor:
    """x·Wᵀ + b, and then an operation on it, with another tensor where it takes one."""
    # The operators that torch's compiler uses for linear layers; there is no public name for them.
    y: Tensor
    if other is None:
        y = torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], "")
    else:
        y = torch.ops.mkldnn._linear_pointwise.binary(x, other, weight, bias, then)
    return y
