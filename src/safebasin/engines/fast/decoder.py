"""The layers of Llama, Mistral and Qwen 2 models in few operators.

A pass of few tokens through a small model spends more of its time on calls than on arithmetic, and
on a GPU more of it on small kernels than on products. The forward of transformers makes about 190
calls for four layers; the same arithmetic takes half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import is_
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad, rms_norm, silu
from torch.nn.modules import module as hooks_of_all_modules

from safebasin.engines.fast.attention import attend
from safebasin.engines.fast.copies import Copies
from safebasin.engines.fast.layout import Layout
from safebasin.engines.fast.packed import Packed
from safebasin.engines.fast.products import Forward
from safebasin.engines.fast.slots import SlotStorage

CLASSES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
"""Models whose layers compute this; `support.mismatch` holds what comes out against their own."""


Linear = Callable[[Tensor], Tensor]
"""What a linear module computes."""

Added = Callable[[Tensor, Tensor], Tensor]
"""The same, added to a residual."""


class _Layer(NamedTuple):
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


class _Made:
    """The modules of a model as they were when the decoder was made."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = list(model.modules())
        self.kinds = list(map(type, self.modules))
        self.attributes = [module.__dict__ for module in self.modules]
        self.hooks = [
            hooks
            for module in self.modules
            for hooks in (module._forward_hooks, module._forward_pre_hooks)
        ]
        self.holders: list[dict[str, Any]] = [
            holder for module in self.modules for holder in (module._modules, module._parameters)
        ]
        self.parts = self._parts()

    def is_unchanged(self) -> bool:
        """Whether they have the same parts, no hooks, and no forward of their own."""
        if any(self.hooks) or any("forward" in attributes for attributes in self.attributes):
            return False
        parts = self._parts()
        same = len(parts) == len(self.parts) and all(map(is_, parts, self.parts))
        return same and all(map(is_, map(type, self.modules), self.kinds))

    def _parts(self) -> list[nn.Module | nn.Parameter | None]:
        return [part for holder in self.holders for part in holder.values()]


