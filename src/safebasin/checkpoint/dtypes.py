"""In which dtype and on which device a model is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safebasin.errors import EngineError, UsageError

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")


def dtype_of(dtype: torch.dtype | str | None, config: dict[str, Any], device: torch.device) -> str:
    """The dtype that a model is loaded in: the one that was given, float32 on a CPU, or its own.

    Raises UsageError for any that is not among DTYPES.
    """
    if dtype is None:
        own = None if device.type == "cpu" else own_dtype(config)
        return own or "float32"
    wanted = str(dtype).removeprefix("torch.")
    if wanted not in DTYPES:
        raise UsageError(f"Unknown dtype '{wanted}'.", f"Give one of {', '.join(DTYPES)}.")
    return wanted


def own_dtype(config: dict[str, Any]) -> str | None:
    """The dtype that a model's settings name; None where they name none of DTYPES."""
    text = config.get("text_config")
    own = config.get("dtype") or config.get("torch_dtype")
    if own is None and isinstance(text, dict):
        own = text.get("dtype") or text.get("torch_dtype")
    return own if own in DTYPES else None


def device_of(device: torch.device | str | None) -> torch.device:
    """The device that was given, or the GPU where there is one.

    Raises UsageError for what is no device, EngineError for one that this machine has not.
    """
    import torch

    try:
        found = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError as error:
        raise UsageError(f"Unknown device '{device}'.", "Give cpu, cuda or cuda:1.") from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise EngineError(
            f"There is no device '{found}' on this machine.",
            "Leave the device out, or install a CUDA build of torch.",
        )
    return found
