"""What the layers of a decoder compute, from the modules of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import silu

from safebasin.engines.fast.packed import Packed, Screened
from safebasin.engines.fast.products import bfloat16_gain

LARGE_HEAD = 2**22
"""Weights of an output layer from which its likeliest tokens may be found by bfloat16."""

WORTH_SCREENING = 1.3
"""How many times as fast as float32 bfloat16 has to multiply for that: a choice. Where it was twice
as fast, a pass of 40 rows of SmolLM2-135M took 72 ms and not 77."""

Linear = Callable[[Tensor], Tensor]
"""What a linear module computes."""

Linears = Callable[[Tensor], Sequence[Tensor]]
"""What several linear modules of the same input compute."""

Added = Callable[[Tensor, Tensor], Tensor]
"""What a linear module computes, added to a residual."""


class Layer(NamedTuple):
    """What a layer computes: `gains` and `eps` are those of its two norms.

    `heads` gives queries, keys and values side by side; `queries` is how much of it are the first.
    """

    gains: tuple[Tensor, Tensor]
    eps: tuple[float, float]
    heads: Linear
    queries: int
    output: Added
    middle: Linear
    down: Added
    size: int
    scaling: float
    alone: Products


class Products(NamedTuple):
    """The products of a layer without what lies between them."""

    heads: Linears
    output: Linears
    middle: Linears
    down: Linears


Others = Mapping[int, Linear]
"""What modules compute instead of their own, by the modules' ids."""


class Parts:
    """Makes what modules compute: their own products, or what others say; and keeps the former."""

    def __init__(self, others: Others) -> None:
        self.others = others
        self.packed: dict[tuple[int, ...], Packed] = {}

    def layer(self, layer: Any) -> Layer:
        attention, mlp = layer.self_attn, layer.mlp
        first, second = layer.input_layernorm, layer.post_attention_layernorm
        return Layer(
            gains=(first.weight, second.weight),
            eps=(first.variance_epsilon, second.variance_epsilon),
            heads=self.linear(attention.q_proj, attention.k_proj, attention.v_proj),
            queries=attention.q_proj.weight.shape[0],
            output=self.added(attention.o_proj),
            middle=self.gated(mlp.gate_proj, mlp.up_proj),
            down=self.added(mlp.down_proj),
            size=attention.head_dim,
            scaling=attention.scaling,
            alone=Products(
                heads=self.linears(attention.q_proj, attention.k_proj, attention.v_proj),
                output=self.linears(attention.o_proj),
                middle=self.linears(mlp.gate_proj, mlp.up_proj),
                down=self.linears(mlp.down_proj),
            ),
        )

    def linear(self, *modules: Any) -> Linear:
        """What modules of the same input give, side by side."""
        if not any(id(module) in self.others for module in modules):
            return self._own(*modules).product
        each = self.linears(*modules)
        return lambda x: torch.cat(list(each(x)), dim=-1) if len(modules) > 1 else each(x)[0]

    def linears(self, *modules: Any) -> Linears:
        """What modules of the same input give, each."""
        if not any(id(module) in self.others for module in modules):
            return self._own(*modules).products
        each = [self.others.get(id(module)) or self._own(module).product for module in modules]
        return lambda x: [one(x) for one in each]

    def added(self, module: Any) -> Added:
        other = self.others.get(id(module))
        if other is not None:
            return lambda x, residual: other(x).add_(residual)
        return self._own(module).added

    def gated(self, gate: Any, up: Any) -> Linear:
        if id(gate) in self.others or id(up) in self.others:
            opened, passed = self.linear(gate), self.linear(up)
            return lambda x: silu(opened(x), inplace=True).mul_(passed(x))
        return self._own(gate, up).gated

    def screened(self, output: Any) -> Screened | None:
        """The output layer, where its likeliest tokens are found sooner by bfloat16."""
        weight = output.weight
        large = weight.dtype == torch.float32 and weight.numel() >= LARGE_HEAD
        if not large or id(output) in self.others or output.bias is not None:
            return None
        if bfloat16_gain() < WORTH_SCREENING:
            return None
        found = self.packed[(id(output),)] = Screened((weight, None))
        return found

    def _own(self, *modules: Any) -> Packed:
        key = tuple(map(id, modules))
        if key not in self.packed:
            self.packed[key] = Packed(*((module.weight, module.bias) for module in modules))
        return self.packed[key]
