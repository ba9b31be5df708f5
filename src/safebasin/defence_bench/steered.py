"""SCANS in the bench, and what could refute it: other vectors of the same length."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from safebasin import prompts as prompt_sets
from safebasin.defence_bench.base import Method, Setting
from safebasin.defences.base import Steering
from safebasin.defences.scans import Scans
from safebasin.defences.scans_fit import MOST, fit
from safebasin.subject.subject import Subject


class Steered(Method):
    """SCANS, found in the fine-tune itself.

    Its controls have its blocks and its threshold. `random` adds vectors that are drawn anew for
    each fine-tune, block by block as long as its own; `opposite` steers the other way, to comply
    where it refuses and to refuse where it complies.
    """

    needs = ("anchors",)

    def __init__(self, control: str = "") -> None:
        self.control = control
        self.name = f"{Scans.kind}-{control}" if control else Scans.kind
        self.reference = f"the control of {Scans.kind}" if control else Scans.reference

    def steering(self, subject: Subject, given: Setting) -> Steering:
        harmful, _, benign = given.config.need("anchors").partition(",")
        bad = prompt_sets.load(harmful, unstated="harmful").take(MOST, 0)
        good = prompt_sets.load(benign, unstated="benign").take(MOST, 0)
        return cast(Steering, controlled(fit(subject, bad, good), self.control))


def controlled(own: Scans, control: str) -> Scans:
    """The steering, or that of a control."""
    match control:
        case "random":
            generator = torch.Generator().manual_seed(int(own.model["fingerprint"][:8], 16))
            drawn = {block: as_long(v, generator) for block, v in sorted(own.vectors.items())}
            return replace(own, vectors=drawn)
        case "opposite":
            return replace(own, share=-own.share)
    return own


def as_long(vector: Tensor, generator: torch.Generator) -> Tensor:
    """A vector of a random direction, uniform on the sphere, and of this one's norm."""
    drawn = torch.randn(vector.shape, generator=generator)
    return drawn.mul_(float(vector.norm() / drawn.norm()))
