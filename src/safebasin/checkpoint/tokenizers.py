"""Loading the tokenizers of checkpoints and adapters, without the loader's own notes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safebasin.checkpoint import vetting
from safebasin.checkpoint.sources import first_line
from safebasin.errors import CheckpointError
from safebasin.terminal import shorten

LOG = logging.getLogger(__name__)

PROBES = (
    "Write a plan, please: 12 steps, and don't forget the 3rd one.",
    "Two  spaces,\n\ntwo lines and a naïve café.",
    " A space first. 你好",
)
"""Texts of ordinary words, numbers, spaces and lines, on which tokenizers are compared."""


def load_tokenizer(folder: Path, name: str, *, plain: bool, code: bool) -> Any:
    """The tokenizer in the folder of a model; `plain` takes the class that follows its file alone.

    Raises CheckpointError, naming the model, where it cannot be loaded.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

    # The class of a model's kind would have rules of its own in place of a GGUF file's.
    loader = PreTrainedTokenizerFast if plain else AutoTokenizer
    with quiet():
        try:
            found = loader.from_pretrained(
                str(folder),
                trust_remote_code=code,
                local_files_only=True,
            )
            # The class that the files name is any of the library's, such as a model.
            if not isinstance(found, PreTrainedTokenizerBase):
                raise TypeError(f"{type(found).__name__} is no tokenizer")
        except Exception as error:  # the loader has no error type of its own
            raise CheckpointError(
                f"The tokenizer of '{name}' cannot be loaded: {first_line(error)}.",
                "Save the tokenizer beside the model again.",
            ) from error
    return found


def adapter_tokenizer(folder: Path, name: str) -> Any:
    """The tokenizer in the folder of an adapter; None where there is none that can be read.

    It is compared with the base's and never asked with, so one that cannot be read is a warning.
    Raises CheckpointError where one of its files is a link that leads elsewhere.
    """
    if not any((folder / vocabulary).is_file() for vocabulary in vetting.VOCABULARIES):
        return None
    for file in vetting.TOKENIZER_FILES:
        vetting.inside(folder, file)
    from transformers import AutoTokenizer

    with quiet():
        try:
            return AutoTokenizer.from_pretrained(
                str(folder), trust_remote_code=False, local_files_only=True
            )
        except Exception as error:  # the loader has no error type of its own
            LOG.warning(
                "the tokenizer beside the adapter '%s' cannot be read, so it is not compared with "
                "the base's: %s", name, first_line(error),
            )  # fmt: skip
            return None


def require_stored_tokens(folder: Path, name: str, tokenizer: Any, texts: Sequence[str]) -> None:
    """Raise CheckpointError where a tokenizer splits a text otherwise than its `tokenizer.json`.

    A class that builds its own rules can, where the model was saved with those of another: then
    the model reads what it never learnt. What the folder's settings change on purpose is no
    difference: the plain class, which follows file and settings, then agrees. Without such a file
    there is nothing to compare. The texts are looked at without what starts and ends a row.
    """
    from transformers import PreTrainedTokenizerFast

    path = vetting.inside(folder, "tokenizer.json")
    if type(tokenizer) is PreTrainedTokenizerFast or not path.is_file():
        return
    plain: Any = None
    for text in (*PROBES, *texts):
        own = _ids(tokenizer, text)
        if plain is None:
            with quiet():
                try:
                    plain = PreTrainedTokenizerFast.from_pretrained(
                        str(folder), local_files_only=True
                    )
                except Exception as error:  # the loader has no error type of its own
                    LOG.debug("tokenizer.json of '%s' is not compared: %s", name, first_line(error))
                    return
        stored = _ids(plain, text)
        if own == stored:
            continue
        place = next(
            (i for i, pair in enumerate(zip(own, stored, strict=False)) if pair[0] != pair[1]), 0
        )
        raise CheckpointError(
            f"The tokenizer of '{name}' is loaded as a {type(tokenizer).__name__}, which splits "
            f"'{shorten(text, 40)}' into {len(own)} tokens; by its own tokenizer.json they are "
            f"{len(stored)}, of which number {place + 1} is {_token(plain, stored, place)}.",
            "Set tokenizer_class to PreTrainedTokenizerFast in its tokenizer_config.json, or save "
            "the tokenizer again with the library that made it.",
        )


def _ids(tokenizer: Any, text: str) -> list[int]:
    found = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    return [int(token) for token in found]


def _token(tokenizer: Any, ids: Sequence[int], place: int) -> str:
    if place >= len(ids):
        return "none"
    return f"'{shorten(str(tokenizer.convert_ids_to_tokens(ids[place])))}' ({ids[place]})"


def extends(own: Any, base: Any, rows: int) -> bool:
    """Whether a tokenizer is `base` with more tokens, for all of which there is one of `rows`."""
    ours, theirs = base.get_vocab(), own.get_vocab()
    more = theirs.keys() - ours.keys()
    return bool(more) and (
        all(theirs.get(token) == number for token, number in ours.items())
        and max(theirs.values()) < rows
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the loader's progress bars and notes off the terminal; errors are raised anyway."""
    from transformers.utils import logging as notes

    bars, level = notes.is_progress_bar_enabled(), notes.get_verbosity()
    notes.disable_progress_bar()
    notes.set_verbosity_error()
    try:
        yield
    finally:
        notes.set_verbosity(level)
        if bars:
            notes.enable_progress_bar()
