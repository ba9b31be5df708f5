"""The layers of Llama, Mistral and Qwen 2 models in few operators.

A pass of few tokens through a small model spends more of its time on calls than on arithmetic, and
on a GPU more of it on small kernels than on products. The forward of transformers makes about 190
calls for four layers; the same arithmetic takes half.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, pad, rms_norm
from torch.nn.modules import module as hooks_of_all_modules

from safebasin.engines.fast.attention import attend
from safebasin.engines.fast.compiled.kernels import Kept, Kernels, Turns
from safebasin.engines.fast.copies import Copies
from safebasin.engines.fast.decoder_layers import Layer, Linear, Parts
from safebasin.engines.fast.layout import Layout
from safebasin.engines.fast.likeliest import likeliest
from safebasin.engines.fast.products import Forward
from safebasin.engines.fast.slots import SlotStorage

CLASSES = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
"""Models whose layers compute this; `support.mismatch` holds what comes out against their own."""

MOST_QUERIES = 64
"""A group of more queries a row attends by torch's operator, which takes them in blocks: of eight
rows of 64 both took 1.0 ms, of one row of 1,024 the operator 18 and the kernel 29."""


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
        parts = Parts(others)
        self._layers = [parts.layer(layer) for layer in model.model.layers]
        self._rotary = model.model.rotary_emb
        self._like = model.model.norm.weight
        self._norm = model.model.norm.weight, model.model.norm.variance_epsilon
        tokens = model.model.embed_tokens
        self._embed: Linear = others.get(id(tokens), partial(embedding, weight=tokens.weight))
        self.kernels = _kernels(model) if self._like.device.type == "cpu" else None
        output = model.get_output_embeddings()
        self._screened = parts.screened(output) if self.kernels is not None else None
        self._head = parts.linear(output)
        self.copies = Copies(list(parts.packed.values()))
        self._turned: dict[int, tuple[Tensor, Tensor]] = {}
        self._turns_by_kernels: dict[int, Turns] = {}

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
        logits = self._head(self._outputs(storage, layout))
        self.copies.passed()
        return logits

    def likeliest(self, storage: SlotStorage, layout: Layout) -> Tensor | None:
        """The same of the likeliest tokens, int64 [2, predictions]: which, and whether their logits
        are numbers; None, with nothing computed, where it takes the logits."""
        kernels, screened = self.kernels, self._screened
        if kernels is None or (screened is None and self._like.dtype != torch.bfloat16):
            return None
        outputs = self._outputs(storage, layout)
        found = screened.likeliest(outputs, kernels) if screened is not None else None
        if found is None:
            logits = self._head(outputs)
            found = kernels.choose(logits) if logits.dtype == torch.bfloat16 else likeliest(logits)
        self.copies.passed()
        return found

    def _outputs(self, storage: SlotStorage, layout: Layout) -> Tensor:
        """The normed output of the last layer for the tokens that a layout wants logits of."""
        ids = layout.ids[0]
        tokens = len(ids)
        # For many tokens the products want a multiple; the tokens added are seen by no other.
        step = self.copies.step(tokens) if self._fills else 1
        more = -tokens % step if tokens > step else 0
        if more:
            ids = pad(ids, (0, more))
        x = self._embed(ids)
        if self.kernels is not None and storage.data.dtype == torch.float32:
            x = self._by_kernels(self.kernels, x, storage, layout)
        else:
            x = self._by_operators(x, storage, layout)
        return x[:tokens] if layout.wanted is None else x[layout.wanted]

    def _by_operators(self, x: Tensor, storage: SlotStorage, layout: Layout) -> Tensor:
        """The normed output of the last layer for embedded tokens x.

        Tokens beyond those of the layout fill the products only.
        """
        positions = layout.positions[0]
        tokens, more = len(positions), len(x) - len(positions)
        if more:
            positions = pad(positions, (0, more))
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
        return _normed(x, *self._norm)

    def _by_kernels(
        self, kernels: Kernels, x: Tensor, storage: SlotStorage, layout: Layout
    ) -> Tensor:
        """The same as `_by_operators`; x is written over."""
        positions = layout.positions[0]
        tokens, filled = len(positions), len(x)
        turns = self._float_turns(storage.length)
        single = all(group.queries <= MOST_QUERIES for group in layout.groups)
        longest = max(group.length for group in layout.groups)
        norms = [
            norm for layer in self._layers for norm in zip(layer.gains, layer.eps, strict=True)
        ]
        following = iter([*norms, self._norm])
        x = x.contiguous()
        nothing = x.new_zeros(filled - tokens, 1)
        n = kernels.norm(x, None, *next(following))
        for layer, cached in zip(self._layers, storage.layers, strict=True):
            products = layer.alone
            query, key, value = (each[:tokens] for each in products.heads(n))
            kept = Kept(cached.flat, positions, cached.places)
            turned = kernels.turn((query, key, value), turns, kept)
            if single:
                y = kernels.attend(turned, kept, layer.scaling, longest)
            else:
                y = attend(turned, cached.keys, cached.values, layer.scaling)
                y = y.reshape(tokens, -1).to(x.dtype)
            if filled > tokens:
                y = torch.cat([y, nothing.expand(filled - tokens, y.shape[1])])
            n = kernels.norm(x, products.output(y)[0], *next(following))
            y = kernels.gated(*products.middle(n))
            n = kernels.norm(x, products.down(y)[0], *next(following))
        return n

    def _float_turns(self, length: int) -> Turns:
        """The same as `_turns` in float32, for kernels."""
        cos, sin = self._turns(length)
        if len(cos) not in self._turns_by_kernels:
            pair = (each[:, 0].float().contiguous() for each in (cos, sin))
            self._turns_by_kernels[len(cos)] = Turns(*pair)
        return self._turns_by_kernels[len(cos)]

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


def _kernels(model: Any) -> Kernels | None:
    """The kernels for a model on the CPU; None where there are none."""
    attention = model.model.layers[0].self_attn
    size = attention.head_dim
    repeats = attention.q_proj.weight.shape[0] // attention.k_proj.weight.shape[0]
    return Kernels.of(model.dtype, repeats, size)


def suits(weight: Tensor) -> bool:
    """Whether the operators are quick where a weight lies, and in its dtype."""
    on_cpu = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.bfloat16)
    return weight.is_cuda or on_cpu


def _heads(x: Tensor, layer: Layer, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
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
