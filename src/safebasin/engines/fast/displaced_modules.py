"""What a displaced module computes for tokens of many points: y = x·W0ᵀ + c·(x·Dᵀ).

Every token has its own coefficient c. Where many tokens of a pass share one, its displaced weights
may be kept ready, which halves the work: y = x·(W0 + c·D)ᵀ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from transformers.pytorch_utils import Conv1D

from safebasin.engines.fast.products import product
from safebasin.weights.sums import fp32


@dataclass
class Tokens:
    """The coefficients of the tokens that reach a module in the current pass.

    column   float32 [tokens, 1]
    runs     (begin, end, coefficient) of the tokens, first in the pass, whose displaced weights
             are ready; they follow one another without gaps
    """

    column: Tensor | None = None
    runs: list[tuple[int, int, float]] = field(default_factory=list)


@dataclass
class Part:
    """What displaces one module.

    weight   the direction's matrix, in the layout of the module's own
    factors  or (up [out, rank], down [rank, in]), whose product it is
    bias     the direction's bias
    ready    the module's displaced weight and bias by coefficient
    """

    weight: Tensor | None = None
    factors: tuple[Tensor, Tensor] | None = None
    bias: Tensor | None = None
    ready: dict[float, tuple[Tensor, Tensor | None]] = field(default_factory=dict)

    def prepare(self, module: Any, coefficient: float) -> None:
        """Keep the displaced weights of one coefficient ready, rounded as `Weights` does."""
        if isinstance(module, nn.Embedding):
            return
        weight = _moved(module.weight, self.weight, coefficient)
        bias = None if module.bias is None else _moved(module.bias, self.bias, coefficient)
        self.ready[coefficient] = (weight, bias)


def is_plain(module: nn.Module) -> bool:
    """Whether a module computes what its class says, and nothing else."""
    forward = type(module).forward
    if isinstance(module, nn.Embedding):
        plain = forward is nn.Embedding.forward or hasattr(module, "embed_scale")
        return plain and module.max_norm is None
    return forward in (nn.Linear.forward, Conv1D.forward)


def displaced_forward(module: nn.Module, part: Part, tokens: Tokens) -> Callable[[Tensor], Tensor]:
    """The forward of a plain module for the tokens of many points."""
    if isinstance(module, nn.Embedding):
        return lambda ids: _embed(module, part, ids, _column(tokens))
    transposed = isinstance(module, Conv1D)
    return lambda x: _multiply(module, part, x, tokens, transposed)


def _column(tokens: Tokens) -> Tensor:
    if tokens.column is None:
        raise RuntimeError("a pooled module was called outside a pass")
    return tokens.column


def _embed(module: nn.Embedding, part: Part, ids: Tensor, column: Tensor) -> Tensor:
    """Rows of the displaced table for ids [1, tokens]."""
    rows = embedding(ids, module.weight)
    step: Tensor | None = None
    if part.factors is not None:
        up, down = part.factors
        step = embedding(ids, up) @ down
    elif part.weight is not None:
        step = embedding(ids, part.weight)
    if step is not None:
        rows.add_(_scaled(step.view(-1, step.shape[-1]), column).view_as(rows))
    scale = getattr(module, "embed_scale", None)
    return rows if scale is None else rows * torch.as_tensor(scale).to(rows.dtype)


def _multiply(module: Any, part: Part, x: Tensor, tokens: Tokens, transposed: bool) -> Tensor:
    """The displaced layer's output for x [1, tokens, in]."""
    flat = x.reshape(-1, x.shape[-1])
    column = _column(tokens)
    if not tokens.runs:
        y = _pooled(module, part, flat, column, transposed)
        return y.view(*x.shape[:-1], y.shape[-1])
    parts = []
    done = 0
    for begin, end, coefficient in tokens.runs:
        weight, bias = part.ready[coefficient]
        parts.append(product(flat[begin:end], weight.t() if transposed else weight, bias))
        done = end
    if done < len(flat):
        parts.append(_pooled(module, part, flat[done:], column[done:], transposed))
    y = parts[0] if len(parts) == 1 else torch.cat(parts)
    return y.view(*x.shape[:-1], y.shape[-1])


def _pooled(module: Any, part: Part, flat: Tensor, column: Tensor, transposed: bool) -> Tensor:
    """The displaced layer's output for x [tokens, in], each token with its own coefficient."""
    if transposed:
        y = torch.addmm(module.bias, flat, module.weight)
    else:
        y = product(flat, module.weight, module.bias)
    if part.factors is not None:
        up, down = part.factors
        y.addmm_(_scaled(flat @ down.t(), column), up.t())
    elif part.weight is not None:
        y.addmm_(_scaled(flat, column), part.weight if transposed else part.weight.t())
    if part.bias is not None:
        y.add_(_scaled(part.bias.expand_as(y), column))
    return y


def _scaled(x: Tensor, column: Tensor) -> Tensor:
    """Each row times its coefficient, multiplied in float32 and rounded once to x's dtype."""
    return torch.mul(x, column, out=torch.empty(x.shape, dtype=x.dtype, device=x.device))


def _moved(origin: Tensor, step: Tensor | None, coefficient: float) -> Tensor:
    if step is None:
        return origin
    total = origin.to(torch.float32, copy=True)
    return total.add_(step.to(torch.float32).mul(fp32(coefficient))).to(origin.dtype)
