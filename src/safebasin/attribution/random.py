"""Random scores: the control of every method."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from safebasin.attribution.base import NO_ROWS, Gives, HeldScores, scores_of
from safebasin.attribution.masks import largest
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask


class Random:
    """Independent uniform scores in [0, 1), by a seed and the parameter's name and shape alone.

    Their top is a random set of weights, the control of Wei et al. (2402.05162, Sec. 4.2).
    """

    kind: ClassVar[str] = "random"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 4.2"
    gives: ClassVar[Gives] = "scores"

    def __init__(self, seed: int = 0) -> None:
        self.seed = int(seed)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "seed": self.seed}

    def locate(
        self, subject: Subject, safety: Rows = NO_ROWS, utility: Rows = NO_ROWS
    ) -> HeldScores:
        drawn = {
            one: uniform(self.seed, one.name, (one.outputs, one.inputs)) for one in subject.linear
        }
        return scores_of(self, subject, safety, drawn)


def random_like(mask: Mask, seed: int = 0) -> Mask:
    """A random set with as many weights of every tensor as the mask holds, from a seed."""
    drawn = {}
    for name, own in mask.tensors.items():
        count = int(own.sum())
        chosen = torch.zeros(1, own.numel(), dtype=torch.bool)
        if count:
            chosen = largest(-uniform(seed, name, (own.numel(),))[None], count)
        drawn[name] = chosen.reshape(own.shape)
    return Mask(drawn, name=f"random-{seed}-like-{mask.name}")


def normal(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Independent normal numbers, float32, by a seed and the parameter's name and shape alone."""
    return torch.from_numpy(_generator(seed, name, shape).standard_normal(shape, dtype=np.float32))


def uniform(seed: int, name: str, shape: tuple[int, ...]) -> Tensor:
    """Independent uniform numbers in [0, 1), float32, by the same."""
    return torch.from_numpy(_generator(seed, name, shape).random(shape, dtype=np.float32))


def _generator(seed: int, name: str, shape: tuple[int, ...]) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}\0{name}\0{shape}".encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
