"""What PEFT makes of an adapter: merged into the weights of its base, in float32."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safebasin.checkpoint.completeness import some
from safebasin.checkpoint.sources import first_line
from safebasin.errors import CheckpointError


def adapter_digest(folder: Path) -> str:
    """SHA-256 (hex) over the adapter's config and weights."""
    total = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        with (folder / name).open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def merge_into(model: Any, folder: Path, *, untie: bool = False) -> Any:
    """The float32 `model` with the adapter in `folder` merged into its weights.

    Where the adapter changes one of two tied tables, `untie` gives each its own values, as the
    adapter was trained; without it that is an error. Raises CheckpointError, too, where adapter
    and model do not fit.
    """
    from peft import PeftConfig, PeftModel
    from peft.tuners.trainable_tokens import TrainableTokensLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    from safebasin.weights.parameters import tied_names

    def mismatch(reason: str) -> CheckpointError:
        return CheckpointError(
            f"The adapter '{folder}' does not fit the base model: {reason}.",
            "Give the base model that the adapter was trained on.",
        )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what matters of them is checked below
        try:
            config = PeftConfig.from_pretrained(str(folder))
            config.inference_mode = True
            # These are of both tables at once, and have no meaning for two separate ones.
            joint = ("ensure_weight_tying", "trainable_token_indices")
            separable = untie and not any(getattr(config, name, None) for name in joint)
            separated = untie_tables(model) if separable else []
            ties = tied_names(model)
            tied = {id(model.get_parameter(name)) for names in ties for name in names}
            wrapped = PeftModel(model, config)
            report = wrapped.load_adapter(str(folder), "default", torch_device="cpu")
            if wrong := sorted({*report.missing_keys, *report.unexpected_keys}):
                raise mismatch(f"{len(wrong)} tensors have no counterpart, such as {some(wrong)}")
            touched = [
                name
                for name, module in wrapped.named_modules()
                if isinstance(module, BaseTunerLayer)
                # Rows of tokens are set, not added to: the same ones twice are right.
                and not isinstance(module, TrainableTokensLayer)
                and any(id(p) in tied for p in module.get_base_layer().parameters(recurse=False))
            ]
            merged = wrapped.merge_and_unload(safe_merge=True)
            if touched or tied_names(merged) != ties:
                found = touched or (ties or tied_names(merged))[0]
                raise _changes_ties(folder, found, untie)
            if separated and all(_are_equal(merged, names) for names in separated):
                for names in separated:
                    _share(merged, names)
                _set_tied(merged, True)
            return merged
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
            raise mismatch(first_line(error)) from error


def untie_tables(model: Any) -> list[tuple[str, ...]]:
    """Give each of the tied parameters values of its own; returns their names, group by group."""
    from torch.nn import Parameter

    from safebasin.weights.parameters import tied_names

    groups = tied_names(model)
    for names in groups:
        for name in names[1:]:
            _replace(model, name, Parameter(model.get_parameter(name).detach().clone()))
    if groups:
        _set_tied(model, False)
    return groups


def _changes_ties(folder: Path, names: Sequence[str], untie: bool) -> CheckpointError:
    return CheckpointError(
        f"The adapter '{folder}' changes tied weights: {some(names)}.",
        "Merge it with the library that trained it, and give the merged folder."
        if untie
        else "Run `safebasin merge BASE+ADAPTER OUT`, where they are untied, and give OUT.",
    )


def _are_equal(model: Any, names: Sequence[str]) -> bool:
    import torch

    first = model.get_parameter(names[0])
    return all(torch.equal(model.get_parameter(name), first) for name in names[1:])


def _share(model: Any, names: Sequence[str]) -> None:
    for name in names[1:]:
        _replace(model, name, model.get_parameter(names[0]))


def _replace(model: Any, name: str, parameter: Any) -> None:
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, parameter)


def _set_tied(model: Any, tied: bool) -> None:
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = tied
