"""How much memory generation takes, and how much there is."""

from __future__ import annotations

import gc
from math import prod
from typing import Any

import psutil
import torch

from safebasin.engines.control_groups import memory_left
from safebasin.engines.model_shape import key_value_shape, state_values, vocabulary_rows, width
from safebasin.weights.divided import least

SHARE_OF_FREE = 0.5
"""The share of free memory that the rows of a batch may take."""

KEPT = 2**24
"""Half the idle memory that a process may keep from the system, in bytes."""


def free_bytes(device: torch.device) -> int:
    """Free memory of a device, in bytes; on a GPU with what torch holds for this process unused.

    On the CPU no more than what a job or a container may still take.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0] + unused)
    available = int(psutil.virtual_memory().available)
    left = memory_left()
    return available if left is None else min(available, left)


def free_model(model: Any) -> None:
    """Give back the memory of a model's weights, whoever still holds it; it is of no use then."""
    device = model.device.type
    for parameter in model.parameters():
        parameter.data = parameter.data.new_empty(0)
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def cache_bytes_per_token(model: Any) -> int:
    """The bytes that one token of one row takes in the cache of keys and values."""
    shape = key_value_shape(model)
    return 0 if shape is None else int(2 * prod(shape) * model.dtype.itemsize)


def row_bytes(model: Any, length: int) -> int:
    """The bytes that one row of `length` tokens takes: its cache or state, and its activations."""
    logits = 3 * 4 * vocabulary_rows(model)
    activations = 8 * length * width(model) * model.dtype.itemsize
    states = 4 * state_values(model)
    return int(length * cache_bytes_per_token(model) + logits + activations + states)


def batch_size_for(model: Any, length: int, rows: int) -> int:
    """The largest batch of at most `rows` rows of `length` tokens that fits in the free memory."""
    budget = SHARE_OF_FREE * least(model, free_bytes(model.device))
    return max(1, min(rows, int(budget // row_bytes(model, length))))


def keep_freed_memory() -> None:
    """Have this process keep memory that it frees for its next pass, up to 2 · KEPT bytes.

    GNU's C library gives memory back to the system once twice the size of the largest block that
    was ever freed lies idle. Without this every long pass asks for its memory anew, page by page.
    """
    torch.empty(KEPT, dtype=torch.uint8)  # never touched, so that it costs nothing


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "not enough memory" in str(error)
