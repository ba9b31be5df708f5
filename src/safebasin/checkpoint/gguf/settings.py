"""The configuration of a GGUF model: what transformers makes of the metadata, set right.

transformers leaves out what scales the rotary embedding, biases, softcaps and some widths, and
takes the defaults of the class instead: another model, without a word. Here each setting of the
file is carried over, or the file is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from safebasin.checkpoint.gguf.header import Header
from safebasin.errors import CheckpointError
from safebasin.terminal import listed, shorten

ARCHITECTURES = (
    "gemma2", "gemma3", "gpt2", "llama", "phi3", "qwen2", "qwen2moe", "qwen3", "qwen3moe",
    "starcoder2",
)  # fmt: skip
"""Those whose logits our tests hold against the model that was written; others are refused."""

LLAMA3_ROTATIONS = ((8.0, 1.0, 4.0, 8192), (32.0, 1.0, 4.0, 8192), (16.0, 1.0, 1.0, 8192))
"""Factor, low and high frequency factor, and first context length that published models have.

A file holds only the factors that come of them, so each is tried.
"""
ROTATION_TENSORS = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")

_LARGEST = 2**24
_CARRIED = {
    "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon", "attention.sliding_window",
    "attention.value_length", "attn_logit_softcapping", "block_count", "context_length",
    "embedding_length", "expert_count", "expert_feed_forward_length", "expert_used_count",
    "expert_shared_feed_forward_length", "feed_forward_length", "final_logit_softcapping",
    "rope.dimension_count", "rope.freq_base", "rope.freq_base_swa", "rope.scale_linear",
    "rope.scaling.factor", "rope.scaling.finetuned", "rope.scaling.original_context_length",
    "rope.scaling.type", "vocab_size", "rope.scaling.attn_factor",
}  # fmt: skip
_IGNORED = {"logit_scale": 1.0, "attention.scale": 0.0, "attention.causal": True, "pooling_type": 0}
"""Settings that change nothing where they have this value."""

_EPSILONS = ("rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps")
_BLOCK = re.compile(r"blk\.(\d+)\.")
_GEMMA_27B = {"gemma2": 46, "gemma3": 62}
"""Layers of the models that scale attention by their width, which llama.cpp tells by that, too."""


def check_settings(header: Header) -> None:
    """Raise CheckpointError where a model cannot be made rightly of a file, or cannot be at all."""
    if header.architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"{header.path} is of the architecture '{shorten(header.architecture)}', which is not "
            f"read from GGUF; read are {', '.join(ARCHITECTURES)}.",
            "Give the model in safetensors.",
        )
    if (parts := header.metadata.get("split.count")) not in (None, 0, 1):
        raise CheckpointError(
            f"{header.path} is one of {parts} files of a model.",
            "Join them with `llama-gguf-split --merge` and give the whole.",
        )
    start = f"{header.architecture}."
    own = [key[len(start) :] for key in header.metadata if key.startswith(start)]
    unknown = [
        key
        for key in own
        if key not in _CARRIED and not (key in _IGNORED and header.setting(key) == _IGNORED[key])
    ]
    if unknown:
        raise _not_carried(header, [f"{start}{key}" for key in unknown])
    _check_sizes(header)


def _check_sizes(header: Header) -> None:
    """The sizes that the settings say, against each other and against the tensors."""
    layers = _size(header, "block_count")
    width = _size(header, "embedding_length")
    heads = _size(header, "attention.head_count")
    keys = _size(header, "attention.head_count_kv", heads)
    context = _size(header, "context_length")
    held = {int(found[1]) for one in header.tensors if (found := _BLOCK.match(one.name))}
    if held != set(range(layers)):
        raise CheckpointError(
            f"{header.path} says that it has {layers} layers, and holds {len(held)}.",
            "Convert the model again.",
        )
    table = next((one for one in header.tensors if one.name == "token_embd.weight"), None)
    if table is None or len(table.shape) != 2 or table.shape[1] != width:
        raise CheckpointError(
            f"{header.path} has no embedding of the width {width} that it says.",
            "Convert the model again.",
        )
    positions = next((one for one in header.tensors if one.name == "position_embd.weight"), None)
    if positions is not None and positions.shape[0] != context:
        raise CheckpointError(
            f"{header.path} says that it has {context} positions, and holds {positions.shape[0]}.",
            "Convert the model again.",
        )
    if keys > heads or heads > width:
        raise _impossible(header, "attention.head_count")
    length = _size(header, "attention.key_length", max(1, width // heads))
    for name in ("rope.dimension_count", "attention.value_length"):
        if _size(header, name, length) != length:
            raise _not_carried(header, [f"{header.architecture}.{name}"])


def _size(header: Header, key: str, default: int | None = None) -> int:
    value = header.setting(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
        raise _impossible(header, key)
    return value


def _number(header: Header, key: str) -> float:
    value = header.setting(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e30:
        raise _impossible(header, key)
    return float(value)


def _impossible(header: Header, key: str) -> CheckpointError:
    value = shorten(str(header.setting(key)))
    return CheckpointError(
        f"{header.path} gives {header.architecture}.{key} the value {value}, which cannot be.",
        "Convert the model again.",
    )


def _not_carried(header: Header, keys: list[str]) -> CheckpointError:
    said = [f"{key} ({shorten(str(header.metadata.get(key)), 40)})" for key in keys]
    return CheckpointError(
        f"{header.path} has settings that its reader does not carry over: {listed(said)}.",
        "Give the model in safetensors: without them it is another model.",
    )


def set_right(config: Any, header: Header, rotation: Callable[[str], Any]) -> None:
    """Put into a configuration what the file says and transformers' reader leaves out.

    `rotation` gives the values of one of the `ROTATION_TENSORS`. Raises CheckpointError where a
    setting has no place in the configuration.
    """
    names = {tensor.name: tensor for tensor in header.tensors}
    config.vocab_size = names["token_embd.weight"].shape[0]
    config.dtype = "float32"
    for key in ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"):
        if header.setting(key) is not None:
            for name in _EPSILONS:
                if hasattr(config, name):
                    setattr(config, name, _number(header, key))
    for key, name in (
        ("attention.sliding_window", "sliding_window"),
        ("attn_logit_softcapping", "attn_logit_softcapping"),
        ("final_logit_softcapping", "final_logit_softcapping"),
        ("expert_feed_forward_length", "moe_intermediate_size"),
        ("expert_shared_feed_forward_length", "shared_expert_intermediate_size"),
    ):
        value = header.setting(key)
        if value in (None, 0):
            continue
        if not hasattr(config, name):
            raise _not_carried(header, [f"{header.architecture}.{key}"])
        setattr(config, name, _size(header, key) if isinstance(value, int) else value)
    if header.architecture == "gpt2":
        config.n_positions = _size(header, "context_length")
        config.n_inner = _size(header, "feed_forward_length")
    length = header.setting("attention.key_length")
    if length is not None and hasattr(config, "head_dim"):
        config.head_dim = _size(header, "attention.key_length")
    if hasattr(config, "query_pre_attn_scalar"):
        heads = _size(header, "attention.head_count")
        if header.setting("block_count") == _GEMMA_27B.get(header.architecture):
            config.query_pre_attn_scalar = _size(header, "embedding_length") // heads
        elif length is not None:
            config.query_pre_attn_scalar = length
    for flag, tensor in (
        ("attention_bias", "blk.0.attn_q.bias"),
        ("mlp_bias", "blk.0.ffn_gate.bias"),
        ("use_bias", "blk.0.attn_q.bias"),
    ):
        if hasattr(config, flag):
            setattr(config, flag, tensor in names)
    if header.architecture == "starcoder2" and "blk.0.ffn_up.bias" in names:
        config.use_bias = True
    _rotate(config, header, rotation)


def _rotate(config: Any, header: Header, rotation: Callable[[str], Any]) -> None:
    """The rotary embedding: its base, and what stretches it for long contexts."""
    parameters = getattr(config, "rope_parameters", None)
    scaled = _scaling(config, header, rotation)
    if parameters is None:
        if scaled:
            raise _not_carried(header, [f"{header.architecture}.rope.scaling.type"])
        return
    layered = "full_attention" in parameters
    whole = dict(parameters["full_attention"] if layered else parameters)
    if header.setting("rope.freq_base") is not None:
        whole["rope_theta"] = _number(header, "rope.freq_base")
    whole |= scaled
    if not layered:
        config.rope_parameters = whole
        return
    local = dict(parameters["sliding_attention"])
    if header.setting("rope.freq_base_swa") is not None:
        local["rope_theta"] = _number(header, "rope.freq_base_swa")
    config.rope_parameters = {"full_attention": whole, "sliding_attention": local}


def _scaling(config: Any, header: Header, rotation: Callable[[str], Any]) -> dict[str, Any]:
    held = {tensor.name for tensor in header.tensors} & set(ROTATION_TENSORS)
    kind = header.setting("rope.scaling.type", "none")
    if header.setting("rope.scale_linear") not in (None, 0.0, 1.0):
        return {"rope_type": "linear", "factor": _number(header, "rope.scale_linear")}
    if held == {"rope_freqs.weight"}:
        return _llama3(config, header, [float(value) for value in rotation("rope_freqs.weight")])
    attention = header.setting("rope.scaling.attn_factor", 1.0)
    original = header.setting("rope.scaling.original_context_length")
    if kind == "linear" and not held and attention == 1.0:
        return {"rope_type": "linear", "factor": _number(header, "rope.scaling.factor")}
    if kind == "yarn" and not held and attention == 1.0 and original is not None:
        return {
            "rope_type": "yarn",
            "factor": _number(header, "rope.scaling.factor"),
            "original_max_position_embeddings": _size(
                header, "rope.scaling.original_context_length"
            ),
        }
    if held or kind not in ("none", "linear") or kind == "linear":
        named = sorted(held) or [f"{header.architecture}.rope.scaling.type"]
        raise _not_carried(header, named)
    return {}


def _llama3(config: Any, header: Header, factors: list[float]) -> dict[str, Any]:
    """The settings from which a file's factors of the rotary frequencies come (Llama 3.1)."""
    half = config.head_dim // 2
    theta = _number(header, "rope.freq_base") if header.setting("rope.freq_base") else 10000.0
    waves = [2 * math.pi * theta ** (i / half) for i in range(half)]
    for factor, low, high, original in LLAMA3_ROTATIONS:
        made = [_stretched(wave, factor, low, high, original) for wave in waves]
        if len(factors) == half and all(
            math.isclose(one, other, rel_tol=1e-3) for one, other in zip(made, factors, strict=True)
        ):
            return {
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }
    raise _not_carried(header, ["rope_freqs.weight"])


def _stretched(wave: float, factor: float, low: float, high: float, original: int) -> float:
    """By what the wave of one rotary frequency is stretched (Llama 3.1's rule)."""
    if wave < original / high:
        return 1.0
    if wave > original / low:
        return factor
    smooth = (original / wave - low) / (high - low)
    return 1.0 / ((1 - smooth) / factor + smooth)
