"""Loading the tokenizers of checkpoints and adapters, without the loader's own notes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safebasin.checkpoint import vetting
from safebasin.checkpoint.sources import first_line

LOG = logging.getLogger(__name__)


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
