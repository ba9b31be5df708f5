"""Logits that are no numbers: of an undisplaced model an error, never an answer."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from safebasin.checkpoint.sources import display
from safebasin.errors import EngineError

_REMEDIES = {
    "float16": "Give --dtype bfloat16 or float32, whose numbers reach further.",
    "bfloat16": "Give --dtype float32; where that does not help, get the model's files anew.",
    "float32": "Its weights or its configuration are damaged: get the model's files anew.",
}


def require_numbers(model: Any, logits: Tensor) -> None:
    """Raise EngineError where the logits of a token that is generated or read are no numbers."""
    if not bool(logits.amax(-1).isfinite().all()):
        raise no_numbers(model)


def no_numbers(model: Any, where: str = "") -> EngineError:
    """The error that the undisplaced model's logits are no numbers, at the prompt `where`."""
    dtype = str(model.dtype).removeprefix("torch.")
    name = display(getattr(model, "name_or_path", "") or type(model).__name__)
    at = f" at prompt '{where}'" if where else ""
    return EngineError(
        f"The logits of '{name}' in {dtype} are no numbers{at}, before anything is displaced.",
        _REMEDIES.get(dtype, _REMEDIES["float32"]),
    )
