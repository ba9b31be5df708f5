"""Kernels as functions of tensors.

torch takes some twenty operators for it, each of which reads and writes all tokens, and its
attention to one token a row keeps one thread waiting for memory.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
import torch
from torch import Tensor

from safebasin.engines.fast.compiled import records
from safebasin.engines.fast.compiled.team import Team

if TYPE_CHECKING:
    from safebasin.engines.fast.compiled.functions import Functions

LOG = logging.getLogger(__name__)

SMALL = 2**14
"""Elements of a tensor that one thread is through with before another has begun."""

ROWS = 4
"""Fewer tokens a thread are divided by heads, so that no thread waits for one long row."""


class Turns(NamedTuple):
    """Cosines and sines float32 [positions, size] of the positions' angles; the sines of the first
    half are negative, as the second half is taken from there."""

    cos: Tensor
    sin: Tensor


class Kept(NamedTuple):
    """Where a layer keeps keys and values, float32 [places, 2 · key heads · size], and which
    position and place each token has, int64 [tokens]."""

    storage: Tensor
    positions: Tensor
    places: Tensor


class Exact(NamedTuple):
    """What logits are the products of, in float32: `hidden` [tokens, inputs] and `weight`
    [vocabulary, inputs], of whose rows `norms` [vocabulary] are the lengths."""

    hidden: Tensor
    weight: Tensor
    norms: Tensor


class Kernels:
    """The kernels for models of one dtype and shape of heads. Each takes and gives tensors of that
    dtype; what is written over has to be contiguous."""

    def __init__(self, functions: Functions, team: Team, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._team = team
        self._functions = functions
        self._records: dict[str, Any] = {
            "norm": _structure(records.NORM),
            "turn": _structure(records.TURN),
            "attend": _structure(records.ATTEND),
            "gate": _structure(records.GATE),
            "choose": _structure(records.CHOOSE),
        }
        for record in self._records.values():
            record.short = dtype == torch.bfloat16
        self._scratch = self._nothing = torch.empty(0)

    @classmethod
    def of(cls, dtype: torch.dtype, repeats: int, size: int) -> Kernels | None:
        """The kernels for models whose keys serve `repeats` query heads of `size` elements; None
        where Numba is not installed or cannot use torch's threads."""
        found = _functions(repeats, size)
        return None if found is None else cls(*found, dtype)

    def norm(self, x: Tensor, y: Tensor | None, gain: Tensor, eps: float) -> Tensor:
        """x += y, where there is a y, and x / √(mean x² + eps) · gain; all [tokens, width]."""
        tokens, width = x.shape
        y = None if y is None else y.contiguous()
        to = torch.empty_like(x)
        record = self._records["norm"]
        record.tokens, record.width, record.eps = tokens, width, eps
        record.x, record.gain, record.to = x.data_ptr(), gain.data_ptr(), to.data_ptr()
        record.y = 0 if y is None else y.data_ptr()
        self._run("norm", x.numel(), 3 * width)
        return to

    def turn(self, heads: tuple[Tensor, Tensor, Tensor], turns: Turns, kept: Kept) -> Tensor:
        """Turn queries and keys by their positions, and keep keys and values.

        `heads` are the three, [tokens, heads · size]. Returns the queries in float32 [tokens,
        heads, size].
        """
        heads = (_rows(heads[0]), _rows(heads[1]), _rows(heads[2]))
        query, key, _ = heads
        size = turns.cos.shape[1]
        tokens, of_queries = query.shape
        to = torch.empty(tokens, of_queries // size, size)
        record = self._records["turn"]
        record.tokens, record.size = tokens, size
        record.heads, record.shared = of_queries // size, key.shape[1] // size
        record.query, record.key, record.value = (each.data_ptr() for each in heads)
        record.query_row, record.key_row, record.value_row = (each.stride(0) for each in heads)
        record.cos, record.sin = turns.cos.data_ptr(), turns.sin.data_ptr()
        record.positions, record.places = kept.positions.data_ptr(), kept.places.data_ptr()
        record.kept, record.turned = kept.storage.data_ptr(), to.data_ptr()
        self._run("turn", query.numel(), of_queries)
        return to

    def attend(self, query: Tensor, kept: Kept, scaling: float, longest: int) -> Tensor:
        """What queries float32 [tokens, heads, size] attend to in their rows, up to themselves.

        `longest` is more than any position. Returns [tokens, heads · size].
        """
        tokens, heads, size = query.shape
        to = torch.empty(tokens, heads * size, dtype=self.dtype)
        record = self._records["attend"]
        record.tokens, record.longest, record.scaling = tokens, longest, scaling
        record.shared = kept.storage.shape[1] // (2 * size)
        record.parts = 1 if tokens >= torch.get_num_threads() * ROWS else record.shared
        record.query, record.to = query.data_ptr(), to.data_ptr()
        record.kept = kept.storage.data_ptr()
        record.positions, record.places = kept.positions.data_ptr(), kept.places.data_ptr()
        self._run("attend", query.numel() * longest, heads * (longest + size) + longest)
        return to

    def gated(self, gate: Tensor, up: Tensor) -> Tensor:
        """silu(gate) · up, all [tokens, width]."""
        tokens, width = gate.shape
        gate, up = _rows(gate), _rows(up)
        to = torch.empty(tokens, width, dtype=self.dtype)
        record = self._records["gate"]
        record.tokens, record.width, record.to = tokens, width, to.data_ptr()
        record.gate, record.up = gate.data_ptr(), up.data_ptr()
        record.gate_row, record.up_row = gate.stride(0), up.stride(0)
        self._run("gate", to.numel(), 3 * width)
        return to

    def choose(self, near: Tensor, exact: Exact | None = None) -> Tensor:
        """int64 [2, tokens]: the likeliest tokens, and whether their logits are numbers.

        `near` are the logits in bfloat16 [tokens, vocabulary]; those that may be the largest are
        computed again where it is told from what.
        """
        tokens, width = near.shape
        to = torch.empty(2, tokens, dtype=torch.long)
        record = self._records["choose"]
        record.tokens, record.width, record.near = tokens, width, near.data_ptr()
        record.best, record.finite = (each.data_ptr() for each in to)
        # Of bfloat16's own logits the lengths count with a factor of 0: any numbers will do.
        record.hidden, record.norms = 0, self._zeros(width).data_ptr()
        if exact is not None:
            record.hidden, record.inputs = exact.hidden.data_ptr(), exact.hidden.shape[1]
            record.weight, record.norms = exact.weight.data_ptr(), exact.norms.data_ptr()
        chunks = -(-width // records.CHUNK)
        self._run("choose", near.numel(), chunks + 2 * records.CHUNK)
        return to

    def _zeros(self, width: int) -> Tensor:
        if self._nothing.numel() < width:
            self._nothing = torch.zeros(width)
        return self._nothing

    def _run(self, name: str, elements: int, room: int) -> None:
        """Run a kernel over tensors of so many elements, with `room` floats for each thread."""
        threads = torch.get_num_threads() if elements >= SMALL else 1
        if self._scratch.numel() < threads * room:
            self._scratch = torch.empty(threads * room)
        record = self._records[name]
        record.scratch = self._scratch.data_ptr()
        address = getattr(self._functions, name)
        self._team.run(address, ctypes.addressof(record), threads)


def _rows(x: Tensor) -> Tensor:
    """The same, each row of which lies together."""
    return x if x.stride(-1) == 1 else x.contiguous()


def only_numba_is_missing() -> bool:
    """Whether kernels would be found here if Numba were installed."""
    return importlib.util.find_spec("numba") is None and Team.of_torch() is not None


def _structure(record: numpy.dtype[numpy.void]) -> Any:
    """A C structure of zeros."""
    kind: Any = numpy.ctypeslib.as_ctypes_type(record)  # type: ignore[arg-type]
    return kind()


@cache
def _functions(repeats: int, size: int) -> tuple[Functions, Team] | None:
    """The compiled functions and who runs them; None where there are none."""
    team = Team.of_torch()
    if team is None:
        LOG.debug("no compiled kernels: torch's threads are not those of GNU's OpenMP")
        return None
    try:
        from safebasin.engines.fast.compiled.functions import functions

        return functions(repeats, size, team), team
    except Exception as failed:  # whatever a compiler for this processor raises
        LOG.info("no compiled kernels: %s", failed)
        return None
