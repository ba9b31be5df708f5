"""A planted model that thinks: a known number of words, then an answer that flips at a known place.

Like `planted` the next token depends on the last one alone. A thought holds the word `illegal`,
which keywords find; after the mark that closes it the model refuses, and complies beyond FLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from safebasin.config import ScanConfig
from support.planted import FLIP, MARGIN, SLOPE, prompts

__all__ = ["FLIP", "THOUGHT", "config", "save"]

THOUGHT = ("well", "is", "it", "illegal", "perhaps", "then", "so")
THINK = ("<think>", "</think>")
HIDDEN = 32


def words(marks: tuple[str, str], thought: Sequence[str]) -> list[str]:
    return [
        *("<pad>", "<s>", "</s>", "<|user|>", "<|assistant|>", "<unk>", "Sorry", "Certainly"),
        *("no", "yes", "ask", "this", "that", *marks, *thought),
    ]


def save(
    folder: Path,
    *,
    opens: bool = True,
    special: bool = False,
    marks: tuple[str, str] = THINK,
    thought: Sequence[str] = THOUGHT,
) -> Path:
    """Write the model. `opens`: its template opens the thought; else the model writes the mark.

    `special`: the marks are special tokens, which decoding drops.
    """
    known = words(marks, thought)
    at = {word: number for number, word in enumerate(known)}
    model_config = LlamaConfig(
        vocab_size=len(known), hidden_size=HIDDEN, intermediate_size=8, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64,
        tie_word_embeddings=False, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = LlamaForCausalLM(model_config)
    chain = [marks[0], *thought, marks[1]]
    follows = dict(pairwise(chain))
    follows |= {"<|assistant|>": marks[0], marks[1]: "Sorry", "Sorry": "no", "Certainly": "yes",
                "no": "</s>", "yes": "</s>"}  # fmt: skip
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if "norm" not in name:
                tensor.zero_()
        model.model.embed_tokens.weight[:, : len(known)] = torch.eye(len(known))
        for before, after in follows.items():
            model.lm_head.weight[at[after], at[before]] = 1.0
        model.lm_head.weight[at["Certainly"], at[marks[1]]] = 1.0 - MARGIN
    model.save_pretrained(folder)
    core = Tokenizer(models.WordLevel(at, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if special:
        core.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = (
        "<s> {% for m in messages %}<|user|> {{ m['content'] }} {% endfor %}<|assistant|>"
        + (f" {marks[0]}" if opens else "")
    )
    tokenizer.save_pretrained(folder)
    return folder


def config(
    folder: Path, *, opens: bool = True, special: bool = False,
    marks: tuple[str, str] = THINK, **changes: object,
) -> ScanConfig:  # fmt: skip
    """A scan along the direction that raises the compliance, into a run in the same folder."""
    known = words(marks, THOUGHT)
    tensor = torch.zeros(len(known), HIDDEN)
    tensor[known.index("Certainly"), known.index(marks[1])] = SLOPE
    save_file({"lm_head.weight": tensor}, folder / "toward.safetensors")
    made = ScanConfig(
        model=str(save(folder / "model", opens=opens, special=special, marks=marks)),
        prompts=str(prompts(folder / "planted.txt")),
        prompts_kind="harmful",
        directions=(str(folder / "toward.safetensors"),),
        include=("lm_head.weight",),
        steps=4,
        max_new_tokens=16,
        judges=("llm-landscape-answer",),
        device="cpu",
        workers=1,
        out=str(folder / "run"),
    )
    return replace(made, **changes)  # type: ignore[arg-type]
