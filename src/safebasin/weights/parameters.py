"""The parameters of a model: their names, ties, blocks and norm layers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from safebasin.blocks import blocks_named, require_blocks
from safebasin.errors import CheckpointError
from safebasin.weights.divided import own, require_known_parts
from safebasin.weights.layouts import layout

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One tensor of a model: its name, shape, and further names where it is tied.

    `output_dim` is the dimension that counts output features (rows): 0, but 1 in the `Conv1D` of
    GPT-2, which stores its matrices transposed. `layer` is the index of the block it belongs to.
    `stacked` is the shape of one matrix where a tensor holds several, as the experts of a mixture
    are held; `output_dim` is then a dimension of one matrix.
    """

    name: str
    shape: tuple[int, ...]
    aliases: tuple[str, ...] = ()
    output_dim: int = 0
    layer: int | None = None
    stacked: tuple[int, ...] | None = None

    @property
    def matrices(self) -> int:
        """How many matrices (or vectors, or convolutions) the tensor holds."""
        return 1 if self.stacked is None else math.prod(self.shape) // math.prod(self.stacked)

    @property
    def matrix(self) -> Parameter:
        """One of its matrices, as a parameter by itself."""
        if self.stacked is None:
            return self
        return replace(self, shape=self.stacked, stacked=None)

    def split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """The matrices of a tensor of this parameter's shape; views where it is contiguous."""
        return (tensor,) if self.stacked is None else tensor.reshape(-1, *self.stacked).unbind()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.aliases)

    def each_name(self) -> tuple[Parameter, ...]:
        """The parameter under each of its names, without its ties."""
        return tuple(replace(self, name=name, aliases=()) for name in self.names)

    def matches(self, patterns: Sequence[str]) -> bool:
        """Whether one of its names matches one of the glob patterns."""
        return any(fnmatchcase(name, pattern) for name in self.names for pattern in patterns)


@dataclass(frozen=True)
class Survey:
    """The distinct parameters of a model by first name, and what belongs to a norm layer."""

    tensors: dict[str, nn.Parameter]
    parameters: dict[str, Parameter]
    norms: frozenset[str]

    @classmethod
    def of(cls, model: nn.Module) -> Survey:
        """Raises CheckpointError where a parameter is quantised or not in memory."""
        owners = {
            f"{prefix}.{leaf}" if prefix else leaf: (module, leaf)
            for prefix, module in model.named_modules(remove_duplicate=False)
            for leaf, _ in module.named_parameters(recurse=False)
        }
        tensors, parameters, norms = {}, {}, set()
        for names, tensor in parameter_groups(model):
            first = names[0]
            _require_plain(first, tensor)
            require_known_parts(first, tensor)
            classes = [type(owners[name][0]).__name__ for name in names]
            # An output layer that is tied to a table of tokens is laid out as that is.
            output_dim, stacked = max(
                (layout(*owners[name], tensor) for name in names), key=lambda found: found[0]
            )
            tensors[first] = tensor
            parameters[first] = Parameter(
                first,
                tuple(tensor.shape),
                names[1:],
                output_dim,
                _layer(first),
                stacked,
            )
            if any("norm" in text.lower() for text in (*classes, *names)):
                norms.add(first)
        return cls(tensors, parameters, frozenset(norms))


def tied_names(model: nn.Module) -> list[tuple[str, ...]]:
    """The groups of two or more parameter names that share one tensor."""
    return [names for names, _ in parameter_groups(model) if len(names) > 1]


def parameter_groups(model: nn.Module) -> list[tuple[tuple[str, ...], nn.Parameter]]:
    """The parameters with all their names: the same object, or the same view of one storage."""
    groups: dict[tuple[Any, ...], tuple[list[str], nn.Parameter]] = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        key: tuple[Any, ...] = (id(tensor),)
        part = own(tensor)
        if part.device.type != "meta" and part.data_ptr() != 0:
            key = (part.device, part.data_ptr(), tensor.shape, tensor.stride())
        groups.setdefault(key, ([], tensor))[0].append(name)
    return [(tuple(names), tensor) for names, tensor in groups.values()]


def _require_plain(name: str, tensor: Tensor) -> None:
    if tensor.device.type == "meta":
        raise CheckpointError(
            f"'{name}' is not in memory (offloaded, or on the meta device).",
            "Load the whole model onto one device.",
        )
    if tensor.dtype not in _DTYPES:
        raise CheckpointError(
            f"'{name}' is {tensor.dtype}; quantised and unusual weights cannot be displaced.",
            "Load the model in float32, bfloat16 or float16.",
        )


def _layer(name: str) -> int | None:
    """The first number among the parts of a name: the block, also within experts."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def layer_set(asked: str | Collection[int], parameters: Collection[Parameter]) -> set[int]:
    """The blocks that `0,4-7` or a collection names; UsageError where the model lacks one."""
    wanted = blocks_named(asked) if isinstance(asked, str) else set(asked)
    require_blocks(wanted, {p.layer for p in parameters if p.layer is not None})
    return wanted