class Decoder:
    """The packed pass of one model, by the weights that its parameters have at the time.

    `forwards` are what some of its modules compute instead of their own, as a pool's do.
    """

    def __init__(self, model: Any, forwards: Sequence[Forward] = ()) -> None:
        others = {id(module): forward for module, forward in forwards}
        self._made = _Made(model)
        self._fills = model.device.type == "cpu" and not others
        parts = _Parts(others)
        self._layers = [parts.layer(layer) for layer in model.model.layers]
        self._rotary = model.model.rotary_emb
        self._like = model.model.norm.weight
        self._norm = model.model.norm.weight, model.model.norm.variance_epsilon
        tokens = model.model.embed_tokens
        self._embed: Linear = others.get(id(tokens), partial(embedding, weight=tokens.weight))
        self._head = parts.linear(model.get_output_embeddings())
        self.copies = Copies(parts.packed)
        self._turned: dict[int, tuple[Tensor, Tensor]] = {}

    @classmethod
    def of(cls, model: Any) -> Decoder | None:
        """The decoder of a model; None where its layers are others, or it is not known there."""
        kind = type(model)
        if kind.__name__ not in CLASSES or not kind.__module__.startswith("transformers."):
            return None
        if model.config.hidden_act != "silu":
            return None
        if not suits(next(model.parameters())):
            return None
        if len({(p.dtype, p.device) for p in model.parameters()}) > 1:
            return None
        linear = (m for layer in model.model.layers for m in _linear_modules(layer))
        return cls(model) if all(type(module) is nn.Linear for module in linear) else None

    def is_whole(self) -> bool:
        """Whether the modules compute what they did at first: no hooks, nothing in their place."""
        general = hooks_of_all_modules
        if general._global_forward_hooks or general._global_forward_pre_hooks:
            return False
        return self._made.is_unchanged()

    @property
    def copied_bytes(self) -> int:
        """What the copies of weights take, made or to be made."""
        return self.copies.bytes

    def refresh(self) -> None:
        """Take note of the weights as they are; to be called before the passes that go by them."""
        self.copies.refresh()

    def forget(self) -> None:
        """Take nothing of the weights as known the next time."""
        self.copies.forget()

    def logits(self, storage: SlotStorage, layout: Layout) -> Tensor:
        """The logits [predictions, vocabulary] that a layout wants; keys and values are stored.

        To be called within `attention.laid_out`, after `storage.write_to`.
        """
        ids, positions = layout.ids[0], layout.positions[0]
        tokens = len(ids)
        # For many tokens the products want a multiple; the tokens added are seen by no other.
        step = self.copies.step(tokens) if self._fills else 1
        more = -tokens % step if tokens > step else 0
        if more:
            ids, positions = pad(ids, (0, more)), pad(positions, (0, more))
        x = self._embed(ids)
        cos, sin = self._turns(storage.length)
        turn = cos.index_select(0, positions), sin.index_select(0, positions)
        nothing = x.new_zeros((more, 1))
        for layer, cached in zip(self._layers, storage.layers, strict=True):
            query, both = _heads(_normed(x, layer.gains[0], layer.eps[0]), layer, turn)
            cached.store(both[:tokens])
            y = attend(query[:tokens], cached.keys, cached.values, layer.scaling).reshape(
                tokens, -1
            )
            if more:
                y = torch.cat([y, nothing.expand(more, y.shape[1])])
            x = layer.output(y, x)
            x = layer.down(layer.middle(_normed(x, layer.gains[1], layer.eps[1])), x)
        x = x[:tokens] if layout.wanted is None else x[layout.wanted]
        logits = self._head(_normed(x, *self._norm))
        self.copies.passed()
        return logits

    def _turns(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines [at least length, 1, size] of the positions' angles.

        The sines of the first half are negative, as the second half is taken from there. What was
        made is kept: recorded passes read it.
        """
        size = 1 << (length - 1).bit_length()
        if size not in self._turned:
            places = torch.arange(size, device=self._like.device)
            cos, sin = self._rotary(self._like, places[None])
            sign = torch.ones(sin.shape[-1], dtype=sin.dtype, device=sin.device)
            sign[: len(sign) // 2] = -1
            self._turned[size] = cos[0][:, None], (sin[0] * sign)[:, None]
        return self._turned[size]


def suits(weight: Tensor) -> bool:
    """Whether the operators are quick where a weight lies, and in its dtype."""
    on_cpu = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
    return weight.is_cuda or on_cpu


def _heads(x: Tensor, layer: _Layer, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Queries [tokens, heads, size], and keys and values [tokens, 2 · key heads · size].

    Queries and keys are turned by their positions.
    """
    tokens, size, queries = len(x), layer.size, layer.queries
    whole = layer.heads(x)
    keys = (whole.shape[-1] - queries) // 2
    turned = whole[:, : queries + keys].view(tokens, -1, size)
    swapped = turned.roll(size // 2, -1)
    torch.addcmul(turned * turn[0], swapped, turn[1], out=turned)
    return turned[:, : queries // size], whole[:, queries:]


def _normed(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    return rms_norm(x, gain.shape, gain, eps)


Others = Mapping[int, Linear]
"""What modules compute instead of their own, by the modules' ids."""


class _Parts:
    """Makes what modules compute: their own products, or what others say; and keeps the former."""

    def __init__(self, others: Others) -> None:
        self.others = others
        self.packed: list[Packed] = []

    def layer(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        first, second = layer.input_layernorm, layer.post_attention_layernorm
        return _Layer(
            gains=(first.weight, second.weight),
            eps=(first.variance_epsilon, second.variance_epsilon),
            heads=self.linear(attention.q_proj, attention.k_proj, attention.v_proj),
            queries=attention.q_proj.weight.shape[0],
            output=self.added(attention.o_proj),
            middle=self.gated(mlp.gate_proj, mlp.up_proj),
            down=self.added(mlp.down_proj),
            size=attention.head_dim,
            scaling=attention.scaling,
        )

    def linear(self, *modules: Any) -> Linear:
        """What modules of the same input give, side by side."""
        if not any(id(module) in self.others for module in modules):
            return self._own(*modules).product
        each = [self.others.get(id(module)) or self._own(module).product for module in modules]
        return each[0] if len(each) == 1 else lambda x: torch.cat([one(x) for one in each], dim=-1)

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

    def _own(self, *modules: Any) -> Packed:
        packed = Packed(*((module.weight, module.bias) for module in modules))
        self.packed.append(packed)
        return packed


def _linear_modules(layer: Any) -> list[nn.Module]:
    attention, mlp = layer.self_attn, layer.mlp
    return [
        attention.q_proj,
        attention.k_proj,
        attention.v_proj,
        attention.o_proj,
        mlp.gate_proj,
        mlp.up_proj,
        mlp.down_proj,
    ]
