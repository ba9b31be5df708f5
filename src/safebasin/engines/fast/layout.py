"""How the tokens of one pass lie: rows of any length packed into one sequence without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy
import torch
from torch import Tensor

GROUP_COST = {"cpu": 5_000, "cuda": 1_000_000}
"""What one more attention call costs, in pairs of a query and a key."""

LENGTH_STEP = {"cpu": 4, "cuda": 16}
"""Keys are read in multiples of this, which attention kernels on GPUs need for their masks; on a
CPU positions that no row has cost time."""


class Feed(NamedTuple):
    """The next tokens of one row.

    slot     where its keys and values are
    start    the position of the first token; all earlier ones are in the slot
    tokens   the token ids
    wanted   for how many of the last tokens a prediction is wanted
    """

    slot: int
    start: int
    tokens: Sequence[int]
    wanted: int = 1

    @property
    def end(self) -> int:
        return self.start + len(self.tokens)


@dataclass
class Group:
    """Neighbouring slots whose attention is computed in one call, padded to their longest row.

    tokens     the part of the pass's tokens that is theirs, where it is one and needs no padding
    pick       int64 [rows · queries]: otherwise, which token stands where
    slots      the part of the storage that is theirs
    queries    the number of tokens a row, padding included
    length     how many positions of the storage are read
    mask       [rows, 1, queries, length]: 0 where a query sees a key, -inf elsewhere
    positions  int64 [rows]: for one query a row of a recorded pass, the last key that it sees
    """

    tokens: slice
    pick: Tensor | None
    slots: slice
    queries: int
    length: int
    mask: Tensor
    positions: Tensor | None = None

    def mask_for(self, repeats: int) -> Tensor:
        """The mask [rows, 1, repeats · queries, length] for heads that share keys."""
        if repeats == 1 or self.queries == 1:
            return self.mask
        rows, _, queries, length = self.mask.shape
        mask = self.mask[:, :, None].expand(rows, 1, repeats, queries, length)
        return mask.reshape(rows, 1, repeats * queries, length)


@dataclass
class Layout:
    """All that a pass needs to know; tensors are on the model's device.

    ids, positions  int64 [1, tokens]
    places          int64 [tokens], where keys and values go
    wanted          int64 [predictions], which tokens a prediction is wanted for; None for all
    restore         int64 [tokens]: where each token stands in the results of all groups, one after
                    another; None where they are in order
    """

    ids: Tensor
    positions: Tensor
    places: Tensor
    wanted: Tensor | None
    groups: list[Group]
    restore: Tensor | None


def lay_out(feeds: Sequence[Feed], length: int, dtype: torch.dtype, device: torch.device) -> Layout:
    """Pack feeds in the order given, which need not be that of their slots.

    The storage has `length` positions a slot.
    """
    if device.type == "cpu" and (simple := _lay_out_simple(feeds, length, dtype)) is not None:
        return simple
    ids: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    wanted: list[int] = []
    begins = []
    for feed in feeds:
        begins.append(len(ids))
        start, count, base = feed.start, len(feed.tokens), feed.slot * length
        if count == 1:
            ids.append(feed.tokens[0])
            positions.append(start)
            places.append(base + start)
        else:
            ids += feed.tokens
            positions += range(start, start + count)
            places += range(base + start, base + start + count)
        wanted += range(len(ids) - feed.wanted, len(ids))
    total = len(ids)
    placed = sorted(zip(feeds, begins, strict=True), key=lambda one: one[0].slot)
    runs = _runs(placed, GROUP_COST.get(device.type, 5_000))
    picks, restore = _padding(runs, total)
    numbers = [*ids, *positions, *places, *wanted, *restore, *(i for pick in picks for i in pick)]
    packed = torch.tensor(numbers, dtype=torch.long)
    if device.type == "cuda":
        packed = packed.pin_memory().to(device, non_blocking=True)
    sizes = [total, total, total, len(wanted), len(restore), *map(len, picks)]
    on_ids, on_positions, on_places, on_wanted, on_restore, *on_picks = torch.split(packed, sizes)
    groups = [
        _group(run, pick, on_positions, length, dtype)
        for run, pick in zip(runs, on_picks, strict=True)
    ]
    return Layout(
        on_ids[None],
        on_positions[None],
        on_places,
        None if len(wanted) == total else on_wanted,
        groups,
        on_restore if restore else None,
    )


def _lay_out_simple(feeds: Sequence[Feed], length: int, dtype: torch.dtype) -> Layout | None:
    """The same for one token a row and neighbouring slots in order, which form one group.

    Most passes are such, and small models notice how long it takes. None where it is another case.
    """
    slots = [feed.slot for feed in feeds]
    first, rows = slots[0], len(slots)
    if slots != list(range(first, first + rows)):
        return None
    if any(len(feed.tokens) != 1 or feed.wanted != 1 for feed in feeds):
        return None
    starts = [feed.start for feed in feeds]
    longest = max(starts) + 1
    if rows * (longest - 1 - min(starts)) > GROUP_COST["cpu"]:
        return None  # it may be cheaper in several groups
    ids = [feed.tokens[0] for feed in feeds]
    numbers = numpy.array([ids, starts, slots])
    numbers[2] = numbers[2] * length + numbers[1]
    read = _read(longest, length, "cpu")
    mask = numpy.zeros((rows, read), dtype=numpy.float32)
    numpy.copyto(mask, -numpy.inf, where=numpy.arange(read) > numbers[1][:, None])
    seen = torch.from_numpy(mask)[:, None, None].to(dtype)
    on_ids, on_positions, on_places = torch.from_numpy(numbers)
    group = Group(slice(0, rows), None, slice(first, first + rows), 1, read, seen)
    return Layout(on_ids[None], on_positions[None], on_places, None, [group], None)


Placed = tuple[Feed, int]
"""A feed, and where its tokens begin in the pass."""


def _runs(feeds: Sequence[Placed], cost: int) -> list[list[Placed]]:
    """Cut feeds into neighbours that are cheaper together, padding included, than apart."""
    runs: list[list[Placed]] = []
    queries = keys = 0
    for feed, begin in feeds:
        count, end = len(feed.tokens), feed.end
        if runs:
            run = runs[-1]
            wider, longer = max(queries, count), max(keys, end)
            joined = (len(run) + 1) * wider * longer
            apart = len(run) * queries * keys + count * end + cost
            if feed.slot == run[-1][0].slot + 1 and joined <= apart:
                run.append((feed, begin))
                queries, keys = wider, longer
                continue
        runs.append([(feed, begin)])
        queries, keys = count, end
    return runs


def _padding(runs: Sequence[Sequence[Placed]], total: int) -> tuple[list[list[int]], list[int]]:
    """For each run which tokens its queries are (none: all of its own), and the way back."""
    begins = [begin for run in runs for _, begin in run]
    if len(begins) == total and begins == list(range(total)):  # one token a row, in order
        return [[] for _ in runs], []
    picks: list[list[int]] = []
    restore = [0] * total
    in_order = True
    stands = 0
    for run in runs:
        queries = max(len(feed.tokens) for feed, _ in run)
        pick: list[int] = []
        for feed, begin in run:
            count = len(feed.tokens)
            in_order = in_order and begin == stands and count == queries
            # Padding repeats the row's last token, whose result is then left out.
            pick += [*range(begin, begin + count), *[begin + count - 1] * (queries - count)]
            restore[begin : begin + count] = range(stands, stands + count)
            stands += queries
        plain = len(pick) == pick[-1] + 1 - pick[0] and pick == list(range(pick[0], pick[-1] + 1))
        picks.append([] if plain else pick)
    return picks, [] if in_order else restore


def _group(
    run: Sequence[Placed], pick: Tensor, positions: Tensor, length: int, dtype: torch.dtype
) -> Group:
    first, begin = run[0]
    queries = max(len(feed.tokens) for feed, _ in run)
    longest = max(feed.end for feed, _ in run)
    read = _read(longest, length, positions.device.type)
    tokens = slice(begin, begin + len(run) * queries)
    seen = positions[pick] if len(pick) else positions[tokens]
    hidden = torch.arange(read, device=seen.device) > seen.view(len(run), 1, queries, 1)
    mask = torch.zeros(hidden.shape, dtype=dtype, device=seen.device)
    mask.masked_fill_(hidden, float("-inf"))
    slots = slice(first.slot, first.slot + len(run))
    return Group(tokens, pick if len(pick) else None, slots, queries, read, mask)


def _read(longest: int, length: int, device: str) -> int:
    """How many positions of a storage are read where the longest row has so many."""
    step = LENGTH_STEP.get(device, LENGTH_STEP["cuda"])
    return min(length, -(-longest // step) * step)
