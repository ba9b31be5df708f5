"""The linear layers of a model's blocks: one matrix each, in whatever way a module stores it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from safebasin.errors import CheckpointError
from safebasin.terminal import listed
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.projections import is_router

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Linear:
    """One linear map y = W·x (+ b) of a block.

    parameter  the parameter that holds W [out, in], in the layout of its own
    expert     which of its matrices W is, where it stacks those of several experts
    modules    the modules that compute it: one, or more where they share their weights
    """

    parameter: Parameter
    expert: int | None = None
    modules: tuple[nn.Module, ...] = field(default=(), compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name of the parameter, with the number of the expert."""
        return self.parameter.name + ("" if self.expert is None else f"[{self.expert}]")

    @property
    def inputs(self) -> int:
        """The width of x."""
        return self.parameter.matrix.shape[1 - self.parameter.output_dim]

    @property
    def outputs(self) -> int:
        """The width of y."""
        return self.parameter.matrix.shape[self.parameter.output_dim]

    def of(self, tensor: Tensor) -> Tensor:
        """W [out, in] of a tensor of the parameter's shape; a view."""
        one = self.parameter.split(tensor)[self.expert or 0]
        return one.T if self.parameter.output_dim == 1 else one


def linear_layers(weights: Weights) -> tuple[Linear, ...]:
    """The linear layers among the selected weights, in the model's order.

    They are the matrices of `nn.Linear`, of the `Conv1D` of GPT-2 and of experts that are stacked
    in one tensor, within the blocks. The tables of tokens are left out, as by Wei et al. (arXiv
    2402.05162, App. B), and so are routers and convolutions, which a log line names.

    Raises CheckpointError where there are none.
    """
    found: list[Linear] = []
    others: list[str] = []
    for parameter in weights.parameters:
        if parameter.name in weights.tables or parameter.layer is None:
            continue
        layers = [] if is_router(parameter) else list(_of(parameter, weights.model))
        if not layers and len(parameter.shape) > 1:
            others.append(f"'{parameter.name}'")
        found += layers
    if others:
        LOG.info("no linear layers: %s", listed(others))
    if not found:
        raise CheckpointError(
            "The selected weights hold no linear layers of a block that are known here.",
            "Give a model of nn.Linear, Conv1D or stacked experts, and select some of them.",
        )
    return tuple(found)


def _of(parameter: Parameter, model: nn.Module) -> Iterator[Linear]:
    owners = [name.rpartition(".") for name in parameter.names]
    modules = tuple({id(m): m for m in (model.get_submodule(own) for own, _, _ in owners)}.values())
    if parameter.stacked is None:
        plain = (nn.Linear.forward, Conv1D.forward)
        if owners[0][2] == "weight" and all(type(one).forward in plain for one in modules):
            yield Linear(parameter, None, modules)
    elif len(parameter.shape) == 3 and "Expert" in type(modules[0]).__name__:
        for expert in range(parameter.matrices):
            yield Linear(parameter, expert, modules)


def assembled(parameter: Parameter, parts: Mapping[int | None, Tensor]) -> Tensor:
    """float32 of the parameter's shape of one tensor [out, in] a linear layer, by its expert.

    The inverse of `Linear.of`; what no layer gives is zero.
    """
    any_part = next(iter(parts.values()))
    if parameter.stacked is None:
        return (any_part.T if parameter.output_dim == 1 else any_part).float().contiguous()
    whole = torch.zeros(parameter.shape, device=any_part.device)
    for expert, values in parts.items():
        Linear(parameter, expert).of(whole).copy_(values)
    return whole
