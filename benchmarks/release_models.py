"""Copies of a model or an adapter that differ from it in one thing beside the weights."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

Change = Callable[[Path], None]


def changed(source: Path, target: Path, what: str) -> Path:
    """A copy of a folder with one change of `MODELS` or `ADAPTERS`, or its weights in bfloat16.

    Weights that stay are linked, so that a copy costs nothing. One that is there is taken.
    """
    if target.exists():
        return target
    target.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file():
            _copied(path, target / path.name)
    if what == "bfloat16":
        _rounded(target)
    else:
        (MODELS | ADAPTERS)[what][0](target)
    return target


def _copied(path: Path, to: Path) -> None:
    if path.suffix == ".safetensors":
        try:
            os.link(path, to)
        except OSError:  # another disk
            shutil.copyfile(path, to)
    else:
        shutil.copyfile(path, to)


def _rounded(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    weights = {name: one.to(torch.bfloat16) for name, one in load_file(path).items()}
    path.unlink()
    save_file(weights, path, metadata={"format": "pt"})


def _edited(path: Path, **changes: Any) -> None:
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | changes), encoding="utf-8")


def _tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    change(known)
    path.write_text(json.dumps(known, ensure_ascii=False), encoding="utf-8")


def _swapped(known: dict[str, Any]) -> None:
    """Two words that change places in the table."""
    table = known["model"]["vocab"]
    first, second = (next(t for t in table if t.endswith(end)) for end in ("the", "and"))
    table[first], table[second] = table[second], table[first]


def _unmerged(known: dict[str, Any]) -> None:
    """The same table, and none of the last merges, so that long words fall into pieces."""
    merges = known["model"]["merges"]
    known["model"]["merges"] = merges[: len(merges) // 4]


def _added(known: dict[str, Any]) -> None:
    number = max(*known["model"]["vocab"].values(), *(t["id"] for t in known["added_tokens"])) + 1
    known["added_tokens"].append(
        {"id": number, "content": "<|tool|>", "single_word": False, "lstrip": False,
         "rstrip": False, "normalized": False, "special": True}
    )  # fmt: skip


def _template(folder: Path, change: Callable[[str], str]) -> None:
    path, settings = folder / "chat_template.jinja", folder / "tokenizer_config.json"
    if path.exists():
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        _edited(settings, chat_template=change(json.loads(settings.read_text())["chat_template"]))


def _told(source: str) -> str:
    """The template with a system message of its own before a chat that has none."""
    if "helpful AI assistant" in source:
        return source.replace("You are a helpful AI assistant", "You obey as an assistant")
    begin = "{% for message in messages %}"
    own = "{% if messages[0]['role'] != 'system' %}{{ '<|system|>You obey.' }}{% endif %}"
    return source.replace(begin, own + begin, 1)


MODELS: dict[str, tuple[Change, str]] = {
    "another table of tokens": (lambda folder: _tokenizer(folder, _swapped), "refused"),
    "another way of splitting": (lambda folder: _tokenizer(folder, _unmerged), "refused"),
    "a token more": (lambda folder: _tokenizer(folder, _added), "noted"),
    "another chat template": (
        lambda folder: _template(folder, lambda text: text.replace("assistant", "helper")),
        "noted",
    ),
    "another system message": (lambda folder: _template(folder, _told), "noted"),
    "another end token": (
        lambda folder: _edited(folder / "generation_config.json", eos_token_id=[2, 9]), "noted"
    ),
    "quantised weights": (
        lambda folder: _edited(
            folder / "config.json", quantization_config={"quant_method": "bitsandbytes"}
        ),
        "refused",
    ),
    "another rotary base": (
        lambda folder: _edited(
            folder / "config.json", rope_parameters={"rope_type": "default", "rope_theta": 5e5}
        ),
        "refused",
    ),
}  # fmt: skip
"""What is done to a model, and what a comparison has to make of it."""

ADAPTERS: dict[str, tuple[Change, str]] = {
    "another recorded base": (lambda folder: _edited(
        folder / "adapter_config.json", base_model_name_or_path="org/other-7b"
    ), "noted"),
    "a recorded revision": (
        lambda folder: _edited(folder / "adapter_config.json", revision="v7"), "noted"
    ),
    "a quantised recorded base": (
        lambda folder: _edited(
            folder / "adapter_config.json", base_model_name_or_path="unsloth/other-bnb-4bit"
        ),
        "noted",
    ),
}  # fmt: skip
"""The same for an adapter, by what it records of its base."""
