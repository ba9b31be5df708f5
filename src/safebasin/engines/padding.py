"""Which rows of tokens may share a batch: tried out on the model itself, once.

Padding is hidden by a mask, and not every model heeds it: what a recurrent layer keeps of a row
holds the padding, too. So a short row beside a long one is held against the same row alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from safebasin.checkpoint.sources import first_line
from safebasin.engines.broken_logits import require_numbers
from safebasin.engines.memory import is_out_of_memory
from safebasin.errors import EngineError

LOG = logging.getLogger(__name__)

Together = Literal["padded", "equal", "single"]
"""Rows of any lengths, rows of one length, or no two rows at all."""

Side = Literal["left", "right"]

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
"""How far logits may be from those of the row alone, relative to their spread over all tokens."""

STEPS = 4
"""How many tokens are generated for it."""

WAYS: dict[Together, str] = {
    "padded": "",
    "equal": "rows of different lengths do not share a batch: padding changes this model's answers",
    "single": "a row at a time: this model answers otherwise in a batch",
}

_FOUND: WeakKeyDictionary[Any, dict[Side, Together]] = WeakKeyDictionary()


class Batch(NamedTuple):
    """Token ids and mask, both int64 [rows, longest]."""

    ids: Tensor
    mask: Tensor


def padded(rows: Sequence[Sequence[int]], pad: int, side: Side) -> Batch:
    """Rows of token ids, filled up with `pad` on one side where they are shorter."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        at = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[i, at] = torch.tensor(row, dtype=torch.long)
        mask[i, at] = 1
    return Batch(ids, mask)


def rows_together(
    model: Any, rows: Sequence[Sequence[int]], pad: int, side: Side, *, numbers: bool = True
) -> Together:
    """Which of these rows may share a batch; the first call with several tries the model out.

    Rows padded on the left are generated from, greedily, rows padded on the right are read in one
    pass; the weights have to be undisplaced. Raises EngineError where the model fails at a row by
    itself and, unless `numbers` is off, where its logits are no numbers.
    """
    found = _FOUND.setdefault(model, {})
    if side not in found:
        pair = _pair(rows)
        if pair is None:
            return "single"
        found[side] = _tried(model, *pair, pad, side, numbers)
        if WAYS[found[side]]:
            LOG.warning("%s", WAYS[found[side]])
    return found[side]


def first_batch(
    waiting: Sequence[int], lengths: Sequence[int], size: int, together: Together
) -> list[int]:
    """The first of the waiting rows that make a batch of at most `size` rows, at least one.

    `lengths` are those of all rows by index; rows of equal length should wait side by side.
    """
    if together == "single":
        return list(waiting[:1])
    batch = waiting[: max(1, size)]
    if together == "equal":
        return list(takewhile(lambda i: lengths[i] == lengths[batch[0]], batch))
    return list(batch)


def _pair(rows: Sequence[Sequence[int]]) -> tuple[list[int], list[int]] | None:
    """A short row and a longer one: of the rows, else made of one of them."""
    if len(rows) < 2:
        return None
    ordered = sorted(rows, key=len)
    short, long = list(ordered[0]), list(ordered[-1])
    if len(short) == len(long):
        short = short[: len(short) // 2]
    return (short, long) if short else None


def _tried(
    model: Any, short: list[int], long: list[int], pad: int, side: Side, numbers: bool
) -> Together:
    alone, beside = (_alone(model, row, pad, side, numbers) for row in (short, long))
    if all(
        _agrees(model, [short, long], i, one, pad, side) for i, one in enumerate((alone, beside))
    ):
        return "padded"
    other = long[-len(short) :]
    return "equal" if _agrees(model, [short, other], 0, alone, pad, side) else "single"


def _alone(model: Any, row: list[int], pad: int, side: Side, numbers: bool) -> Tensor:
    """The logits of a row by itself. Raises EngineError where there are none."""
    try:
        [found] = _logits(model, [row], pad, side)
    except Exception as error:  # a model's code has no error type of its own
        if not is_out_of_memory(error):
            raise EngineError(
                f"The model fails at a prompt: {type(error).__name__}: {first_line(error)}.",
                "Check that this model generates text with transformers alone.",
            ) from error
        raise EngineError(
            "Memory ran out with a single prompt.",
            "Give a smaller --batch or --max-new-tokens, or another --dtype or --device.",
        ) from error
    if numbers:
        require_numbers(model, found)
    return found


def _agrees(
    model: Any, rows: list[list[int]], index: int, alone: Tensor, pad: int, side: Side
) -> bool:
    """Whether a row has the logits in a batch that it has by itself."""
    try:
        found = _logits(model, rows, pad, side)[index]
    except Exception:  # whatever a model's own code raises means that it cannot; so does memory
        return False
    steps = min(len(found), len(alone))
    for there, here in zip(found[:steps], alone[:steps], strict=True):
        spread = here - here.mean()
        off = (there - there.mean() - spread).norm() / spread.norm().clamp(min=1e-30)
        if not bool(off <= TOLERANCE.get(model.dtype, 0.1)):
            return False
        if side == "left" and there.argmax() != here.argmax():
            break  # as good as equally likely; what follows answers different tokens
    return True


@torch.inference_mode()
def _logits(model: Any, rows: list[list[int]], pad: int, side: Side) -> list[Tensor]:
    """float64 [tokens, vocabulary] of each row: of generated tokens, or of all of its own."""
    ids, mask = (tensor.to(model.device) for tensor in padded(rows, pad, side))
    if side == "left":
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=STEPS,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return [one.double() for one in torch.stack(tuple(output.logits), dim=1)]
    whole = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return [one[: len(row)].double() for one, row in zip(whole, rows, strict=True)]
