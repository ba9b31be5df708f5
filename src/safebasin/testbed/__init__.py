"""The packaged tiny model: a Llama of 1.2 million parameters with an exact safety label.

Safe to import anywhere: no torch until a recipe is run.
"""

from __future__ import annotations

from safebasin.testbed.files import (
    ADAPTER_NAMES,
    MODEL_NAMES,
    TUNED_NAMES,
    ModelName,
    PromptKind,
    PromptSplit,
    choices_path,
    model_path,
    prompts_path,
)

__all__ = [
    "ADAPTER_NAMES",
    "MODEL_NAMES",
    "TUNED_NAMES",
    "ModelName",
    "PromptKind",
    "PromptSplit",
    "choices_path",
    "model_path",
    "prompts_path",
]
