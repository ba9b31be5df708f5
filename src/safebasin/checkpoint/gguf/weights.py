"""Loading the weights of a GGUF model, dequantised; and that none of them is left out."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

from safebasin.checkpoint.gguf.folders import WEIGHTS
from safebasin.checkpoint.gguf.header import Header
from safebasin.checkpoint.gguf.settings import ROTATION_TENSORS
from safebasin.errors import CheckpointError
from safebasin.terminal import listed


def loading_settings() -> dict[str, Any]:
    """What transformers' loader is told to read the file that a description links to."""
    import transformers

    settings: dict[str, Any] = {"gguf_file": WEIGHTS}
    # Newer versions keep the weights packed where they have kernels for it; older cannot.
    if (config := getattr(transformers, "GgufConfig", None)) is not None:
        settings["quantization_config"] = config(dequantize=True)
    return settings


_READER = "transformers.modeling_gguf_pytorch_utils"


@contextmanager
def without_bar() -> Iterator[None]:
    """Keep the bar off the terminal that the reader shows whatever it is told."""
    if importlib.util.find_spec(_READER) is None:  # a version of transformers that has no such bar
        yield
        return
    reader: Any = importlib.import_module(_READER)
    own = reader.tqdm
    reader.tqdm = lambda tensors, **_: tensors
    try:
        yield
    finally:
        reader.tqdm = own


def as_plain_model(model: Any) -> None:
    """Take from a loaded model the marks of a quantised one: its weights are plain numbers now."""
    model.hf_quantizer = None
    for name in ("is_quantized", "quantization_method"):
        if name in model.__dict__:
            delattr(model, name)
    for config in (model.config, model.config.get_text_config()):
        if hasattr(config, "quantization_config"):
            del config.quantization_config


def require_all_used(name: str, header: Header, model: Any) -> None:
    """Raise CheckpointError where the file holds values that the loaded model has no place for.

    transformers' reader passes over such tensors in silence.
    """
    used = sum(prod(p.shape) for p in {id(p): p for p in model.parameters()}.values())
    held = sum(prod(one.shape) for one in header.tensors if one.name not in ROTATION_TENSORS)
    if used == held:
        return
    extra = _unplaced(header, model)
    which = f": {listed(extra)}" if extra else ""
    raise CheckpointError(
        f"'{name}' holds {held} values, and the model that is made of it {used}{which}.",
        "Give the model in safetensors: without them it is another model.",
    )


def _unplaced(header: Header, model: Any) -> list[str]:
    """Tensors of the file whose names stand for no parameter of the model."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    kind = next(key for key, value in MODEL_ARCH_NAMES.items() if value == header.architecture)
    names = get_tensor_name_map(kind, int(header.setting("block_count")))
    places = set()
    for parameter, _ in model.named_parameters(remove_duplicate=False):
        stem, _, ending = parameter.rpartition(".")
        places.add(f"{names.get_name(stem)}.{ending}")
    return [
        one.name
        for one in header.tensors
        if one.name not in places and one.name not in ROTATION_TENSORS and "_exps" not in one.name
    ]
