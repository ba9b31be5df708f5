"""Passes recorded once as CUDA graphs and replayed, where launching costs more than computing.

A recorded pass has a fixed number of rows, of tokens a row and of positions read. Rows with fewer
tokens repeat their last one, which computes and stores the same again; rows that are not there
write to free slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy
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
        numbers, places = _packed(feeds, shape, self.storage)
        recorded.numbers.copy_(numbers, non_blocking=True)
        if self.pool is not None:
            column = _column(feeds, coefficients, shape)
            if self.storage.data.is_cuda:
                column = column.pin_memory()
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
            slice(0, len(ids)),
            None,
            slice(0, shape.rows),
            shape.queries,
            shape.length,
            mask,
            positions if shape.queries == 1 else None,
        )
        return Layout(ids[None], positions[None], places, None, [group], None)


def _column(feeds: Sequence[Feed], coefficients: Sequence[float], shape: Shape) -> Tensor:
    """The coefficients [tokens, 1] of a recorded pass; 0 in rows that are not there."""
    values = numpy.zeros((shape.rows, shape.queries), dtype=numpy.float32)
    values[[feed.slot for feed in feeds]] = numpy.asarray(coefficients)[:, None]
    return torch.from_numpy(values.reshape(-1, 1))


def _packed(feeds: Sequence[Feed], shape: Shape, storage: SlotStorage) -> tuple[Tensor, list[int]]:
    """ids, positions and places [3, tokens], and where results are."""
    slots = numpy.fromiter((feed.slot for feed in feeds), numpy.int64, len(feeds))
    starts = numpy.fromiter((feed.start for feed in feeds), numpy.int64, len(feeds))
    counts = numpy.fromiter((len(feed.tokens) for feed in feeds), numpy.int64, len(feeds))
    packed = numpy.zeros((3, shape.rows, shape.queries), dtype=numpy.int64)
    packed[2] = (numpy.arange(shape.rows) * storage.length)[:, None]
    # A row with fewer tokens repeats its last one.
    steps = numpy.minimum(numpy.arange(shape.queries), counts[:, None] - 1)
    if shape.queries == 1:
        packed[0, slots, 0] = [feed.tokens[0] for feed in feeds]
    else:
        for feed, step in zip(feeds, steps, strict=True):
            packed[0, feed.slot] = numpy.asarray(feed.tokens)[step]
    packed[1, slots] = starts[:, None] + steps
    packed[2, slots] += packed[1, slots]
    found: list[int] = []
    for feed in feeds:
        begin = feed.slot * shape.queries + len(feed.tokens) - feed.wanted
        found += range(begin, begin + feed.wanted)
    numbers = torch.from_numpy(packed.reshape(3, -1))
    if storage.data.is_cuda:
        numbers = numbers.pin_memory()
    return numbers, found


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
