"""Weights that a training must leave as they are, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from safebasin.defences.base import TrainingDefence
from safebasin.errors import UsageError
from safebasin.subject.subject import Subject
from safebasin.weights.parameters import Parameter

_LEFT = "Leave some of the blocks or weights to be trained."


@dataclass(frozen=True)
class Freezing:
    """What may move: bool by parameter, of those that a defence speaks of."""

    subject: Subject
    moving: dict[Parameter, Tensor]

    @classmethod
    def of(cls, defences: Sequence[TrainingDefence], subject: Subject) -> Freezing:
        """Only what all of the defences let move may move."""
        masks = [one for d in defences if (one := d.gradients(subject)) is not None]
        moving: dict[Parameter, Tensor] = {}
        for parameter in subject.weights.select(exclude_norms=False).parameters:
            for mask in masks:
                own = mask.tensor(parameter)
                if own is not None:
                    moving[parameter] = moving.get(parameter, own) & own
        return cls(subject, moving)

    def excluded_modules(self) -> list[str]:
        """The modules that get no adapter.

        Raises UsageError where part of a matrix is frozen, or where no linear layer is left.
        """
        frozen = {p for p, own in self.moving.items() if not bool(own.any())}
        for parameter, own in self.moving.items():
            if parameter not in frozen and not bool(own.all()):
                raise UsageError(
                    f"Single weights of '{parameter.name}' are to be frozen, and LoRA moves whole "
                    "matrices.",
                    "Leave out --lora.",
                )
        if all(one.parameter in frozen for one in self.subject.linear):
            raise UsageError("All linear layers are frozen, so that no adapter is left.", _LEFT)
        every = {name.rpartition(".")[0] for one in frozen for name in one.names}
        linear = {name for one in self.subject.linear for name in one.parameter.names}
        return sorted(every & {name.rpartition(".")[0] for name in linear})

    def check(self, *, lora: bool) -> None:
        """Raises UsageError where nothing is left to be trained, or LoRA cannot heed it."""
        if lora:
            self.excluded_modules()
            return
        every = self.subject.weights.select(exclude_norms=False).parameters
        if not any(one not in self.moving or bool(self.moving[one].any()) for one in every):
            raise UsageError("All weights are frozen, so that nothing is trained.", _LEFT)

    def apply(self, model: nn.Module) -> Kept:
        """Take the frozen weights out of the training; all others are left as they are.

        A tensor that is frozen as a whole wants no gradient, so that the optimiser never sees it.
        Of one that is frozen in part, the frozen part of the gradient is zero.
        """
        kept: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        for parameter, own in self.moving.items():
            tensor = model.get_parameter(parameter.name)
            if not bool(own.any()):
                tensor.requires_grad_(False)
            elif not bool(own.all()):
                still = ~own.to(tensor.device)
                tensor.register_hook(_without(still))  # type: ignore[no-untyped-call]
                kept.append((tensor, still, tensor.detach()[still].clone()))
        return Kept(kept)


@dataclass(frozen=True)
class Kept:
    """The values of frozen weights, of tensors that are trained in part."""

    values: Sequence[tuple[nn.Parameter, Tensor, Tensor]]

    def restore(self) -> None:
        """Undo what a step of the optimiser did to them beside the gradient: weight decay."""
        with torch.no_grad():
            for tensor, still, value in self.values:
                tensor[still] = value


def _without(still: Tensor) -> Any:
    return lambda grad: grad.masked_fill(still, 0)
