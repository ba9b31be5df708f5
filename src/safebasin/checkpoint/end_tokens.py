"""The tokens that end a model's answers, as its files name them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safebasin.checkpoint.sources import first_line
from safebasin.checkpoint.vetting import inside
from safebasin.errors import CheckpointError

_SETTINGS = "generation_config.json"


def named_end_tokens(*owners: Any) -> tuple[int, ...]:
    """The `eos_token_id` of each owner, which may be none, one or several; ascending ids."""
    found: set[int] = set()
    for owner in owners:
        value = getattr(owner, "eos_token_id", None)
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(int(token) for token in value)
    return tuple(sorted(found))


def stored_end_tokens(folder: Path, config: Any, tokenizer: Any) -> tuple[int, ...]:
    """What ends an answer of the model or adapter in a folder, without loading it.

    They are those of its generation settings, of its configuration, and of its tokenizer, each
    None where there is none. Where a model has no generation settings, the loader makes them from
    the configuration, and so does this. Raises CheckpointError where they cannot be read.
    """
    from transformers import GenerationConfig

    generation = None
    if inside(folder, _SETTINGS).is_file():
        try:
            generation = GenerationConfig.from_pretrained(str(folder))
        except Exception as error:  # the loader has no error type of its own
            raise CheckpointError(
                f"{folder / _SETTINGS} cannot be read: {first_line(error)}.", "Save it again."
            ) from error
    elif config is not None:
        generation = GenerationConfig.from_model_config(config)
    text = None if config is None else config.get_text_config()
    return named_end_tokens(generation, text, tokenizer)


def own_generation(model: Any, folder: Path) -> None:
    """Have a model generate by the settings in its folder, where a loader passes over them."""
    from transformers import GenerationConfig

    if inside(folder, _SETTINGS).is_file():
        model.generation_config = GenerationConfig.from_pretrained(
            str(folder), local_files_only=True
        )
