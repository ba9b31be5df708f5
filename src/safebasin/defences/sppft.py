"""SPPFT: an interval of blocks is kept as it is while the rest is fine-tuned."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from safebasin.defences.base import TrainingDefence
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import layer_set


class Sppft(TrainingDefence):
    """Safely partial-parameter fine-tuning: no gradient for attention and MLP of some blocks.

    (Li et al., ICLR 2025, arXiv 2408.17003, Sec. 4.) `blocks` is `"2-5"`, counted from 0 with both
    ends, or `""` for none. As in the authors' code the norm layers around attention and MLP still
    train, and so do embeddings and output layer; the norms inside an attention, of queries and
    keys, belong to it. What two blocks share is frozen in both. With LoRA, frozen blocks get no
    adapters. It learns less in as many steps: compare at one training loss, and with other
    intervals of as many blocks.

    Raises UsageError where the model has no such block.
    """

    kind: ClassVar[str] = "sppft"
    reference: ClassVar[str] = "Li et al., ICLR 2025, arXiv 2408.17003, Sec. 4"

    def __init__(self, blocks: str) -> None:
        self.blocks = blocks

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "blocks": self.blocks}

    def gradients(self, subject: Subject) -> Mask | None:
        """Nothing of the frozen modules may move."""
        if not self.blocks.strip():
            return None
        parameters = subject.weights.select(exclude_norms=False).parameters
        frozen = {
            id(tensor)
            for number, block in enumerate(blocks_of(subject))
            if number in layer_set(self.blocks, parameters)
            for name, module in block.named_children()
            if not _is_norm(name, module)
            for tensor in module.parameters()
        }
        # One stored value stands for a whole tensor.
        no = torch.zeros((), dtype=torch.bool)
        return Mask(
            {
                one.name: no.expand(one.shape)
                for one in parameters
                if id(subject.model.get_parameter(one.name)) in frozen
            },
            name=f"outside {self.blocks}",
        )


def _is_norm(name: str, module: nn.Module) -> bool:
    return any("norm" in text.lower() for text in (name, type(module).__name__))
