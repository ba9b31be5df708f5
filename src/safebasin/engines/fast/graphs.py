"""Passes recorded once as CUDA graphs and replayed, where launching costs more than computing.

A recorded pass has a fixed number of rows, of tokens a row and of positions read. Rows with fewer
tokens repeat their last one, which computes and stores the same again; rows that are not there
write to free slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from safebasin.engines.fast.layout import Feed, Group, Layout
from safebasin.engines.fast.pooled import Pool
from safebasin.engines.fast.slots import SlotStorage

MOST_TOKENS = 512
"""A pass of more tokens is bound by arithmetic, which a graph does not speed up."""

QUERIES = (1, 2, 4, 8, 16, 32)
"""The numbers of tokens a row that passes are recorded for."""

SEEN = 6
"""How often a shape has to occur before it is worth recording."""

LENGTH_STEP = 128

Compute = Callable[[SlotStorage, Layout, Tensor], Tensor]
"""From a storage, a layout and the coefficients [tokens, 1] to int64 [2, tokens]: the likeliest
next token of each, and whether its logits are numbers."""

Record = Callable[[Callable[[], None]], Callable[[], None]]
"""From work on fixed memory to what repeats it."""


@dataclass(frozen=True)
class Shape:
    """The fixed sizes of a recorded pass."""

    rows: int
    queries: int
    length: int

    @classmethod
    def holding(cls, feeds: Sequence[Feed], storage: SlotStorage) -> Shape | None:
        """The smallest recorded shape that holds feeds; None where none does."""
        most = max(len(feed.tokens) for feed in feeds)
        queries = next((q for q in QUERIES if q >= most), None)
        last = max(feed.slot for feed in feeds) + 1
        rows = min(storage.slots, -(-last // 8) * 8)
        if queries is None or rows * queries > MOST_TOKENS:
            return None
        end = max(feed.end for feed in feeds)
        return cls(rows, queries, min(storage.length, -(-end // LENGTH_STEP) * LENGTH_STEP))


@dataclass
class _Recorded:
    """A pass with the memory it reads from and writes to."""

    numbers: Tensor
    column: Tensor
    results: Tensor
    replay: Callable[[], None]


class Graphs:
    """The recorded passes over one storage, and one pool where there is any."""

    def __init__(
        self, storage: SlotStorage, pool: Pool | None, compute: Compute, record: Record
    ) -> None:
        self.storage = storage
        self.pool = pool
        self.compute = compute
        self.record = record
        self.failed: str | None = None
        self._seen: Counter[Shape] = Counter()
        self._recorded: dict[Shape, _Recorded] = {}

    def predictions(
        self, feeds: Sequence[Feed], coefficients: Sequence[float]
    ) -> tuple[list[int], list[bool]] | None:
        """What the feeds want, by a recorded pass; None where there is none for them."""
        shape = Shape.holding(feeds, self.storage)
        if shape is None or self.failed is not None:
            return None
        self._seen[shape] += 1
        if self._seen[shape] < SEEN:
            return None
        recorded = self._recorded.get(shape)
        if recorded is None:
            try:
                recorded = self._recorded[shape] = self._new(shape)
            except RuntimeError as error:
                # Some models synchronise in their forward, which a recording does not allow.
                self.failed = str(error).splitlines()[0]
                return None
        numbers, column, places = _packed(feeds, coefficients, shape, self.storage)
        recorded.numbers.copy_(numbers, non_blocking=True)
        recorded.column.copy_(column, non_blocking=True)
        recorded.replay()
        tokens, finite = recorded.results.tolist()
        return [tokens[i] for i in places], [bool(finite[i]) for i in places]

    def _new(self, shape: Shape) -> _Recorded:
        device = self.storage.data.device
        tokens = shape.rows * shape.queries
        numbers = torch.zeros((3, tokens), dtype=torch.long, device=device)
        column = torch.zeros((tokens, 1), device=device)
        results = torch.zeros((2, tokens), dtype=torch.long, device=device)

        def work() -> None:
            results.copy_(self.compute(self.storage, self._layout(shape, numbers), column))

        # While recording, all tokens go to the start of the first slot.
        kept = self.storage.data[:, :, 0, :, :1].clone()
        replay = self.record(work)
        self.storage.data[:, :, 0, :, :1] = kept
        return _Recorded(numbers, column, results, replay)

    def _layout(self, shape: Shape, numbers: Tensor) -> Layout:
        ids, positions, places = numbers
        seen = positions.view(shape.rows, 1, shape.queries, 1)
        hidden = torch.arange(shape.length, device=numbers.device) > seen
        mask = torch.zeros(hidden.shape, dtype=self.storage.data.dtype, device=numbers.device)
        mask = mask.masked_fill(hidden, float("-inf"))
        group = Group(
            slice(0, len(ids)), None, slice(0, shape.rows), shape.queries, shape.length, mask
        )
        return Layout(ids[None], positions[None], places, None, [group], None)


def _packed(
    feeds: Sequence[Feed], coefficients: Sequence[float], shape: Shape, storage: SlotStorage
) -> tuple[Tensor, Tensor, list[int]]:
    """ids, positions and places [3, tokens], coefficients [tokens, 1], and where results are."""
    rows: list[Feed | None] = [None] * shape.rows
    values = [0.0] * shape.rows
    for feed, value in zip(feeds, coefficients, strict=True):
        rows[feed.slot] = feed
        values[feed.slot] = value
    ids: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    for slot, row in enumerate(rows):
        base = slot * storage.length
        if row is None:
            ids += [0] * shape.queries
            positions += [0] * shape.queries
            places += [base] * shape.queries
            continue
        repeated = shape.queries - len(row.tokens)
        ids += [*row.tokens, *[row.tokens[-1]] * repeated]
        own = [*range(row.start, row.end), *[row.end - 1] * repeated]
        positions += own
        places += [base + position for position in own]
    found: list[int] = []
    for feed in feeds:
        begin = feed.slot * shape.queries + len(feed.tokens) - feed.wanted
        found += range(begin, begin + feed.wanted)
    numbers = torch.tensor([ids, positions, places])
    column = torch.tensor(values).repeat_interleave(shape.queries)[:, None]
    if storage.data.is_cuda:
        numbers, column = numbers.pin_memory(), column.pin_memory()
    return numbers, column, found


def record_on_gpu(work: Callable[[], None]) -> Callable[[], None]:
    """Record work as a CUDA graph; returns what replays it."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay
