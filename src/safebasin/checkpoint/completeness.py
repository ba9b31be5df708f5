"""Whether what was loaded is the model that its files hold: nothing lost, nothing made up."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from safebasin.errors import CheckpointError

CONSTANTS = re.compile(
    r"(^|\.)(rotary_emb\.inv_freq|inv_freq|position_ids|attn\.(attention\.)?(masked_)?bias"
    r"|attention\.(masked_)?bias|rotary_emb\.(cos|sin)_cached)$"
)
"""Constants that older models keep among their weights and that are computed today."""

MOST_LOADS = 7
"""How often a model is loaded again to find out which of its settings is wrong."""

_OTHER_HEADS = (
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForNextSentencePrediction",
    "ForMaskedLM",
    "ForPreTraining",
    "ForRewardModel",
    "RewardModel",
)
_ADAPTER = re.compile(r"\.(lora_[AB]|lora_embedding_[AB]|lora_magnitude_vector|original_module)\b")
_CODES = re.compile(
    r"(\.(qweight|qzeros|scales|g_idx|weight_scale(_inv)?|weight_packed|weight_zero_point"
    r"|input_scale|SCB)|\.weight\.(absmax|quant_map|nested_absmax|nested_quant_map|quant_state\..*))$"
)


def require_language_head(name: str, config: Mapping[str, Any], loaded: type) -> None:
    """Raise CheckpointError where the config names an architecture with another head than a
    causal language model's, such as a reward model or one that fills in masked words.

    `loaded` is the class that the loader made of it.
    """
    named = config.get("architectures")
    first = named[0] if isinstance(named, list) and named else None
    if isinstance(first, str) and first.endswith(_OTHER_HEADS) and first != loaded.__name__:
        raise CheckpointError(
            f"'{name}' is a {first}, which is no causal language model.",
            "Give the language model itself: a head for classes, rewards or masks writes no text.",
        )


def denied_biases(config: Mapping[str, Any], report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The settings that may deny the biases which the weight files hold, the fewest at a time.

    Empty where the files hold no such biases, or something else as well that has no place.
    """
    extra = _extra(report)
    if not extra or not all(key.endswith(".bias") for key in extra):
        return []
    flags = sorted(key for key, on in config.items() if key.endswith("bias") and on is False)
    tried = (combinations(flags, count) for count in range(1, len(flags) + 1))
    return [one for group in tried for one in group][:MOST_LOADS]


def require_complete(name: str, report: Mapping[str, Any]) -> None:
    """Raise CheckpointError where the loader's report says that tensors are missing, left over or
    of another shape: what would be measured is another model than that of the files."""
    if missing := sorted(report["missing_keys"]):
        raise CheckpointError(
            f"'{name}' lacks weights of its architecture: {some(missing)}.",
            "Give a complete checkpoint of a causal language model.",
        )
    if mismatched := sorted(str(entry[0]) for entry in report["mismatched_keys"]):
        raise CheckpointError(
            f"'{name}' has tensors of other shapes than its config.json says: {some(mismatched)}.",
            "Save the model with its own config.json again.",
        )
    if extra := _extra(report):
        raise _left_over(name, extra)
    if report["error_msgs"]:
        raise CheckpointError(
            f"'{name}' was not loaded whole: {' '.join(str(report['error_msgs'][0]).split())}.",
            "Save the model again.",
        )


def _extra(report: Mapping[str, Any]) -> list[str]:
    """The tensors of the files that the model has no place for."""
    return sorted(key for key in report["unexpected_keys"] if not CONSTANTS.search(key))


def _left_over(name: str, extra: Sequence[str]) -> CheckpointError:
    if adapters := [key for key in extra if _ADAPTER.search(key)]:
        return CheckpointError(
            f"The model file of '{name}' holds an adapter beside the weights: {some(adapters)}.",
            "Merge it, or save it with PEFT to a folder of its own and name it as BASE+ADAPTER.",
        )
    if codes := [key for key in extra if _CODES.search(key)]:
        return CheckpointError(
            f"'{name}' holds the codes of quantised weights, which its config.json does not "
            f"explain: {some(codes)}.",
            "Give the checkpoint it was made from, in float32, bfloat16 or float16.",
        )
    what = f"{len(extra)} tensor{'s' if len(extra) > 1 else ''}"
    return CheckpointError(
        f"'{name}' holds {what} that the architecture of its config.json has no place for: "
        f"{some(extra)}.",
        "Correct config.json, or save the model again: without them it is another model.",
    )


def some(names: Sequence[str], limit: int = 3) -> str:
    """The first of the names, and that there are more."""
    return ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
