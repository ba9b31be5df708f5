"""Which folders of this process describe a GGUF file."""

from __future__ import annotations

from pathlib import Path

from safebasin.checkpoint.gguf.header import Header

WEIGHTS = "model.gguf"
"""The name of the link to the file."""

FOLDERS: dict[Path, Header] = {}
"""The head of the file that each of them describes."""


def described(folder: Path) -> Header | None:
    """The head of the file that a folder of this process describes; None for any other folder."""
    return FOLDERS.get(folder)
