"""The tokenizer of a GGUF model: transformers' conversion, with the splits that it lacks."""

from __future__ import annotations

import json
import logging
from typing import Any

from safebasin.checkpoint.gguf.header import Header
from safebasin.errors import CheckpointError
from safebasin.terminal import shorten

LOG = logging.getLogger(__name__)

_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
_GPT2 = {**_BYTES, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


def _split(pattern: str) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
    }


_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SHORT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SHORT}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SHORT}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_FAMILIES: tuple[tuple[list[dict[str, Any]], bool, str], ...] = (
    ([_split(_LLAMA3), _BYTES], True,
     "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2"),
    ([_split(_LLAMA3), _BYTES], False, "dbrx smaug-bpe"),
    ([_split(_TEKKEN), _BYTES], True, "tekken"),
    ([_split(_QWEN2), _BYTES], False, "qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan"),
    ([_split(_GPT4O), _BYTES], False, "gpt-4o llama4 minimax-m2"),
    ([_DIGITS, _GPT2], False, "starcoder refact command-r smollm codeshell exaone minerva-7b"),
    ([_GPT2], False, "gpt-2 phi-2 gigachat a.x-4.0 mellum mpt olmo jais trillion granite-docling"),
)  # fmt: skip
SPLITS = {name: (steps, whole) for steps, whole, names in _FAMILIES for name in names.split()}
"""What a file calls its way of splitting text (`tokenizer.ggml.pre`), the steps of it, and whether
a piece that is a token is taken as it is. As llama.cpp has them; transformers knows some only."""

_ENDS = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|eom_id|>",
    "<EOT>", "_<EOT>", "<|end_of_text|>", "<end_of_utterance>",
)  # fmt: skip
"""Tokens that end a turn in whatever model has them, by which llama.cpp ends answers, too."""
_CONTROL, _USER_DEFINED = 3, 4


def check_vocabulary(header: Header) -> None:
    """Raise CheckpointError where the file's table of tokens cannot be one."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise CheckpointError(f"{header.path} has no table of tokens.", "Convert the model again.")
    rows = next(one.shape[0] for one in header.tensors if one.name == "token_embd.weight")
    if len(tokens) > rows:
        raise CheckpointError(
            f"{header.path} has {len(tokens)} tokens and {rows} rows to embed them.",
            "Convert the model again.",
        )
    for key in ("token_type", "scores"):
        given = header.metadata.get(f"tokenizer.ggml.{key}")
        if given is not None and (not isinstance(given, list) or len(given) != len(tokens)):
            raise CheckpointError(
                f"{header.path} has no {key} for each of its tokens.", "Convert the model again."
            )
    for name in ("bos", "eos", "eot", "eom", "unknown", "padding"):
        key = f"tokenizer.ggml.{name}_token_id"
        value = header.metadata.get(key)
        if value is not None and not (isinstance(value, int) and 0 <= value < len(tokens)):
            raise CheckpointError(
                f"{header.path} gives {key} the value {shorten(str(value))}, which is no token of "
                "its own.",
                "Convert the model again.",
            )
    template = header.metadata.get("tokenizer.chat_template")
    if template is not None and not isinstance(template, str):
        raise CheckpointError(
            f"{header.path} has a chat template that is no text.", "Convert the model again."
        )


def end_tokens(header: Header) -> list[int]:
    """The ids that end an answer: those the file names, and tokens that always end a turn."""
    metadata = header.metadata
    named = [metadata.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    kinds = metadata.get("tokenizer.ggml.token_type") or []
    found = {token for token in named if token is not None}
    for number, token in enumerate(metadata["tokenizer.ggml.tokens"]):
        if token in _ENDS and number < len(kinds) and kinds[number] == _CONTROL:
            found.add(number)
    tokens = metadata["tokenizer.ggml.tokens"]
    texts = {tokens[number]: number for number in found}
    if {"<|return|>", "<|call|>", "<|end|>"} <= set(texts):
        found.discard(texts["<|end|>"])  # it ends a message there, not the answer
    return sorted(found)


def set_right(backend: str, header: Header) -> str:
    """The backend tokenizer's JSON, set right.

    Text is split as the file's name for the way says; every token of the file is there under its
    own name and number, and no other; those that the file marks as whole are taken whole. Raises
    CheckpointError where the way of splitting is not known: other tokens would be asked.
    """
    found: dict[str, Any] = json.loads(backend)
    tokens = header.metadata["tokenizer.ggml.tokens"]
    # transformers' classes bring tokens of their own, such as GPT-2's <|endoftext|>.
    added = {one["id"]: one for one in found["added_tokens"] if one["id"] < len(tokens)}
    if header.metadata.get("tokenizer.ggml.model") == "gpt2":
        steps, whole = _way_of_splitting(header)
        found["pre_tokenizer"] = (
            steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}
        )
        found["model"]["ignore_merges"] = whole
        added |= _respell(found["model"]["vocab"], header)
    found["added_tokens"] = [added[number] for number in sorted(added)]
    return json.dumps(found, ensure_ascii=False)


def _respell(vocabulary: dict[str, int], header: Header) -> dict[int, dict[str, Any]]:
    """Give whole tokens their own names, and return them as added tokens.

    transformers writes names like DeepSeek's <｜User｜> in the alphabet of bytes, and then cuts
    such tokens of the chat template into pieces.
    """
    kinds = header.metadata.get("tokenizer.ggml.token_type") or []
    spelled = {number: token for token, number in vocabulary.items()}
    added = {}
    for number, (token, kind) in enumerate(
        zip(header.metadata["tokenizer.ggml.tokens"], kinds, strict=False)
    ):
        if kind not in (_CONTROL, _USER_DEFINED) or not token:
            continue
        if spelled.get(number) != token:
            vocabulary.pop(spelled.get(number, ""), None)
            vocabulary[token] = number
        added[number] = {
            "id": number, "content": token, "single_word": False, "lstrip": False,
            "rstrip": False, "normalized": False, "special": kind == _CONTROL,
        }  # fmt: skip
    return added


def _way_of_splitting(header: Header) -> tuple[list[dict[str, Any]], bool]:
    name = header.metadata.get("tokenizer.ggml.pre")
    if name in (None, "default"):
        LOG.warning(
            "%s does not say how its tokenizer splits text (tokenizer.ggml.pre); it is split as "
            "GPT-2's, which may be into other tokens than the model learnt", header.path.name,
        )  # fmt: skip
        return [_GPT2], False
    if name not in SPLITS:
        raise CheckpointError(
            f"{header.path} splits text in a way that is not known here: '{shorten(str(name))}'.",
            "Give the model in safetensors with its tokenizer.",
        )
    return SPLITS[name]
