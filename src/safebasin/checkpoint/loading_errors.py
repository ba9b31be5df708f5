"""Why a checkpoint was not loaded, and what helps: each remedy only where it does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safebasin.checkpoint.sources import first_line
from safebasin.errors import CheckpointError
from safebasin.run.typed import shown
from safebasin.terminal import shorten

_FIELD = re.compile(r"for field '(\w+)'")
_EXPECTED = re.compile(r"expected (\w+)")
_KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text",
    "list": "a list", "dict": "an object",
}  # fmt: skip
CHANGES = "Correct config.json, or save the checkpoint again with save_pretrained."
GENERATION = "generation_config.json"


def cannot_load(
    name: str, folder: Path, config: Mapping[str, Any], architecture: str, error: Exception
) -> CheckpointError:
    """The error for what the loader raised."""
    text = str(error)
    if "does not recognize this arch" in text:
        return _unknown_type(name, config)
    if "Unrecognized configuration class" in text:
        return CheckpointError(
            f"'{name}' ({shorten(architecture)}) is no causal language model: transformers opens "
            "it as one of another kind, such as one that reads pictures, masks or scores.",
            "Give a decoder-only language model; of one that reads pictures, its language model "
            "saved by itself.",
        )
    return CheckpointError(f"'{name}' cannot be loaded: {_reason(folder, config, error)}.",
                           _remedy(folder, error))  # fmt: skip


def _unknown_type(name: str, config: Mapping[str, Any]) -> CheckpointError:
    import transformers

    kind, by = str(config.get("model_type")), str(config.get("transformers_version", ""))
    message = (
        f"'{name}' is no causal language model that the installed transformers "
        f"{transformers.__version__} knows: its model_type is '{shorten(kind)}'."
    )
    if _version(by) > _version(transformers.__version__):
        return CheckpointError(message, f"It was saved by transformers {shorten(by)}: update it.")
    return CheckpointError(
        message,
        "Correct model_type in config.json, or, if it is an architecture newer than that release, "
        "update transformers.",
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]{1,6}", text)[:3])


def _reason(folder: Path, config: Mapping[str, Any], error: Exception) -> str:
    """What is wrong, with the field of config.json where the loader's error tells it."""
    text = str(error)
    if (field := _FIELD.search(text)) is not None and field[1] in config:
        kinds = dict.fromkeys(_KINDS[one] for one in _EXPECTED.findall(text) if one in _KINDS)
        wanted = f", where {' or '.join(kinds)} is expected" if kinds else ""
        return f"{folder / 'config.json'} has {shown(config[field[1]])} at {field[1]}{wanted}"
    if isinstance(error, KeyError) and error.args:
        places = [path for path, value in _leaves(config) if value == error.args[0]]
        if places:
            return (
                f"{folder / 'config.json'} has {shown(error.args[0])} at {shorten(places[0])}, "
                "which transformers does not know"
            )
    if "ignore_mismatched_sizes" in text:
        return "its weights have other shapes than config.json says"
    if isinstance(error, RecursionError):
        return "its settings are nested too deeply"
    return first_line(error)


def _remedy(folder: Path, error: Exception) -> str:
    if isinstance(error, ImportError):
        return "Install the package that the model needs, or give another model."
    if "generat" in str(error).lower() or _in_generation(error):
        return f"Correct or remove {GENERATION}: answers are drawn greedily whatever it says."
    return CHANGES


def _in_generation(error: Exception) -> bool:
    """Whether the loader failed over the settings of generation."""
    at = error.__traceback__
    while at is not None:
        if "generation" in Path(at.tb_frame.f_code.co_filename).parts:
            return True
        at = at.tb_next
    return False


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _leaves(one, f"{path}.{name}" if path else str(name))
    elif not isinstance(value, list):
        yield path, value
