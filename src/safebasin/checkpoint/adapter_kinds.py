"""Which adapters are a change of weights, and why the others are not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from safebasin.errors import CheckpointError
from safebasin.terminal import listed, shorten

LOG = logging.getLogger(__name__)

MERGEABLE = {
    "ADALORA", "BEFT", "BOFT", "C3A", "DEFT", "DELORA", "FOURIERFT", "FROD", "GLORA", "GRALORA",
    "HIRA", "HRA", "IA3", "LN_TUNING", "LOHA", "LOKR", "LORA", "MISS", "OFT", "OSF", "PEANUT",
    "PSOFT", "PVERA", "RANDLORA", "ROAD", "SHIRA", "SUPERTUNING", "TINYLORA", "TRAINABLE_TOKENS",
    "UNILORA", "VBLORA", "VERA", "WAVEFT",
}  # fmt: skip
"""Kinds whose merged weights compute what PEFT's own unmerged model does."""

_PROMPTS = "it puts virtual tokens before every prompt"
_LAYERS = "it adds computation of its own to the layers"
_OTHERS = {
    "PROMPT_TUNING": _PROMPTS,
    "MULTITASK_PROMPT_TUNING": _PROMPTS,
    "P_TUNING": _PROMPTS,
    "PREFIX_TUNING": _PROMPTS,
    "CPT": _PROMPTS,
    "CARTRIDGE": _PROMPTS,
    "ADAPTION_PROMPT": _LAYERS,
    "SHADOW": _LAYERS,
    "LILY": _LAYERS,
    "XLORA": "it weighs several adapters anew at every token",
    "POLY": "it weighs several adapters anew for every task",
}
_HEADS = ("SEQ_CLS", "TOKEN_CLS", "QUESTION_ANS", "SEQ_2_SEQ_LM")
# Settings of LoRA by which the weights that it fits are not its base's, nor to be had from them.
_OTHER_BASES = {
    "pissa_niter": "from a random decomposition of its base's weights, which it does not hold",
    "corda": "from a decomposition of its base's weights by data that it does not hold",
    "loftq": "from a quantised copy of its base's weights, which it does not hold",
    "lora_ga": "from gradients of its base on data that it does not hold",
}


def refuse_unmergeable(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise CheckpointError, with the reason, where an adapter is no change of its base's weights.

    Its config is read alone: no tensor, and nothing of PEFT's own.
    """
    kind = config.get("peft_type")
    if not isinstance(kind, str) or kind not in MERGEABLE:
        why = f": {_OTHERS[kind]}" if isinstance(kind, str) and kind in _OTHERS else ""
        raise CheckpointError(
            f"The adapter '{folder}' is of type {shorten(str(kind))}, which cannot be merged into "
            f"weights{why}.",
            f"Give an adapter of one of the types {', '.join(sorted(MERGEABLE))}.",
        )
    if config.get("megatron_config") is not None:
        raise CheckpointError(
            f"{folder / 'adapter_config.json'} asks to import a Python module (megatron_core).",
            "Remove 'megatron_config' from it if you trust the adapter.",
        )
    if (task := config.get("task_type")) in _HEADS:
        raise CheckpointError(
            f"The adapter '{folder}' was trained for another task than writing text ({task}).",
            "Give an adapter of a causal language model.",
        )
    if config.get("alora_invocation_tokens"):
        raise CheckpointError(
            f"The adapter '{folder}' is an activated LoRA: it changes the model after its "
            "invocation tokens alone, and so cannot be merged into weights.",
            "Give an adapter that holds for every token.",
        )
    start = config.get("init_lora_weights")
    for name, why in _OTHER_BASES.items():
        if kind == "LORA" and isinstance(start, str) and start.lower().startswith(name):
            raise CheckpointError(
                f"The adapter '{folder}' was started ({shorten(start)}) {why}, and fits no other.",
                "Convert it to plain LoRA where it was trained: save_pretrained(OUT, "
                "path_initial_model_for_weight_conversion=START).",
            )


def several_adapters(folder: Path) -> CheckpointError | None:
    """What to say of a folder whose subfolders hold adapters, as PEFT saves those with names."""
    found = sorted(path.parent.name for path in folder.glob("*/adapter_config.json"))
    if not found:
        return None
    what = "an adapter in a folder" if len(found) == 1 else f"{len(found)} adapters in folders"
    return CheckpointError(
        f"'{folder}' holds {what} of its own: {listed([shorten(name) for name in found])}.",
        f"Name one, as in BASE+{folder / found[0]}.",
    )


def unknown_settings(config: Mapping[str, Any], known: type) -> dict[str, Any]:
    """The settings that are on and that the installed PEFT's config of that kind does not have."""
    names = {field.name for field in fields(known)}
    return {name: value for name, value in config.items() if value and name not in names}


def check_settings(folder: Path, config: Mapping[str, Any]) -> None:
    """Hold the settings of an adapter against those that the installed PEFT knows.

    One that is switched on there and unknown here raises CheckpointError; any other that has a
    value is a warning, since PEFT leaves it out.
    """
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    known = PEFT_TYPE_TO_CONFIG_MAPPING.get(config["peft_type"])
    by = config.get("peft_version")
    if known is None:
        raise CheckpointError(
            f"PEFT {peft.__version__} does not know adapters of type {config['peft_type']}, as "
            f"'{folder}' is.",
            "Update PEFT.",
        )
    unknown = unknown_settings(config, known)
    if not unknown:
        return
    what = (
        f"the adapter '{folder}' has settings that PEFT {peft.__version__} does not know: "
        f"{listed([shorten(name) for name in unknown])}"
    )
    if any(value is True for value in unknown.values()):
        version = f" to {shorten(str(by))}, which it was written with" if by else ""
        raise CheckpointError(f"{what[0].upper()}{what[1:]}.", f"Update PEFT{version}.")
    LOG.warning("%s; they are left out", what)
