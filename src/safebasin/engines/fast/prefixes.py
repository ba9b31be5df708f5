"""The tokens that all prompts begin with, computed once a point and copied into every row."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from torch import Tensor

from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.rows import Row
from safebasin.engines.fast.slots import CacheShape, SlotStorage

AHEAD = 16
"""For how many points of a pool the prefix is computed in one pass."""

SHORTEST = 4
"""A shorter prefix is not worth its pass."""


def shared_prefix(prompts: Sequence[Sequence[int]]) -> list[int]:
    """The tokens that all prompts begin with; at least one token of each prompt stays its own."""
    first, last = min(map(list, prompts)), max(map(list, prompts))
    longest = min(map(len, prompts)) - 1 if len(prompts) > 1 else 0
    pairs = zip(first[:longest], last, strict=False)
    shared = [a for a, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
    return shared if len(shared) >= SHORTEST else []


class Prefixes:
    """The keys and values of the shared prefix at the points whose rows come next."""

    def __init__(self, forward: Forward, shape: CacheShape, tokens: Sequence[int]) -> None:
        self.forward = forward
        self.shape = shape
        self.tokens = list(tokens)
        self._places: dict[int, int] = {}
        self._storage: SlotStorage | None = None

    @property
    def length(self) -> int:
        return len(self.tokens)

    def forget(self) -> None:
        """Drop what was computed, as the weights or the memory for it change."""
        self._places.clear()
        self._storage = None

    def block(self, queue: Sequence[Row]) -> Tensor | None:
        """Keys and values [layers, 2, 1, heads, tokens, size] for the first row of the queue."""
        if not self.tokens:
            return None
        self.forward.counter.copied += self.length
        point = queue[0].point
        storage = self._storage
        if storage is None or point not in self._places:
            storage = self._storage = self._compute(queue)
        place = self._places[point]
        return storage.data[:, :, place : place + 1]

    def _compute(self, queue: Iterable[Row]) -> SlotStorage:
        coefficients: dict[int, float] = {}
        for row in queue:
            if row.point not in coefficients and len(coefficients) == AHEAD:
                break
            coefficients[row.point] = row.coefficient
        self._places = {point: place for place, point in enumerate(coefficients)}
        storage = SlotStorage(self.shape, len(coefficients), self.length, self.forward.device)
        feeds = [Feed(place, 0, self.tokens, 0) for place in self._places.values()]
        self.forward.logits(storage, feeds, list(coefficients.values()))
        return storage
