"""Points along a LoRA adapter as LoRA requests of vLLM: which adapters can, and their folders.

vLLM adds x·Aᵀ·Bᵀ to what a linear layer gives, for each row with the adapter of its own request. So
rows of many points share a batch, and no weights have to move.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from safebasin.directions import Direction
from safebasin.engines.fast.pooled import LowRank
from safebasin.engines.model_shape import text_config
from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import fp32

LARGEST_RANK = 512
"""vLLM takes no adapter of a larger rank."""

_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@dataclass(frozen=True)
class AdapterLine:
    """The points c·d of one direction d = B·A, which vLLM reaches from the undisplaced weights.

    parameters  those that the direction changes: weights [out, in] of linear layers
    rank        the largest rank among its factors
    dtype       what vLLM computes in
    """

    name: str
    direction: LowRank
    parameters: tuple[Parameter, ...]
    rank: int
    dtype: torch.dtype

    @classmethod
    def of(cls, model: Any, weights: Weights, direction: Direction) -> AdapterLine:
        """Raises ValueError, with the reason, where vLLM's LoRA does not cover the direction."""
        if not isinstance(direction, LowRank):
            raise ValueError(f"'{direction.name}' is no LoRA adapter")
        if weights.tied != "once":
            raise ValueError("a tied weight is displaced under each of its names")
        config = text_config(model)
        if any(getattr(config, name, None) for name in _EXPERTS):
            raise ValueError("the model sends its tokens to different experts")
        changed, rank = [], 0
        for parameter in weights.parameters:
            factors = direction.factors(parameter)
            if factors is not None:
                _require_linear(model, parameter)
                changed.append(parameter)
                rank = max(rank, len(factors[1]))
            elif direction.tensor(parameter) is not None:
                raise ValueError(f"the adapter replaces '{parameter.name}' whole")
        if not changed:
            raise ValueError("the adapter changes none of the selected weights")
        if rank > LARGEST_RANK:
            raise ValueError(f"the adapter has rank {rank}, and vLLM takes {LARGEST_RANK}")
        return cls(direction.name, direction, tuple(changed), rank, model.dtype)

    @property
    def modules(self) -> tuple[str, ...]:
        """The last names of the layers that it changes, such as `q_proj`."""
        return tuple(sorted({_module(each).rpartition(".")[2] for each in self.parameters}))

    def write(self, folder: Path, coefficient: float) -> Path:
        """Write c·d as an adapter whose scaling is 1: float32 B' = fp32(c)·B and A as they are.

        Raises DirectionError where a factor is too large for vLLM's dtype.
        """
        tensors: dict[str, Tensor] = {}
        ranks: dict[str, int] = {}
        for parameter in self.parameters:
            factors = self.direction.factors(parameter)
            if factors is None:
                raise ValueError(f"'{parameter.name}' had factors before")
            up, down = factors[0] * fp32(coefficient), factors[1]
            if not all(factor.to(self.dtype).isfinite().all() for factor in (up, down)):
                raise DirectionError(
                    f"The adapter's factors of '{parameter.name}' are too large for {self.dtype}.",
                    "Give a smaller radius, or run in float32 or bfloat16.",
                )
            module = _module(parameter)
            tensors[f"base_model.model.{module}.lora_A.weight"] = down.contiguous()
            tensors[f"base_model.model.{module}.lora_B.weight"] = up.contiguous()
            if len(down) != self.rank:
                ranks[re.escape(module)] = len(down)
        config = {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "target_modules": list(self.modules),
            "r": self.rank,
            "lora_alpha": self.rank,
            "rank_pattern": ranks,
            "alpha_pattern": ranks,
            "bias": "none",
        }
        folder.mkdir()
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
        (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder


def adapter_line(
    model: Any, weights: Weights, directions: Mapping[str, Direction]
) -> tuple[AdapterLine | None, str]:
    """The line that all points lie on, or None and why their weights have to be streamed."""
    if len(directions) != 1:
        return None, "there are several directions" if directions else "there is no direction"
    # Asked of torch, since vLLM itself has not started: it works on a GPU where torch sees one.
    if model.dtype == torch.float32 and torch.cuda.is_available():
        return None, "vLLM's LoRA on GPUs does not take float32"
    [direction] = directions.values()
    try:
        return AdapterLine.of(model, weights, direction), ""
    except ValueError as reason:
        return None, str(reason)


def _module(parameter: Parameter) -> str:
    return parameter.name.removesuffix(".weight")


def _require_linear(model: Any, parameter: Parameter) -> None:
    owner, _, leaf = parameter.name.rpartition(".")
    linear = type(model.get_submodule(owner)) is nn.Linear and leaf == "weight"
    if not linear or parameter.layer is None or parameter.aliases:
        raise ValueError(f"the adapter changes '{parameter.name}', no linear layer of a block")
