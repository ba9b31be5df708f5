"""The cache of keys and values: one slot a row, each row at its own positions, no padding.

Rows come and go at any time. Live rows stand side by side, so that a pass reads one block of the
storage: short rows at its low end, long ones at its high end, where their length costs the short
ones nothing. What a slot held before is masked out and overwritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from safebasin.engines.model_shape import key_value_shape


@dataclass(frozen=True)
class CacheShape:
    """What one token of one row keeps in the cache.

    In `dtype`, which is float32 for a model in bfloat16 on a CPU: attention to few queries takes
    half as long there, and what is kept has the values that it would have in bfloat16.
    """

    layers: int
    heads: int
    size: int
    dtype: torch.dtype

    @classmethod
    def of(cls, model: Any) -> CacheShape:
        """Raises ValueError for a model that keeps no keys and values."""
        found = key_value_shape(model)
        if found is None:
            raise ValueError("the model keeps no keys and values")
        widened = model.device.type == "cpu" and model.dtype == torch.bfloat16
        return cls(*found, torch.float32 if widened else model.dtype)

    @property
    def bytes_per_token(self) -> int:
        return 2 * self.layers * self.heads * self.size * self.dtype.itemsize


class _SlotLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's part of the storage, seen as the cache layer that the model expects."""

    def __init__(self, part: Tensor) -> None:
        """`part` is [2, slots, heads, length, size]: keys and values."""
        super().__init__()
        self.keys, self.values = part
        self.is_initialized = True
        self.places = torch.empty(0, dtype=torch.long)
        # A view: in memory keys and values of one token are one stretch.
        self.flat = part.permute(1, 3, 0, 2, 4).view(part.shape[1] * part.shape[3], -1)

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Store the pass's keys and values [1, heads, tokens, size]; return the whole storage."""
        both = torch.stack((key_states[0], value_states[0])).permute(2, 0, 1, 3)
        self.store(both.flatten(1))
        return self.keys, self.values

    def store(self, both: Tensor) -> None:
        """Store the pass's keys and, after them, values [tokens, 2 · heads · size]."""
        self.flat.index_copy_(0, self.places, both.to(self.flat.dtype))


class SlotStorage(Cache):  # type: ignore[misc]
    """Keys and values of `slots` rows of up to `length` tokens, for every layer.

    `data` is [layers, 2, slots, heads, length, size], keys and values. In memory all that one
    layer keeps of a token lies together, so that a row is one stretch that is read in order.
    """

    def __init__(self, shape: CacheShape, slots: int, length: int, device: torch.device) -> None:
        self.slots = slots
        self.length = length
        # Zeros: what is masked out still takes part in a sum, where NaN would survive.
        self.data = torch.zeros(
            (shape.layers, slots, length, 2, shape.heads, shape.size),
            dtype=shape.dtype,
            device=device,
        ).permute(0, 3, 1, 4, 2, 5)
        super().__init__(layers=[_SlotLayer(part) for part in self.data])

    def write_to(self, places: Tensor) -> None:
        """Say where the next pass's tokens go: slot · length + position, int64 [tokens]."""
        for layer in self.layers:
            layer.places = places

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` tokens of one slot to another."""
        self.data[:, :, target, :, :length].copy_(self.data[:, :, source, :, :length])

    def load(self, slots: slice | Sequence[int], block: Tensor) -> None:
        """Put a block [layers, 2, slots or 1, heads, tokens, size] at the start of slots."""
        self.data[:, :, slots, :, : block.shape[4]] = block

    def clear(self, slot: int) -> None:
        self.data[:, :, slot].zero_()


class HasLength(Protocol):
    """A row as the slots see it; `broken` says that its keys or values are no numbers."""

    slot: int
    broken: bool

    @property
    def cached(self) -> int:
        """How many of its tokens are in its slot."""
        ...


R = TypeVar("R", bound=HasLength)


@dataclass
class Slots(Generic[R]):
    """Which row lives in which slot of a storage; a row of `long` tokens counts as long."""

    storage: SlotStorage
    long: int
    _low: list[R] = field(default_factory=list)
    _high: list[R] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def __iter__(self) -> Iterator[R]:
        """The live rows in the order of their slots."""
        yield from self._low
        yield from reversed(self._high)

    @property
    def free(self) -> int:
        return self.storage.slots - len(self)

    def admit(self, row: R) -> None:
        """Give a row the next free slot at the low end."""
        row.slot = len(self._low)
        self._low.append(row)

    def release(self, row: R) -> None:
        """Free a row's slot; the last row of its end moves there."""
        if row.broken:
            self.storage.clear(row.slot)
        if row.slot < len(self._low):
            end, step = self._low, 1
        else:
            end, step = self._high, -1
        last = end.pop()
        if last is not row:
            self._move(last, row.slot)
            end[row.slot if step == 1 else self.storage.slots - 1 - row.slot] = last

    def sort_out(self) -> None:
        """Move the rows that have become long to the high end."""
        for row in [row for row in self._low if row.cached >= self.long]:
            if not self.free:
                return
            source = row.slot
            self._move(row, self.storage.slots - 1 - len(self._high))
            self._high.append(row)
            last = self._low.pop()
            if last is not row:
                self._move(last, source)
                self._low[source] = last

    def clear(self) -> None:
        self._low.clear()
        self._high.clear()

    def _move(self, row: R, slot: int) -> None:
        self.storage.copy(row.slot, slot, row.cached)
        if row.broken:  # zero times what is no number is none either: a mask would not hide it
            self.storage.clear(row.slot)
        row.slot = slot
