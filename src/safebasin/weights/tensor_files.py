"""Named tensors as a safetensors file, whole or not there, and as text within JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from safebasin.errors import DirectionError
from safebasin.run.atomic import of_library, prepare_folder, write_by


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str] | None = None
) -> Path:
    """Write them, with texts in the file's header.

    Raises RunError where the file or its folder is a link, or cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    prepare_folder(path.parent)

    def write(draft: Path) -> None:
        try:
            save_file(whole, draft, None if header is None else dict(header))
        except SafetensorError as error:
            raise of_library(error) from error

    write_by(path, write)
    return path


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """The tensors of a file of `write_tensors`; DirectionError, naming `what`, where it is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(path.read_bytes()))
    except (OSError, SafetensorError) as error:
        raise DirectionError(
            f"The values of {what} cannot be read: {error}.", "Make the file again."
        ) from error


def as_text(tensors: Mapping[str, Tensor]) -> str:
    """All values of some tensors, as base64 of a safetensors file."""
    from safetensors.torch import save

    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    return base64.b64encode(save(whole)).decode()


def from_text(text: str, what: str) -> dict[str, Tensor]:
    """The tensors of `as_text`; DirectionError, naming `what` they are, where it is damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(base64.b64decode(text, validate=True)))
    except (SafetensorError, ValueError) as error:
        raise DirectionError(
            f"The values of {what} are damaged.",
            "Take its specification from where it was written.",
        ) from error
