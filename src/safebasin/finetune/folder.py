"""The folder of a fine-tuning: its recipe, its checkpoints, and where to go on after a stop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.checkpoint.vetting import read_header
from safebasin.errors import CheckpointError, RunError
from safebasin.run.atomic import read_plain, refuse_link, remove_leftovers, write_atomic
from safebasin.run.lock import lock_folder, refuse_foreign, unlock_folder
from safebasin.run.manifest import require_same
from safebasin.run.provenance import plain_json, session
from safebasin.run.strictjson import dumps, loads

RECIPE = "recipe.json"
# What only a resumption needs. Optimiser states are twice as large as the model.
_STATE = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt", "training_args.bin")


@dataclass
class TrainingFolder:
    """An open folder of a fine-tuning; nobody else writes to it meanwhile."""

    path: Path
    record: dict[str, Any]

    @classmethod
    @contextmanager
    def open(cls, path: Path, identity: Mapping[str, Any]) -> Iterator[TrainingFolder]:
        """Make the folder, or take up the one that holds this very fine-tuning.

        Raises RunMismatch, naming every difference, where it holds another one.
        """
        refuse_foreign(path, RECIPE)
        lock = lock_folder(path)
        try:
            remove_leftovers(path)
            for own in path.rglob("*"):
                refuse_link(own)
            given = plain_json(identity)
            known = _read(path / RECIPE)
            if known is None:
                known = {"identity": given, "sessions": [], "finished": None}
            else:
                require_same(
                    known["identity"],
                    given,
                    f"The folder {path} was trained with other settings",
                    "Give another --out, or the recorded settings to resume.",
                )
            folder = cls(path, known)
            folder.write(sessions=[*known["sessions"], session([])])
            yield folder
        finally:
            unlock_folder(path, lock)

    def write(self, **values: Any) -> None:
        """Store values beside those that the record has."""
        self.record.update(plain_json(values))
        write_atomic(self.path / RECIPE, f"{dumps(self.record, indent=1)}\n".encode())

    @property
    def checkpoints(self) -> tuple[Path, ...]:
        """The whole checkpoints, the earliest first; one that was cut off is left out."""
        return tuple(p for p in sorted(self._begun, key=_step) if _is_whole(p))

    def remove_cut_off(self) -> None:
        """Remove the checkpoints whose writing was cut off, before they are written again."""
        for checkpoint in self._begun:
            if not _is_whole(checkpoint):
                shutil.rmtree(checkpoint)

    @property
    def _begun(self) -> list[Path]:
        found = self.path.glob("checkpoint-*")
        return [p for p in found if p.name.split("-")[1].isdigit() and not p.is_symlink()]

    @property
    def resumable(self) -> Path | None:
        """The last checkpoint that training can go on from."""
        ready = [p for p in self.checkpoints if (p / "optimizer.pt").exists()]
        return ready[-1] if ready else None

    def forget_states(self, keep: Path | None) -> None:
        """Remove what only a resumption needs, from all checkpoints but one."""
        for checkpoint in self.checkpoints:
            if checkpoint != keep:
                for name in _STATE:
                    (checkpoint / name).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = loads(read_plain(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunError(f"{path} is damaged: {error}.", "Give another --out.") from None
    if not isinstance(value, dict) or not {"identity", "sessions", "finished"} <= set(value):
        raise RunError(f"{path} is no record of a fine-tuning.", "Give another --out.")
    return value


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.split("-")[1])


def _is_whole(checkpoint: Path) -> bool:
    """Whether everything of a checkpoint was written: the trainer's own state comes last."""
    weights = sorted(checkpoint.glob("*.safetensors"))
    if not weights or not (checkpoint / "trainer_state.json").exists():
        return False
    try:
        return all(len(list(read_header(path))) for path in weights)
    except CheckpointError:
        return False
