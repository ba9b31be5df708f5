"""Attention of packed rows over their slots, in the form that transformers' models call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from safebasin.engines.fast.layout import Group, Layout

NAME = "safebasin_slots"

FEW_PAIRS = 2**20
"""On a CPU, so many pairs of a query and a key, over all heads, are attended to by plain products:
for many short rows torch's own kernel spends its time on calls."""

_layout: ContextVar[Layout] = ContextVar("layout of the pass")


@contextmanager
def laid_out(layout: Layout) -> Iterator[None]:
    """Attention follows this layout while the context lasts."""
    token = _layout.set(layout)
    try:
        yield
    finally:
        _layout.reset(token)


def slot_attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend from packed queries [1, heads, tokens, size] to a layer's slots.

    `key` and `value` are the whole storage [slots, key heads, length, size]. The mask given is
    ignored: the layout holds one for each group of rows. Returns [1, tokens, heads, size].
    """
    if kwargs.get("softcap") is not None or kwargs.get("s_aux") is not None:
        raise NotImplementedError("attention with a soft cap or sinks")
    packed = query[0].transpose(0, 1)
    layout = _layout.get()
    parts = [_attend(group, packed, key, value, scaling) for group in layout.groups]
    attended = parts[0] if len(parts) == 1 else torch.cat(parts)
    if layout.restore is not None:
        attended = attended[layout.restore]
    return attended[None], None


def _attend(
    group: Group, packed: Tensor, key: Tensor, value: Tensor, scaling: float | None
) -> Tensor:
    """The attention of one group's queries, of all [tokens, heads, size]; padding included."""
    query = packed[group.tokens] if group.pick is None else packed[group.pick]
    _, heads, size = query.shape
    shared = key.shape[1]
    repeats = heads // shared
    rows = group.mask.shape[0]
    # Query heads that share keys become further queries of one head.
    query = query.reshape(rows, group.queries, shared, repeats, size).permute(0, 2, 3, 1, 4)
    query = query.reshape(rows, shared, repeats * group.queries, size)
    key = key[group.slots, :, : group.length]
    value = value[group.slots, :, : group.length]
    mask = group.mask_for(repeats)
    pairs = rows * shared * repeats * group.queries * group.length
    if query.device.type == "cpu" and pairs <= FEW_PAIRS:
        attended = _by_products(query, key, value, mask, scaling)
    else:
        attended = scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    attended = attended.view(rows, shared, repeats, group.queries, size).permute(0, 3, 1, 2, 4)
    return attended.reshape(rows * group.queries, heads, size)


def _by_products(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None
) -> Tensor:
    """The same in three steps, all heads of all rows in one batch of products."""
    rows, heads, queries, size = query.shape
    scale = size**-0.5 if scaling is None else scaling
    # Rows and heads lie evenly apart, so that both can be seen as one dimension without a copy.
    keys, values = key.flatten(0, 1), value.flatten(0, 1)
    scores = torch.bmm((query * scale).flatten(0, 1), keys.transpose(1, 2))
    scores = scores.view(rows, heads, queries, -1).add_(mask).softmax(-1)
    return torch.bmm(scores.flatten(0, 1), values).view(query.shape)


AttentionInterface.register(NAME, slot_attention)
