"""When the weights of a model are copied into oneDNN's order: at once, or when it pays."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from safebasin.engines.fast.packed import Packed
from safebasin.engines.fast.products import TOKENS_STEP, WORTH, onednn_is_faster, seconds
from safebasin.engines.memory import free_bytes, is_out_of_memory

LOG = logging.getLogger(__name__)

MOST = 2**23
"""Weights of a model whose copies are made at once: they take a few milliseconds."""

SHARE_OF_FREE = 0.1
"""The share of free memory that the copies of a larger model may take: a choice, not measured.
Those of SmolLM2-135M take .5 of 22 GiB."""

PATIENCE = 6
"""Passes by the weights of a point after which a larger model is copied. To copy SmolLM2-135M took
as long as was saved in 5 passes of 40 tokens in float32, in bfloat16 in 8, on one processor."""

SURE = 12
"""After so many passes at a point, or where so many are expected, it is copied at once, before
prompts are read: a choice, more than the 5 to 8 that copying takes. A point of SmolLM2-135M of 64
tokens took 7.15 s so and not 7.69, in bfloat16 5.47 and not 5.68."""

FEW, FEW_STEP = 128, 4
"""Up to FEW tokens of a larger model are rounded up to multiples of FEW_STEP: there the tokens
that are added cost more than further kernels of oneDNN's do."""

SAMPLE, TOKENS, TRIES = 16, 32, 3
"""How many products, by weights of their own, a pass of how many tokens is timed with, and how
often: those of four layers, whose weights come from memory as in a whole pass."""


class Copies:
    """The copies of all linear modules of a model on the CPU; none where they would not pay.

    Those of a `larger` model wait for PATIENCE passes by the same weights, where there were fewer
    than SURE by those before, or as many were not expected; and for longer while they are `held`;
    passes meanwhile do not count. `seconds` is what it took to copy most or all of them.
    """

    def __init__(self, modules: Sequence[Packed]) -> None:
        self.larger = sum(one.elements for one in modules) > MOST
        self.modules = list(modules) if may_copy(modules) else []
        for one in self.modules if self.larger else ():
            one.step = FEW_STEP
        self.held = False
        self._timed = not self.larger
        self._left = 0
        self._passes = 0
        self.seconds = 0.0

    @property
    def bytes(self) -> int:
        """What the copies take, made or to be made."""
        return sum(one.bytes for one in self.modules)

    def forget(self) -> None:
        """Take nothing of the weights as known the next time."""
        for one in self.modules:
            one.forget()

    def expect(self, passes: int) -> None:
        """Take as many passes for granted at the next point, which may be this one once more."""
        if passes >= SURE:
            self._passes = passes
            if not all(one.is_copied() for one in self.modules):
                self.forget()

    def refresh(self) -> None:
        """Take note of the weights as they are; to be called before the passes that go by them."""
        changed = [one.look() for one in self.modules]
        if any(changed):
            waits = self.larger and (self.held or self._passes < SURE)
            self._left = PATIENCE if waits else 0
            if not self.held:
                self._passes = 0
            if not waits:
                self._make()

    def passed(self) -> None:
        """Take note of a pass by the weights."""
        if self.held:
            return
        self._passes += 1
        if self._left:
            self._left -= 1
            if not self._left:
                self._make()

    def step(self, tokens: int) -> int:
        """The tokens of a pass are rounded up to a multiple of this."""
        if self.modules and self.larger and tokens <= FEW:
            return FEW_STEP
        return TOKENS_STEP if self.modules or onednn_is_faster() else 1

    def _make(self) -> None:
        try:
            if self._timed or are_faster(self.modules):
                self._timed = True
                waiting = [one for one in self.modules if not one.is_copied()]
                start = time.perf_counter()
                for one in waiting:
                    one.copy()
                if len(waiting) > len(self.modules) // 2:
                    spent = time.perf_counter() - start
                    self.seconds = spent * len(self.modules) / len(waiting)
                return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            LOG.info("there is no memory for a copy of the weights, and none is needed")
        for one in self.modules:
            one.drop()
        self.modules = []


def may_copy(modules: Sequence[Packed]) -> bool:
    """Whether copies of these find room, and products by them are faster here, or may be."""
    tensors = [tensor for module in modules for tensor in module.tensors]
    if len({tensor.dtype for tensor in tensors}) != 1:
        return False
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    biased = [[bias is not None for _, bias in module.weights] for module in modules]
    if not all(all(each) or not any(each) for each in biased):
        return False
    if sum(module.elements for module in modules) <= MOST:
        return tensors[0].dtype == torch.float32 and onednn_is_faster()
    room = SHARE_OF_FREE * free_bytes(torch.device("cpu"))
    return sum(module.bytes for module in modules) <= room


@torch.inference_mode()
def are_faster(modules: Sequence[Packed]) -> bool:
    """Whether products by copies of these are faster than by the weights, by a measurement.

    The copies of those that are timed are made, and need not be made again.
    """
    timed = modules[:SAMPLE]
    inputs = [one.tensors[0].new_ones(TOKENS, one.tensors[0].shape[1]) for one in timed]

    def products() -> Tensor:
        return [one.product(x) for one, x in zip(timed, inputs, strict=True)][-1]

    usual = seconds(products, TRIES)
    try:
        for one in timed:
            one.copy()
        return seconds(products, TRIES) < WORTH * usual
    except RuntimeError as error:  # built without the operators for this processor or dtype
        if is_out_of_memory(error):
            raise
        return False
