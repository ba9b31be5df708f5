"""Adapters whose names are those of the base's files and older than those of its model.

transformers 5 stacks the experts of a mixture, which were a linear layer each. PEFT turns some of
such adapters into ones of the stacked tensors, and not those that change shared experts, or one of
two layers that are one tensor now. So the layers are had as they were, for PEFT to merge into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safebasin.checkpoint.tokenizers import quiet
from safebasin.checkpoint.vetting import read_header

_KEY = re.compile(r"base_model\.model\.(?P<module>.+?)\.lora_(A|B|magnitude_vector)\b.*")
_FILE = "adapter_model.safetensors"


def merge_older_names(model: Any, folder: Path, config: Any) -> bool:
    """Merge a LoRA adapter of linear layers that `model` has under newer names, in place.

    Whether it is one; where it is not, the model is as it was. `config` is PEFT's of the adapter.
    Raises what PEFT and transformers do where the two do not fit.
    """
    import torch
    from transformers.core_model_loading import revert_weight_conversion

    modules = _modules(folder)
    own = {name for name, _ in model.named_modules()}
    if config.peft_type != "LORA" or modules is None or modules <= own:
        return False
    state = dict(revert_weight_conversion(model, model.state_dict()))
    if not all(f"{name}.weight" in state for name in modules):
        return False
    state |= _merged(modules, state, folder, config)
    with quiet():
        made = type(model).from_pretrained(
            None, config=model.config, state_dict=state, dtype=torch.float32
        )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(made.get_parameter(name))
    return True


def _modules(folder: Path) -> set[str] | None:
    """The layers that an adapter changes; None where it brings more than the factors of such."""
    found = [_KEY.fullmatch(name) for name, _, _ in read_header(folder / _FILE)]
    names = {match["module"] for match in found if match is not None}
    return None if not names or None in found else names


def _merged(
    modules: set[str], state: Mapping[str, Any], folder: Path, config: Any
) -> dict[str, Any]:
    """The weights of the layers, by their names in the base's files, after PEFT's merge."""
    from peft import PeftModel
    from torch import nn

    tree = nn.Module()
    for name in sorted(modules):
        weight = state[f"{name}.weight"]
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device=weight.device)
        layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
        *above, leaf = name.split(".")
        place = tree
        for part in above:
            if not hasattr(place, part):
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        place.add_module(leaf, layer)
    config.target_modules, config.task_type = set(modules), None
    config.layers_to_transform = config.layers_pattern = config.exclude_modules = None
    wrapped = PeftModel(tree, config)
    report = wrapped.load_adapter(str(folder), "default", torch_device="cpu")
    if wrong := [*report.missing_keys, *report.unexpected_keys]:
        raise KeyError(wrong[0])
    merged = wrapped.merge_and_unload(safe_merge=True)
    return {f"{name}.weight": merged.get_submodule(name).weight.data for name in modules}
