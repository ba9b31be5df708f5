"""What PEFT makes of an adapter: merged into the weights of its base, in float32."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safebasin.checkpoint.adapter_kinds import check_settings
from safebasin.checkpoint.adapter_patterns import require_quick
from safebasin.checkpoint.adapter_tables import (
    fitted_tables,
    resize_to_adapter,
    separate,
    share_equal,
    untie_tables,
)
from safebasin.checkpoint.completeness import some
from safebasin.checkpoint.older_names import merge_older_names
from safebasin.checkpoint.sources import first_line
from safebasin.checkpoint.vetting import read_json
from safebasin.errors import CheckpointError


def adapter_digest(folder: Path) -> str:
    """SHA-256 (hex) over the adapter's config and weights."""
    total = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def merge_into(model: Any, folder: Path) -> Any:
    """The float32 `model` with the adapter in `folder` merged into its weights.

    PEFT lays the adapter over the model and merges it; what it computes unmerged is what comes of
    it. The tables of tokens get the rows that it was trained with, layers are repeated where it
    repeats them, and where it changes one of two tied tables each gets values of its own. Raises
    CheckpointError where adapter and model do not fit, or the adapter is no change of weights.
    """
    from peft import PeftConfig, PeftModel

    from safebasin.weights.parameters import tied_names

    def mismatch(reason: str) -> CheckpointError:
        return CheckpointError(
            f"The adapter '{folder}' does not fit the base model: {reason}.",
            "Give the base model that the adapter was trained on.",
        )

    settings = read_json(folder, "adapter_config.json") or {}
    check_settings(folder, settings)
    require_quick(folder, settings, [name for name, _ in model.named_modules()])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of them is checked below
        try:
            with fitted_tables(model, folder) as fitted:
                ties = tied_names(model)
                depth = model.config.get_text_config().num_hidden_layers
                config = PeftConfig.from_pretrained(str(fitted))
                config.inference_mode = True
                if merge_older_names(model, fitted, config):
                    return model
                wrapped = PeftModel(model, config)
                report = wrapped.load_adapter(str(fitted), "default", torch_device="cpu")
                wrong = _without_counterpart(wrapped, report, fitted)
            if wrong:
                raise mismatch(f"{len(wrong)} tensors have no counterpart, such as {some(wrong)}")
            _refuse_new_biases(wrapped, folder, settings)
            # Merging adds to the tensors of the base: one under two names would get both sums.
            separate(wrapped)
            repeat = settings.get("layer_replication")
            if repeat:
                # That PEFT refuses to merge repeated layers is for the sake of what they share.
                wrapped.peft_config["default"].layer_replication = None
            _merge_innermost(wrapped)
            merged = wrapped.merge_and_unload(safe_merge=True)
            if repeat:
                _repeat_in_config(merged.config.get_text_config(), repeat, depth)
            share_equal(merged, ties)
            return merged
        except (
            ValueError, RuntimeError, KeyError, TypeError, AttributeError, IndexError, ImportError,
        ) as error:  # fmt: skip
            lacks = "it lacks " if isinstance(error, KeyError) else ""
            raise mismatch(f"{lacks}{first_line(error)}") from error


def structure_as_merged(model: Any, folder: Path, merged: Any) -> None:
    """Give the plain base `model` the tables, layers and ties of `merged`, not its values."""
    from peft.tuners.tuners_utils import replicate_layers

    from safebasin.weights.parameters import tied_names

    resize_to_adapter(model, folder)
    settings = read_json(folder, "adapter_config.json") or {}
    if repeat := settings.get("layer_replication"):
        config = model.config.get_text_config()
        depth = config.num_hidden_layers
        replicate_layers(model, repeat)
        _repeat_in_config(config, repeat, depth)
        separate(model)
    elif tied_names(model) != tied_names(merged):
        untie_tables(model)
    model.config.tie_word_embeddings = merged.config.tie_word_embeddings


def _merge_innermost(wrapped: Any) -> None:
    """Merge rows of tokens that lie inside a layer's adapter, where PEFT would leave them."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for module in list(wrapped.modules()):
        if isinstance(module, BaseTunerLayer):
            inner = getattr(module, "base_layer", None)
            if isinstance(inner, AuxiliaryTrainingWrapper):
                module.base_layer = inner.unload_and_optionally_merge_module(
                    merge=True, safe_merge=True, adapter_names=None
                )


def _without_counterpart(wrapped: Any, report: Any, folder: Path) -> list[str]:
    """Tensors of the adapter's file or model that the other lacks.

    One that several layers share is stored once, or under each of their names; and beside tables
    of another length PEFT stores the trained copy of a module twice.
    """
    from safetensors.torch import load_file

    from safebasin.weights.parameters import tied_names

    missing = set(report.missing_keys)
    shared = [set(names) for names in tied_names(wrapped)]
    found = {
        name for name in missing if not any(name in names and names - missing for names in shared)
    }
    unexpected = set(report.unexpected_keys)
    if unexpected:
        stored = load_file(folder / "adapter_model.safetensors")
        unexpected -= {key for key in unexpected if _is_repeated(key, stored, unexpected)}
    return sorted({*found, *unexpected})


def _is_repeated(key: str, stored: Mapping[str, Any], unexpected: Collection[str]) -> bool:
    """Whether a tensor without a place is one that has its place under another name."""
    import torch

    if key not in stored or not key.endswith((".weight", "trainable_tokens_delta")):
        return False
    if ".modules_to_save." in key:
        others = [key.replace(".modules_to_save.", ".")]
    else:
        leaf = key.rsplit(".", 1)[-1]
        others = [name for name in stored if name != key and name.endswith(f".{leaf}")]
        others = others if leaf == "trainable_tokens_delta" else []
    return any(
        name in stored and name not in unexpected and torch.equal(stored[name], stored[key])
        for name in others
    )


def _refuse_new_biases(wrapped: Any, folder: Path, settings: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the adapter adds biases to layers that have none."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    if not (settings.get("lora_bias") or settings.get("peft_type") == "BEFT"):
        return
    bare = [
        name.removeprefix("base_model.model.")
        for name, module in wrapped.named_modules()
        if isinstance(module, BaseTunerLayer)
        and getattr(module.get_base_layer(), "bias", None) is None
    ]
    if bare:
        raise CheckpointError(
            f"The adapter '{folder}' adds biases to layers that have none in its base, such as "
            f"{some(bare)}: no weights of the base's architecture are its model.",
            "Give an adapter that was trained without biases (lora_bias=False).",
        )


def _repeat_in_config(config: Any, layers: list[list[int]], depth: int) -> None:
    """Lengthen what a config lists layer by layer as the layers themselves were."""
    order = [index for start, end in layers for index in range(start, end)]
    config.num_hidden_layers = len(order)
    for name, value in vars(config).items():
        if "layer" in name and isinstance(value, list) and len(value) == depth:
            setattr(config, name, [value[index] for index in order])
