"""Pico models: a few thousand random weights of a real architecture, made on the spot.

`save(folder, family="llama")` writes a folder that loads like any checkpoint from a hub: config,
safetensors weights, a byte-level tokenizer and a chat template. `adapter(base, folder)` writes a
LoRA adapter for one. Nothing here needs the network.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto import configuration_auto

SPECIALS = ("<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
PAD, BOS, EOS = 0, 1, 2
VOCABULARY = len(SPECIALS) + 256

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for m in messages %}"
    "{% if m['role'] == 'system' %}<|system|>{{ m['content'] }}"
    "{% elif m['role'] == 'user' %}<|user|>{{ m['content'] }}"
    "{% else %}<|assistant|>{% generation %}{{ m['content'] }}{{ eos_token }}{% endgeneration %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.1,
    "pad_token_id": PAD,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
}
_HEADS = {"head_dim": 8}
_GEMMA = {**_HEADS, "query_pre_attn_scalar": 8, "sliding_window": 16}

# family -> (model type, what differs from the common settings)
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama-mha": ("llama", {"num_key_value_heads": 4}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", _HEADS),
    "gemma": ("gemma", _HEADS),
    "gemma2": ("gemma2", _GEMMA),
    "gemma3": ("gemma3_text", _GEMMA),
    "mistral": ("mistral", _HEADS),
    "phi": ("phi", {"num_key_value_heads": 4}),
    "phi3": ("phi3", {}),
    "gpt2": (
        "gpt2",
        {"n_embd": 32, "n_inner": 48, "n_layer": 2, "n_head": 4, "n_positions": 512},
    ),
}
_GPT2_DROPS = {
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
}


def tokenizer(chat_template: bool = True) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer without merges: one token a byte, six special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate((*SPECIALS, *alphabet))}
    core = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=SPECIALS[PAD],
        bos_token=SPECIALS[BOS],
        eos_token=SPECIALS[EOS],
        additional_special_tokens=list(SPECIALS[3:]),
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = CHAT_TEMPLATE if chat_template else None
    return made


def config(family: str = "llama", *, tied: bool = False, **changes: Any) -> Any:
    """The configuration of a pico model; `changes` override single settings."""
    kind, differences = FAMILIES[family]
    settings = {**_COMMON, **differences, "tie_word_embeddings": tied, **changes}
    if family == "gpt2":
        settings = {k: v for k, v in settings.items() if k not in _GPT2_DROPS}
    return configuration_auto.CONFIG_MAPPING[kind](**settings)


def model(
    family: str = "llama",
    *,
    tied: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    **changes: Any,
) -> Any:
    """A pico model in memory, in eval mode, its weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        made = AutoModelForCausalLM.from_config(config(family, tied=tied, **changes))
        # A fresh bias is all zeros, which no trained model has.
        for name, parameter in made.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.02)
            # Buffers, such as the frequencies of rotary embeddings, keep their precision.
            parameter.data = parameter.data.to(dtype)
    made.config.dtype = dtype
    made.generation_config.pad_token_id = PAD
    return made.eval().requires_grad_(False)


def save(
    folder: str | Path,
    family: str = "llama",
    tied: bool = False,
    seed: int = 0,
    chat_template: bool = True,
    *,
    dtype: torch.dtype = torch.float32,
    shard: str | None = None,
    **changes: Any,
) -> Path:
    """Write a pico checkpoint to `folder`; `shard="20KB"` splits its weights into many files."""
    folder = Path(folder)
    made = model(family, tied=tied, seed=seed, dtype=dtype, **changes)
    made.save_pretrained(folder, **({"max_shard_size": shard} if shard else {}))
    tokenizer(chat_template).save_pretrained(folder)
    return folder


def adapter(
    base: str | Path,
    folder: str | Path,
    *,
    seed: int = 1,
    rank: int = 2,
    scale: float = 0.3,
    targets: Sequence[str] = ("q_proj", "v_proj"),
    saved_whole: Sequence[str] = (),
    **changes: Any,
) -> Path:
    """Write a LoRA adapter with random factors for the checkpoint at `base`.

    `saved_whole` names modules of which the adapter brings a full copy; `changes` are other
    settings of its config.
    """
    from peft import LoraConfig, get_peft_model

    folder = Path(folder)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(seed)
        settings = LoraConfig(
            r=rank,
            lora_alpha=2 * rank,
            target_modules=list(targets),
            modules_to_save=list(saved_whole) or None,
            task_type="CAUSAL_LM",
            **changes,
        )
        wrapped = get_peft_model(AutoModelForCausalLM.from_pretrained(base), settings)
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, scale)
        wrapped.save_pretrained(folder)
    return folder


def load(folder: str | Path) -> tuple[Any, Any]:
    """The model and the tokenizer of a pico checkpoint, without any of our own code."""
    return (
        AutoModelForCausalLM.from_pretrained(folder).eval().requires_grad_(False),
        AutoTokenizer.from_pretrained(folder),
    )
