"""The batch that is always full: rows that finish make room for the next ones in the queue."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from safebasin.engines.fast.drafts import Drafter, Drafts
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.prefixes import Prefixes
from safebasin.engines.fast.rows import Ending, Row
from safebasin.engines.fast.slots import CacheShape, Slots, SlotStorage
from safebasin.engines.memory import is_out_of_memory
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.errors import EngineError

PASS_TOKENS = 4096
"""The most prompt tokens of one pass, which bounds its activations."""

LOGITS_BYTES = {"cpu": 16 * 2**20, "cuda": 512 * 2**20}
"""The most memory that the logits of drafts may take in one pass."""

PAUSE = 8
"""For how many passes no drafts are looked for after they were not worth their pass."""


class Batch:
    """Answers rows, `capacity` of them at a time.

    `length` is the number of tokens that a row has at most, prompt and answer. Where memory runs
    out the capacity is halved once, the rows in work go back to the queue, and `notes` says so.
    """

    def __init__(
        self,
        forward: Forward,
        ending: Ending,
        length: int,
        capacity: int,
        *,
        prefix: Sequence[int] = (),
        drafts: Drafts | None = None,
        knee: float | None = None,
    ) -> None:
        self.forward = forward
        self.ending = ending
        self.length = length
        self.capacity = capacity
        self.drafts = drafts
        self.knee = knee
        self.notes: list[str] = []
        self._pause = 0
        self._shape = CacheShape.of(forward.model)
        vocabulary = vocabulary_rows(forward.model)
        self._predictions = LOGITS_BYTES.get(forward.device.type, 2**24) // (4 * vocabulary)
        self._prefixes = Prefixes(forward, self._shape, prefix)
        self._slots: Slots[Row] | None = None

    def run(
        self, rows: Iterable[Row], wanted: Callable[[int], bool] = lambda point: True
    ) -> Iterator[list[Row]]:
        """Yield the rows that each pass finishes, until all are.

        The rows of points that are no longer wanted are dropped, begun or not.
        """
        queue = deque(rows)
        self.forward.forget()
        self._prefixes.forget()
        self._drop_unwanted(queue, wanted)
        while queue or self._slots:
            try:
                finished = self._passes(queue)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(queue, error)
                continue
            yield finished
            self._drop_unwanted(queue, wanted)

    def _drop_unwanted(self, queue: deque[Row], wanted: Callable[[int], bool]) -> None:
        live = list(self._slots or ())
        unwanted = {p for p in {row.point for row in (*live, *queue)} if not wanted(p)}
        if not unwanted:
            return
        kept = [row for row in queue if row.point not in unwanted]
        queue.clear()
        queue.extend(kept)
        for row in live:
            if self._slots is not None and row.point in unwanted:
                self._slots.release(row)

    def _passes(self, queue: deque[Row]) -> list[Row]:
        """The rows of the first pass that finishes any."""
        with self.forward.attached():
            while not (finished := self._pass(queue)):
                pass
        return finished

    def _pass(self, queue: deque[Row]) -> list[Row]:
        slots = self._allocated()
        self._admit(slots, queue)
        begin = time.perf_counter()
        rows = list(slots)
        self._draft(rows)
        feeds = [row.feed() for row in rows]
        predicted, finite = self.forward.predictions(
            slots.storage, feeds, [row.coefficient for row in rows]
        )
        if len(predicted) == len(rows):  # no drafts: a token each
            for row, token, is_number in zip(rows, predicted, finite, strict=True):
                row.broken |= not is_number
                row.step(token, self.ending)
        else:
            self._advance(rows, feeds, predicted, finite)
        finished = [row for row in rows if row.finish is not None]
        for row in finished:
            slots.release(row)
            if self.drafts is not None and row.drafter is not None:
                self.drafts.add(row.point, row.prompt, row.drafter.finished())
        slots.sort_out()
        tokens = sum(len(feed.tokens) for feed in feeds)
        self.forward.meter.add(len(rows), tokens, time.perf_counter() - begin)
        return finished

    def _advance(
        self,
        rows: Sequence[Row],
        feeds: Sequence[Feed],
        predicted: Sequence[int],
        finite: Sequence[bool],
    ) -> None:
        """Give each row the predictions for its last token and its draft."""
        counter = self.forward.counter
        done = 0
        for row, feed in zip(rows, feeds, strict=True):
            part = slice(done, done + feed.wanted)
            done += feed.wanted
            row.broken |= not all(finite[part])
            counter.drafted += len(row.draft)
            counter.accepted += row.advance(predicted[part], self.ending)

    def _admit(self, slots: Slots[Row], queue: deque[Row]) -> None:
        tokens = sum(row.waiting for row in slots)
        while queue and slots.free:
            shared = self._prefixes.length
            tokens += len(queue[0].tokens) - shared
            if tokens > PASS_TOKENS and len(slots):
                return
            block = self._prefixes.block(queue)
            row = queue.popleft()
            slots.admit(row)
            row.cached = shared
            if block is not None:
                slots.storage.load(slice(row.slot, row.slot + 1), block)
            if self.drafts is not None:
                followed = self.drafts.nearest(row.point, row.prompt)
                row.drafter = Drafter(self.drafts, row.tokens, row.start, followed)

    def _draft(self, rows: Sequence[Row]) -> None:
        """Give each row the draft that is worth verifying in the next pass."""
        for row in rows:
            row.draft = []
        reads = any(row.waiting > 1 for row in rows)
        self._pause = max(0, self._pause - 1)
        if self.drafts is None or (self._pause and not reads):
            return
        live, meter = len(rows), self.forward.meter
        if self.knee is None:
            going, reading = meter.least(live, reading=False), meter.least(live, reading=True)
        else:
            going = reading = live / (live + self.knee)
        most = self._predictions // live - 1
        drafted, held = 0, 0.0
        for row in rows:
            if row.drafter is not None:
                left = self.ending.limit - (len(row.tokens) - row.start) - 1
                least = reading if row.waiting > 1 else going
                row.draft = row.drafter.draft(least, min(left, most))
                if row.draft:
                    drafted += len(row.draft)
                    held += row.drafter.expected(len(row.draft))
        if self.knee is not None or reads or meter.is_worth(live, live + drafted, held):
            return
        self._pause = PAUSE
        for row in rows:
            row.draft = []

    def _allocated(self) -> Slots[Row]:
        if self._slots is None:
            device = self.forward.device
            storage = SlotStorage(self._shape, self.capacity, self.length, device)
            long = self.length - self.ending.limit + max(32, self.ending.limit // 8)
            if self.forward.record is not None:
                long = self.length + 1  # recorded passes read one block that begins at slot 0
            self._slots = Slots(storage, long)
        return self._slots

    def _halve(self, queue: deque[Row], error: BaseException) -> None:
        rows = [] if self._slots is None else list(self._slots)
        if self.notes or self.capacity == 1:
            raise EngineError(
                f"Memory ran out with {self.capacity} rows in the batch.",
                "Give a smaller --batch or --max-new-tokens, or another --dtype or --device.",
            ) from error
        before = self.capacity
        self.capacity = max(1, self.capacity // 2)
        self.notes.append(
            f"Memory ran out with {before} rows in the batch; it went on with {self.capacity} rows."
        )
        self._slots = None
        self._prefixes.forget()
        for row in sorted(rows, key=lambda row: (row.point, row.prompt), reverse=True):
            row.slot, row.cached, row.draft = -1, 0, []
            queue.appendleft(row)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
