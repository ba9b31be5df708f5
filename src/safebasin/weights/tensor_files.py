"""Named tensors as a safetensors file, whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from safebasin.run.atomic import of_library, prepare_folder, write_by


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    """Write them; RunError where the file or its folder is a link, or cannot be written."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    whole = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
    prepare_folder(path.parent)

    def write(draft: Path) -> None:
        try:
            save_file(whole, draft)
        except SafetensorError as error:
            raise of_library(error) from error

    write_by(path, write)
    return path
