"""The folder of a LoRA adapter as PEFT writes it: factors by parameter name, nothing merged."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from safebasin.checkpoint.adapter_kinds import check_settings
from safebasin.checkpoint.adapter_patterns import require_quick
from safebasin.checkpoint.vetting import vet_adapter
from safebasin.errors import DirectionError

# Settings that change how an adapter is trained or matched, not what its tensors mean.
_NEUTRAL = {
    "auto_mapping", "base_model_name_or_path", "bias", "corda_config", "eva_config",
    "exclude_modules", "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern",
    "layers_to_transform", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_core",
    "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "revision",
    "runtime_config", "target_modules", "task_type",
}  # fmt: skip
_USED = {"alpha_pattern", "lora_alpha", "r", "rank_pattern", "use_rslora"}
# Others subtract something from the base when the adapter is made, so base + B·A is not the model.
_PLAIN_STARTS = (True, False, None, "gaussian", "eva", "orthogonal")
_KEY = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+?)\."
    r"(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B)(?:\.default)?(?:\.weight)?"
)
_MERGE = "Give BASE+ADAPTER as a checkpoint; it is then merged."


@dataclass(frozen=True)
class Factors:
    """up [out, rank] and down [rank, in], as stored; their product times `scaling` is the change.

    The table of an embedding counts as [out = tokens, in = features].
    """

    up: Tensor
    down: Tensor
    scaling: float


@dataclass(frozen=True)
class Lora:
    """What an adapter brings: factors by parameter name, and parameters that it replaces whole."""

    factors: Mapping[str, Factors]
    whole: Mapping[str, Tensor]
    base: str
    rank: int


class NotLowRank(DirectionError):
    """An adapter that has no low-rank form here; merged into its base it may fit all the same."""


@dataclass
class _Pair:
    up: Tensor | None = None
    down: Tensor | None = None
    embedding: bool = field(default=False)


def read_lora(folder: Path) -> Lora:
    """Read an adapter's folder.

    Raises CheckpointError where it is not safe to open, and NotLowRank where it is no plain LoRA:
    then it has no low-rank form, or not one that is known here.
    """
    from safetensors.torch import load_file

    contents = vet_adapter(folder)
    config = contents.config
    check_settings(folder, config)
    _require_plain(folder, config)
    pairs: dict[str, _Pair] = {}
    whole: dict[str, Tensor] = {}
    for key, tensor in load_file(contents.weights[0]).items():
        if ".original_module." in key:
            continue  # what a module was before the adapter's own copy took its place
        found = _KEY.fullmatch(key)
        if found is None:
            if "lora_" in key or "token_adapter" in key:
                raise _not_plain(folder, f"it holds '{key}'")
            whole[_parameter_name(key)] = tensor
            continue
        pair = pairs.setdefault(found["module"], _Pair())
        pair.embedding = "embedding" in found["part"]
        if found["part"].endswith("A"):
            pair.down = tensor
        else:
            pair.up = tensor
    require_quick(folder, config, pairs)
    factors = {
        f"{module}.weight": _factors(folder, config, module, pair) for module, pair in pairs.items()
    }
    if not factors and not whole:
        raise _not_plain(folder, "it holds no tensors")
    rank = max((one.down.shape[0] for one in factors.values()), default=0)
    return Lora(factors, whole, str(config.get("base_model_name_or_path") or ""), rank)


def _parameter_name(key: str) -> str:
    """The model's name of a tensor that the adapter brings whole."""
    name = key.removeprefix("base_model.model.")
    for wrapper in (".modules_to_save.default", ".modules_to_save", ".base_layer"):
        name = name.replace(wrapper, "")
    return name


def _factors(folder: Path, config: Mapping[str, Any], module: str, pair: _Pair) -> Factors:
    up, down = pair.up, pair.down
    if up is None or down is None:
        raise _not_plain(folder, f"'{module}' has one factor only")
    if up.dim() != 2 or down.dim() != 2 or up.shape[1] != down.shape[0]:
        raise _not_plain(folder, f"the factors of '{module}' do not multiply")
    rank = _setting(config, "rank_pattern", module, config.get("r"))
    alpha = _setting(config, "alpha_pattern", module, config.get("lora_alpha"))
    if rank != down.shape[0]:
        raise _not_plain(folder, f"'{module}' has rank {down.shape[0]}, its config says {rank}")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise _not_plain(folder, f"the lora_alpha of '{module}' is {alpha}")
    scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    if pair.embedding:
        # Stored for x·Aᵀ·Bᵀ with one-hot x, that is for the transposed table.
        up, down = down.t(), up.t()
    return Factors(up.contiguous(), down.contiguous(), scaling)


def _setting(config: Mapping[str, Any], pattern: str, module: str, default: Any) -> Any:
    """A module's own rank or alpha, where the config gives it one by a pattern."""
    from peft.utils.other import get_pattern_key

    given = config.get(pattern) or {}
    return given.get(get_pattern_key(given.keys(), module), default)


def _require_plain(folder: Path, config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise _not_plain(folder, f"it is of type {kind}")
    start = config.get("init_lora_weights", True)
    if start not in _PLAIN_STARTS:
        raise _not_plain(folder, f"it starts from '{start}', which changes the base weights")
    other = [name for name, value in config.items() if value and name not in _NEUTRAL | _USED]
    if other:
        raise _not_plain(folder, f"it sets {_text(other)}")


def _not_plain(folder: Path, reason: str) -> NotLowRank:
    return NotLowRank(f"The adapter '{folder}' is no plain LoRA: {reason}.", _MERGE)


def _text(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:4])
