"""Attention of packed rows over their slots, in the form that transformers' models call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from safebasin.engines.fast.layout import Group, Layout
from safebasin.engines.fast.products import WORTH, seconds

NAME = "safebasin_slots"

LOG = logging.getLogger(__name__)

CLOSE = 0.02
"""How far a kernel's results may be from torch's, relative to their size: both round to 16 bits."""

AHEAD = 2**20
"""Bytes of keys and values from which all threads read them before NumPy does, which keeps to one:
a choice. SmolLM2-135M's at 40 rows of 85 tokens are 5 MB a layer, which two threads read in .17 ms;
attention to them took .60 ms, and then .46."""

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
    return attend(query[0].transpose(0, 1), key, value, scaling)[None], None


def attend(packed: Tensor, key: Tensor, value: Tensor, scaling: float | None = None) -> Tensor:
    """The same for queries [tokens, heads, size]: what they attend to, in that shape and dtype."""
    layout = _layout.get()
    queries = packed.to(key.dtype)
    parts = [_attend(group, queries, key, value, scaling) for group in layout.groups]
    attended = parts[0] if len(parts) == 1 else torch.cat(parts)
    restored = attended if layout.restore is None else attended[layout.restore]
    return restored.to(packed.dtype)


def _attend(
    group: Group, packed: Tensor, key: Tensor, value: Tensor, scaling: float | None
) -> Tensor:
    """The attention of one group's queries, of all [tokens, heads, size]; padding included."""
    query = packed[group.tokens] if group.pick is None else packed[group.pick]
    _, heads, size = query.shape
    shared = key.shape[1]
    repeats = heads // shared
    rows = group.mask.shape[0]
    keys, values = (kept[group.slots, :, : group.length] for kept in (key, value))
    if group.positions is not None and query.is_cuda:
        attend_one = one_query_kernel(query.dtype, heads, shared, size)
        if attend_one is not None:
            return attend_one(query, keys, values, group.positions, scaling)
    by_products = group.queries == 1 and query.device.type == "cpu"
    if by_products and query.dtype == torch.float32 and products_are_faster(shared, repeats, size):
        seen = (group.slots, slice(None), slice(group.length))
        _read_ahead(keys, values)
        return _by_products(query, key.numpy()[seen], value.numpy()[seen], group.mask, scaling)
    # Query heads that share keys become further queries of one head.
    query = query.reshape(rows, group.queries, shared, repeats, size).permute(0, 2, 3, 1, 4)
    query = query.reshape(rows, shared, repeats * group.queries, size)
    attended = scaled_dot_product_attention(
        query,
        keys,
        values,
        attn_mask=group.mask_for(repeats),
        scale=scaling,
    )
    attended = attended.view(rows, shared, repeats, group.queries, size).permute(0, 3, 1, 2, 4)
    return attended.reshape(rows * group.queries, heads, size)


def _read_ahead(keys: Tensor, values: Tensor) -> None:
    """Have all threads bring keys and values into the processor's cache."""
    if torch.get_num_threads() > 1 and keys.nbytes + values.nbytes >= AHEAD:
        together = as_they_lie(keys, values)
        if together is not None:
            together.sum(1)


def as_they_lie(keys: Tensor, values: Tensor) -> Tensor | None:
    """Keys and values [rows, key heads, length, size] of a storage, in the order of its memory.

    Of a token they lie together: [rows, length · 2 · key heads · size]; None where they do not.
    """
    rows, heads, length, size = keys.shape
    apart = values.storage_offset() - keys.storage_offset()
    of_row, of_head, of_token, of_number = keys.stride()
    if values.stride() != keys.stride() or of_number != 1:
        return None
    if (of_head, of_token, apart) != (size, 2 * heads * size, heads * size):
        return None
    return keys.as_strided((rows, length * of_token), (of_row, 1))


def _by_products(
    query: Tensor,
    key: NDArray[numpy.float32],
    value: NDArray[numpy.float32],
    mask: Tensor,
    scaling: float | None,
) -> Tensor:
    """The same for one query a head, in three steps by NumPy, which needs no copy of the keys.

    Queries are [rows, heads, size], keys and values [rows, key heads, length, size], the mask is
    [rows, 1, 1, length]; returns [rows, heads, size].
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows, heads, size = query.shape
    together = (query * scale).view(rows, key.shape[1], -1, size)  # query heads that share keys
    with numpy.errstate(all="ignore"):  # displaced weights may run over, as they may in torch
        scores = numpy.matmul(together.numpy(), key.transpose(0, 1, 3, 2))
        shares = torch.from_numpy(scores).add_(mask).softmax(-1)
        attended = numpy.matmul(shares.numpy(), value)
    return torch.from_numpy(attended).view(rows, heads, size)


OneQuery = Callable[[Tensor, Tensor, Tensor, Tensor, float | None], Tensor]
"""The attention of one query a row: of queries [rows, heads, size], keys and values [rows, key
heads, length, size], and the last position that each row sees."""


@cache
def one_query_kernel(dtype: torch.dtype, heads: int, shared: int, size: int) -> OneQuery | None:
    """The kernel for these sizes on a GPU; None where there is none that gives what torch gives.

    `shared` is the number of key heads. In float32 torch's own attention is kept.
    """
    if dtype == torch.float32:
        return None
    try:
        from safebasin.engines.fast import triton_attention as kernel
    except ImportError:
        return None
    generator = torch.Generator("cuda").manual_seed(0)
    query, key, value = (
        torch.randn(3, 150, n, size, dtype=dtype, device="cuda", generator=generator)
        for n in (heads, shared, shared)
    )
    query, key, value = query[:, 0], key.transpose(1, 2), value.transpose(1, 2)
    if not kernel.fits(query, key, value):
        return None
    positions = torch.tensor([0, 70, 149], device="cuda")
    mask = torch.arange(150, device="cuda") <= positions[:, None, None, None]
    expected = scaled_dot_product_attention(
        query[:, :, None], key, value, attn_mask=mask, enable_gqa=True
    )[:, :, 0]
    try:
        found = kernel.attend_one(query, key, value, positions)
    except Exception as failed:  # whatever a compiler for this GPU raises means there is none
        LOG.debug("the attention kernel was not made: %s", failed)
        return None
    error = (found - expected).float().norm() / expected.float().norm()
    return kernel.attend_one if bool(error < CLOSE) else None


@cache
def products_are_faster(shared: int, repeats: int, size: int) -> bool:
    """Whether NumPy's products are faster here than torch's attention, by a measurement.

    For many rows of one query torch's kernel spends its time on what surrounds the products. NumPy
    keeps to one thread. `shared` is the number of key heads, `repeats` of queries for each.
    """
    query, seen, mask = (
        torch.ones(64, shared, repeats, size),
        torch.ones(64, 96, shared, size),
        torch.zeros(64, 1, 1, 64),
    )
    keys = seen.transpose(1, 2)[:, :, :64]
    with torch.inference_mode():
        whole = seconds(
            lambda: scaled_dot_product_attention(query, keys, keys, attn_mask=mask, scale=1.0)
        )
        array, flat = keys.numpy(), query.flatten(1, 2)
        return seconds(lambda: _by_products(flat, array, array, mask, 1.0)) < WORTH * whole


AttentionInterface.register(NAME, slot_attention)
