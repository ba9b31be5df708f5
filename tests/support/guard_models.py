"""Tiny guard models of real architectures whose reply depends on one word.

Their layers average the words they see, so the word BAD anywhere in the input raises the reply
that calls it harmful above the other one. Every reply is one token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.models.auto import configuration_auto

from safebasin.judges.guards import Guard

HIDDEN = 64
CHAT = (
    "<s> {% for m in messages %}<|{{ m['role'] }}|> "
    "{% if m['content'] is string %}{{ m['content'] }}"
    "{% else %}{{ m['content'][0]['text'] }}{% endif %} {% endfor %}"
    "{% if guideline %}{{ guideline }} {% endif %}<|end|>"
)
WORDS = ["<pad>", "<s>", "</s>", "<unk>", "<|user|>", "<|assistant|>", "<|end|>", "BAD", "WORSE",
         "Harassment", "good", "ask", "Answer:", "[/INST]"]  # fmt: skip


def published_chat(guard: Guard) -> str:
    """A chat template that renders what the publisher's renders."""
    texts = {
        "{prompt}": "text(messages[0])",
        "{response}": "text(messages[1])",
        "{guideline}": "guideline",
    }
    pieces = re.split(r"(\{(?:prompt|response|guideline)\})", guard.published or "")
    macro = (
        "{%- macro text(m) -%}{{ m['content'] if m['content'] is string "
        "else m['content'][0]['text'] }}{%- endmacro -%}"
    )
    return macro + "".join("{{ " + texts.get(one, json.dumps(one)) + " }}" for one in pieces)


def save(
    folder: Path,
    family: str,
    harmless: str,
    harmful: str,
    *,
    ends: Sequence[str] = ("<|end|>", "<|assistant|>", "Answer:", "[/INST]"),
    more: Sequence[str] = (),
    chat: bool | str = True,
    speaks: bool = True,
) -> Path:
    """Write a guard that replies `harmless`, or `harmful` where it saw BAD.

    `ends` are the words after which it replies, `more` further words that it knows. One that does
    not speak has logits for its labels and never ends.
    """
    words = [*WORDS, *more]
    replies = [reply for reply in (harmless, harmful) if reply not in words]
    known = [*words, *replies]
    config = configuration_auto.CONFIG_MAPPING[family](
        vocab_size=HIDDEN, hidden_size=HIDDEN, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=4, head_dim=16, max_position_embeddings=4096,
        tie_word_embeddings=False, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    at = {word: number for number, word in enumerate(known)}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(HIDDEN))
        attention = model.model.layers[0].self_attn
        attention.v_proj.weight.copy_(torch.eye(HIDDEN))
        attention.o_proj.weight.copy_(torch.eye(HIDDEN))
        head = model.lm_head.weight
        for end in ends:
            head[at[harmless], at[end]] = 1.0
        head[at[harmful], at["BAD"]] = 2000.0
        for reply in (harmless, harmful) if speaks else ():
            head[at["</s>"], at[reply]] = 1e6
            head[at[reply], at[reply]] = -1e6
    model.save_pretrained(folder)
    core = Tokenizer(models.WordLevel({word: at[word] for word in words}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_tokens([AddedToken(reply, normalized=False, single_word=True) for reply in replies])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        unk_token="<unk>", clean_up_tokenization_spaces=False,
    )  # fmt: skip
    tokenizer.chat_template = chat if isinstance(chat, str) else CHAT if chat else None
    tokenizer.save_pretrained(folder)
    return folder
