"""Tiny GGUF files written on the spot with the `gguf` package, as llama.cpp's converter would.

`write(model, path)` writes a transformers model with the byte-level tokenizer of `pico`. What the
converter does to weights (rotary halves interleaved, norms raised by one, transposed GPT-2 layers)
is done here by the published rules and not by transformers' reader, against which it is held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from support import pico

Array = NDArray[Any]
Quantise = Callable[[str, Array], gguf.GGMLQuantizationType]

_NAMES = {"gemma3_text": "gemma3", "qwen2_moe": "qwen2moe", "qwen3_moe": "qwen3moe",
          "mistral": "llama"}  # fmt: skip


MERGES = (("Ġ", "t"), ("Ġt", "h"), ("Ċ", "Ċ"), ("Ġ", "Ġ"), ("1", "2"))


def tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of these files, made with `tokenizers`: that of `pico`, with five merges.

    The merges take the places of the last bytes of its table, so that its size stays.
    """
    made = pico.tokenizer()
    table = sorted(made.get_vocab(), key=made.get_vocab().__getitem__)[: -len(MERGES)]
    vocabulary = {t: i for i, t in enumerate((*table, *("".join(merge) for merge in MERGES)))}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=list(MERGES)))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in pico.SPECIALS])
    names = dict(zip(("pad_token", "bos_token", "eos_token"), pico.SPECIALS, strict=False))
    found = PreTrainedTokenizerFast(
        tokenizer_object=core, clean_up_tokenization_spaces=False, **names
    )
    found.chat_template = made.chat_template
    return found


def save(model: Any, folder: Path) -> Path:
    """The same model as a folder in safetensors, with the same tokenizer."""
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def f32(name: str, values: Array) -> gguf.GGMLQuantizationType:
    return gguf.GGMLQuantizationType.F32


def q8(name: str, values: Array) -> gguf.GGMLQuantizationType:
    """Matrices in Q8_0, the rest in 32 bits, as converters do."""
    kinds = gguf.GGMLQuantizationType
    return kinds.Q8_0 if values.ndim > 1 and values.shape[-1] % 32 == 0 else kinds.F32


def write(
    model: Any,
    path: Path,
    *,
    kind: Quantise = f32,
    metadata: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    extra: Mapping[str, Array] | None = None,
    pre: str | None = "gpt-2",
) -> Path:
    """Write `model` as GGUF.

    metadata  entries to add, or to write instead of the model's own
    without   keys to leave out
    extra     tensors to add
    """
    config = model.config.get_text_config()
    name = _NAMES.get(config.model_type, config.model_type)
    writer = gguf.GGUFWriter(path, name)
    entries = {**_entries(config, name), **_tokenizer(pre), **(metadata or {})}
    for key, value in entries.items():
        if key not in without and value is not None:
            _add(writer, key, value)
    held = {**_tensors(model, config, name), **(extra or {})}
    for tensor, values in held.items():
        chosen = kind(tensor, values)
        writer.add_tensor(tensor, gguf.quantize(values, chosen), raw_dtype=chosen)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, list(value))


def _entries(config: Any, name: str) -> dict[str, Any]:
    def of(*names: str) -> Any:
        return next((found for one in names if (found := getattr(config, one, None))), None)

    heads = of("num_attention_heads", "n_head")
    length = of("head_dim") or of("hidden_size", "n_embd") // heads
    rope = getattr(config, "rope_parameters", None) or {}
    rope = rope.get("full_attention", rope)
    found = {
        "block_count": of("num_hidden_layers", "n_layer"),
        "context_length": of("max_position_embeddings", "n_positions"),
        "embedding_length": of("hidden_size", "n_embd"),
        "feed_forward_length": of("intermediate_size", "n_inner"),
        "attention.head_count": heads,
        "attention.head_count_kv": of("num_key_value_heads"),
        "attention.layer_norm_rms_epsilon": of("rms_norm_eps"),
        "attention.layer_norm_epsilon": of("layer_norm_epsilon", "norm_epsilon"),
        "attention.key_length": length if name != "gpt2" else None,
        "attention.value_length": length if name != "gpt2" else None,
        "attention.sliding_window": of("sliding_window") if name.startswith("gemma") else None,
        "rope.freq_base": float(rope["rope_theta"]) if rope else None,
        "rope.dimension_count": length if rope else None,
        "expert_count": of("num_experts"),
        "expert_used_count": of("num_experts_per_tok"),
        "expert_feed_forward_length": of("moe_intermediate_size"),
        "expert_shared_feed_forward_length": of("shared_expert_intermediate_size"),
    }
    return {
        "general.name": "tiny", "general.file_type": 0,
        **{f"{name}.{key}": value for key, value in found.items()},
    }  # fmt: skip


def _tokenizer(pre: str | None) -> dict[str, Any]:
    made = tokenizer()
    table = sorted(made.get_vocab().items(), key=lambda item: item[1])
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [token for token, _ in table],
        "tokenizer.ggml.token_type": [3 if t in pico.SPECIALS else 1 for t, _ in table],
        "tokenizer.ggml.merges": [" ".join(merge) for merge in MERGES],
        "tokenizer.ggml.bos_token_id": pico.BOS,
        "tokenizer.ggml.eos_token_id": pico.EOS,
        "tokenizer.ggml.padding_token_id": pico.PAD,
        "tokenizer.chat_template": made.chat_template,
    }


def _tensors(model: Any, config: Any, name: str) -> dict[str, Array]:
    kind = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == name)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    found: dict[str, Array] = {}
    for key, tensor in model.named_parameters():  # tied tables once
        values = tensor.detach().float().numpy()
        stem, _, ending = key.rpartition(".")
        if ending in ("gate_up_proj", "down_proj"):  # experts in one tensor
            block = f"blk.{key.split('.')[2]}"
            if ending == "down_proj":
                found[f"{block}.ffn_down_exps.weight"] = values
            else:
                gate, up = np.split(values, 2, axis=1)
                found[f"{block}.ffn_gate_exps.weight"] = gate
                found[f"{block}.ffn_up_exps.weight"] = up
            continue
        short = names.get_name(stem)
        assert short is not None, key
        found[f"{short}.{ending}"] = _converted(f"{short}.{ending}", values, config, name)
    return found


def _converted(tensor: str, values: Array, config: Any, name: str) -> Array:
    if name == "llama" and (".attn_q." in tensor or ".attn_k." in tensor):
        heads = config.num_attention_heads
        if ".attn_k." in tensor:
            heads = config.num_key_value_heads
        half = values.shape[0] // heads // 2
        split = values.reshape(heads, 2, half, *values.shape[1:])
        return split.swapaxes(1, 2).reshape(values.shape)
    if name.startswith("gemma") and "norm.weight" in tensor:
        return values + 1
    if name == "gpt2" and values.ndim == 2 and "embd" not in tensor and tensor != "output.weight":
        return np.ascontiguousarray(values.T)
    if "ffn_gate_inp_shexp" in tensor:
        return values.reshape(-1)
    return values
