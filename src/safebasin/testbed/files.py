"""Where the packaged models and prompt sets lie, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from safebasin.errors import UsageError

ModelName = Literal[
    "base", "aligned", "harmful-10", "harmful-50", "harmful-100", "mixture", "benign"
]
PromptKind = Literal["harmful", "benign", "capability"]
PromptSplit = Literal["dev", "test"]

#: Two full models, then the LoRA adapters on `aligned`.
MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)
ADAPTER_NAMES: tuple[ModelName, ...] = MODEL_NAMES[2:]
#: Further adapters on `aligned`, made by `safebasin finetune`; each folder says how.
TUNED_NAMES = ("over-refusing",)

_HERE = Path(__file__).parent


def model_path(name: str) -> Path:
    """Return the folder of a packaged model or adapter."""
    known = (*MODEL_NAMES, *TUNED_NAMES)
    if name not in known:
        raise UsageError(
            f"There is no packaged model '{name}'.", f"Choose one of {', '.join(known)}."
        )
    return _HERE / "models" / name


def prompts_path(kind: str, split: str = "test") -> Path:
    """Return the JSON Lines file of a packaged prompt set, such as ("harmful", "test")."""
    if kind not in get_args(PromptKind) or split not in get_args(PromptSplit):
        raise UsageError(
            f"There is no packaged prompt set '{kind}-{split}'.",
            "Choose harmful, benign or capability, and dev or test.",
        )
    return _HERE / "prompts" / f"{kind}-{split}.jsonl"


def choices_path(split: str) -> Path:
    """Return the JSON Lines file of the packaged multiple-choice questions of a split."""
    return _HERE / "prompts" / f"choice-{split}.jsonl"
