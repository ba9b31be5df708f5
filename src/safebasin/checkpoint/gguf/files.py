"""Which GGUF file is meant: `FILE.gguf`, a folder with one, or `REPOSITORY:FILE.gguf`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from safebasin.errors import CheckpointError
from safebasin.terminal import listed

SUFFIX = ".gguf"
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.I)


def is_gguf(name: str) -> bool:
    """Whether a file of that name is a GGUF file by its ending."""
    return name.lower().endswith(SUFFIX)


def named_file(name: str) -> tuple[str, str | None]:
    """A source and the GGUF file that is named in it, as in `ORG/NAME:FILE.gguf`."""
    source, mark, file = name.rpartition(":")
    if mark and source and is_gguf(file) and not Path(name).expanduser().exists():
        return source, file
    return name, None


def local_file(path: Path) -> Path | None:
    """The GGUF file that a local path means; None where it means a model of another kind.

    A folder with weights in safetensors means those. Raises CheckpointError where it holds several
    GGUF files and no other model.
    """
    if not path.is_dir():
        return path if is_gguf(path.name) else None
    names = sorted(entry.name for entry in path.iterdir() if is_gguf(entry.name))
    if not names or (path / "adapter_config.json").exists():
        return None
    if any(path.glob("*.safetensors")) or (path / "model.safetensors.index.json").exists():
        return None
    return path / the_only(names, str(path), "/")


def the_only(names: Iterable[str], where: str, joint: str) -> str:
    """The one of the names that is a whole language model, named as `where`, `joint` and a name.

    Parts for pictures (mmproj) are passed over. Raises CheckpointError where there are several.
    """
    models = [name for name in names if not name.lower().startswith("mmproj")]
    if len(models) != 1:
        what = f"{len(models)} GGUF files" if models else "no GGUF file of a language model"
        some = f": {listed(models)}" if models else ""
        raise CheckpointError(
            f"'{where}' holds {what}{some}.",
            f"Name one, as in {where}{joint}{models[0] if models else 'FILE.gguf'}.",
        )
    refuse_split(models[0])
    return models[0]


def refuse_split(name: str) -> None:
    """Raise CheckpointError where a name is that of a part of a model that is cut into files."""
    if _SPLIT.search(name):
        raise CheckpointError(
            f"'{name}' is a part of a model that is cut into several files.",
            "Join them with `llama-gguf-split --merge` and give the whole.",
        )
