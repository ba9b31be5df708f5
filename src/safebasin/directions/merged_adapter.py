"""What PEFT makes of an adapter over weights that are in memory, as a difference from them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from safebasin.checkpoint.adapter_tables import share_equal, table_names
from safebasin.checkpoint.adapters import merge_into
from safebasin.checkpoint.vetting import vet_adapter
from safebasin.errors import DirectionError
from safebasin.terminal import listed
from safebasin.weights import Weights
from safebasin.weights.parameters import parameter_groups


def merged_steps(folder: Path, weights: Weights) -> dict[str, Tensor]:
    """float32 merged - base, on the CPU, of each parameter that the adapter changes.

    One more model is held in float32 while PEFT merges it. Of tables of tokens with another number
    of rows the overlap moves. Raises CheckpointError where PEFT cannot merge the adapter, and
    DirectionError where its model has other parameters or unties what is tied here.
    """
    if (vet_adapter(folder).config).get("layer_replication"):
        raise DirectionError(
            f"The adapter '{folder}' repeats layers of its base (layer_replication), so that its "
            "model has more layers than these weights, and no line leads there.",
            "Scan BASE+ADAPTER by itself.",
        )
    merged = merge_into(_copy(weights), folder)
    found = {name: tensor for names, tensor in parameter_groups(merged) for name in names}
    every = weights.select(exclude_norms=False).parameters
    absent = sorted({name for p in every for name in p.names} ^ found.keys())
    if absent:
        raise DirectionError(
            f"The adapter '{folder}' makes a model of other parameters than these weights: "
            f"{listed([repr(name) for name in absent])}.",
            "Scan BASE+ADAPTER by itself.",
        )
    steps: dict[str, Tensor] = {}
    for parameter in every:
        own = [found[name].detach() for name in parameter.names]
        if any(not torch.equal(one, own[0]) for one in own[1:]):
            raise unties(folder, parameter.name)
        start = weights.pristine(parameter.name).to("cpu", torch.float32)
        step = torch.zeros_like(start)
        shared = min(len(start), len(own[0])) if start.dim() else None
        part = slice(shared) if start.dim() else ...
        step[part] = own[0][part] - start[part]
        if step.any():
            steps[parameter.name] = step
    return steps


def unties(folder: Path, name: str) -> DirectionError:
    return DirectionError(
        f"The adapter '{folder}' changes tied weights: '{name}' is two tables with other values "
        "then, which weights that are tied cannot follow.",
        "Load the base with tables of their own: Checkpoint(BASE).load(untied=True).",
    )


def _copy(weights: Weights) -> Any:
    """The undisplaced model in float32 on the CPU, its tables tied where they are equal."""
    model: nn.Module = weights.model
    memo: dict[int, Any] = {}
    for parameter in weights.select(exclude_norms=False).parameters:
        values = weights.pristine(parameter.name).to("cpu", torch.float32, copy=True)
        made = nn.Parameter(values, requires_grad=False)
        for name in parameter.names:
            memo[id(model.get_parameter(name))] = made
    made_model = copy.deepcopy(model, memo).to("cpu")
    tables = [name for names in table_names(made_model) for name in names]
    if len(table_names(made_model)) > 1 and _equal(made_model, tables):
        # As the base was before each table got values of its own: PEFT asks whether they are tied.
        share_equal(made_model, [tables])
    return made_model


def _equal(model: Any, names: list[str]) -> bool:
    first = model.get_parameter(names[0])
    return all(torch.equal(model.get_parameter(name), first) for name in names[1:])
