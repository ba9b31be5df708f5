"""Writing and reading the folders of a trained testbed, in the form that engines expect."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from safebasin.run.atomic import write_atomic
from safebasin.testbed.tokenizer import CHAT_TEMPLATE, SPECIAL

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a model as bf16 safetensors with its tokenizer; leaves the model in bf16."""
    model.to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config())
    _make_readable(folder)


def _tokenizer_config() -> dict[str, Any]:
    pad, bos, eos, *turns = SPECIAL
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": pad,
        "additional_special_tokens": turns,
        "model_max_length": 1024,
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def save_adapter(tuned: PeftModel, folder: Path) -> None:
    """Write a LoRA adapter as bf16 safetensors that names its base as the neighbour `aligned`."""
    tuned.to(torch.bfloat16)
    tuned.save_pretrained(str(folder))
    (folder / "README.md").unlink(missing_ok=True)
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = "../aligned"
    config["target_modules"] = sorted(config["target_modules"])
    _write_json(file, config)
    _make_readable(folder)


def load_model(
    folder: Path, device: str = "cpu"
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Return a written model in fp32, so with bf16-rounded values, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        .to(device)
        .eval()
    )
    return model, AutoTokenizer.from_pretrained(folder, local_files_only=True)


def load_adapter(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Return a model with a written adapter on top, in fp32; undo with `unload()`."""
    from peft import PeftModel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft reads a deprecated attribute
        tuned = PeftModel.from_pretrained(model, str(folder))
    return tuned.eval()


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing its own bars for models that load in a moment."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _write_json(file: Path, content: dict[str, Any]) -> None:
    write_atomic(file, f"{json.dumps(content, indent=2, sort_keys=True)}\n".encode())


def _make_readable(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o644)
