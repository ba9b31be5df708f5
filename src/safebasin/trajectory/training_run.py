"""The output folder of a training run: its checkpoints by step, then the model it ended with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from safebasin.checkpoint.gguf.files import local_file
from safebasin.checkpoint.vetting import Contents, read_header, vet_adapter, vet_model
from safebasin.errors import CheckpointError
from safebasin.trajectory.settings import in_order

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


@dataclass(frozen=True)
class TrainingRun:
    """The checkpoints of a run in the order of training, and what was left out of it and why."""

    checkpoints: tuple[str, ...]
    notes: tuple[str, ...]


def training_run(names: Sequence[str], *, trust_remote_code: bool = False) -> TrainingRun:
    """The checkpoints that the names stand for.

    A folder with `checkpoint-N` in it, as a Hugging Face Trainer leaves it, stands for those by
    their step and then for the model in the folder itself, each a whole model or an adapter. A
    model in the folder with the weights of one of its checkpoints counts once. Beside other names
    a folder that is itself a model stands for that model alone. Any other name stands for itself,
    by its number where the names differ in nothing else.

    Raises CheckpointError where a folder holds no checkpoint that can be opened, or is a file.
    """
    found: list[str] = []
    notes: list[str] = []
    for name in in_order(names):
        folder = Path(name).expanduser()
        whole = _is_model(folder) and not (len(names) == 1 and _steps(folder))
        if not folder.exists() or whole or local_file(folder) is not None:
            found.append(name)
            continue
        run = _read(name, trust_remote_code)
        found += run.checkpoints
        notes += run.notes
    return TrainingRun(tuple(found), tuple(notes))


def _read(name: str, trust_remote_code: bool) -> TrainingRun:
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise CheckpointError(
            f"'{name}' is a file, not a folder.",
            "Give the output folder of a training, or its checkpoints.",
        )
    steps = _steps(folder)
    if not steps:
        what = "holds no checkpoint-N and no model" if any(folder.iterdir()) else "is empty"
        raise CheckpointError(
            f"'{name}' {what}.", "Give the output folder of a training, or its checkpoints."
        )
    whole: dict[Path, Contents] = {}
    notes: list[str] = []
    reasons: list[CheckpointError] = []
    for checkpoint in [*steps, *([folder] if _is_model(folder) else [])]:
        try:
            whole[checkpoint] = _vet(checkpoint, trust_remote_code)
        except CheckpointError as error:
            reasons.append(error)
            notes.append(f"left out: {error.message}")
    if not whole:
        raise CheckpointError(
            f"'{name}' holds no checkpoint that can be opened: {reasons[0].message}",
            reasons[0].hint,
        )
    last = whole.get(folder)
    if last is not None:
        for checkpoint in reversed([one for one in whole if one != folder]):
            if _are_same(last, whole[checkpoint]):
                del whole[folder]
                notes.append(f"the model in '{name}' itself is {checkpoint.name}, and counts once")
                break
    if others := list(_others(folder)):
        notes.append(f"left out of '{name}', as no checkpoints: {', '.join(others)}")
    paths = (name if path == folder else str(path) for path in whole)
    return TrainingRun(tuple(paths), tuple(notes))


def _steps(folder: Path) -> list[Path]:
    """The folders called checkpoint-N, by N."""
    found = [
        (int(match[1]), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if (match := _CHECKPOINT.fullmatch(path.name)) and path.is_dir()
    ]
    return [path for _, path in sorted(found)]


def _others(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith(".")
        if path.is_dir() and not hidden and not _CHECKPOINT.fullmatch(path.name):
            yield path.name


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def _vet(folder: Path, trust_remote_code: bool) -> Contents:
    if (folder / "adapter_config.json").exists() and not (folder / "config.json").exists():
        return vet_adapter(folder)
    return vet_model(folder, trust_remote_code=trust_remote_code)


def _are_same(one: Contents, other: Contents) -> bool:
    """Whether two checkpoints hold the same tensors; reading ends at the first that differs."""
    import torch
    from safetensors import safe_open

    here, there = (
        {
            name: (path, shape, dtype)
            for path in contents.weights
            for name, shape, dtype in read_header(path)
        }
        for contents in (one, other)
    )
    if {n: h[1:] for n, h in here.items()} != {n: t[1:] for n, t in there.items()}:
        return False
    for name, (path, *_) in here.items():
        with (
            safe_open(path, framework="pt") as mine,
            safe_open(there[name][0], framework="pt") as theirs,
        ):
            if not torch.equal(mine.get_tensor(name), theirs.get_tensor(name)):
                return False
    return True
