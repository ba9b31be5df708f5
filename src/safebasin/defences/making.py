"""A defence of weights from its settings to a model on the disk, with a record."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.merging import save_model
from safebasin.checkpoint.new_folder import new_folder, put_in_place, require_free
from safebasin.defences.base import WeightDefence
from safebasin.defences.kinds import DEFENCES
from safebasin.defences.settings import DefendConfig
from safebasin.directions import gram
from safebasin.errors import RunError, UsageError
from safebasin.run.atomic import read_plain, write_atomic
from safebasin.run.lock import refuse_foreign
from safebasin.run.manifest import require_same
from safebasin.run.names import default_folder
from safebasin.run.provenance import plain_json, session
from safebasin.run.strictjson import dumps, loads
from safebasin.study.preparation import named as identified
from safebasin.subject.subject import Subject
from safebasin.terminal import printable, shorten
from safebasin.weights import Direction

RECORD = "defence.json"
FOUND = "found"
"""The folder of what a method has found, such as a mask, within that of the model."""


@dataclass(frozen=True)
class Defended:
    """A defended model on the disk; `made` is False where it was there already."""

    folder: Path
    record: Mapping[str, Any]
    made: bool

    def to_json(self) -> dict[str, Any]:
        return {"folder": str(self.folder), **self.record}


def defence_of(config: DefendConfig) -> WeightDefence:
    """The defence that the settings name.

    Raises UsageError for a name nobody has, or one that changes no weights; for a setting that it
    does not take, and for one that it lacks, such as a fine-tune's base.
    """
    if config.method not in DEFENCES:
        weights = [name for name, one in DEFENCES.items() if hasattr(one, "direction")]
        raise UsageError(
            f"There is no defence '{shorten(printable(config.method))}'.",
            f"Give one of {', '.join(weights)}.",
        )
    if not hasattr(DEFENCES[config.method], "direction"):
        steers = hasattr(DEFENCES[config.method], "applied")
        raise UsageError(
            f"The defence '{config.method}' changes no weights by itself, so that no model is "
            "made by it.",
            "`safebasin steer` finds it, and `safebasin evaluate --steer` answers with it."
            if steers
            else "It takes part in a fine-tune: `safebasin finetune --help` has its options.",
        )
    make = cast(Callable[..., WeightDefence], DEFENCES[config.method])
    taken = inspect.signature(make).parameters
    given = config.given
    if idle := [_option(name) for name in given if name not in taken]:
        raise UsageError(
            f"The defence '{config.method}' has no {' and no '.join(idle)}.",
            f"It takes {', '.join(map(_option, taken)) or 'none'}.",
        )
    required = [name for name, one in taken.items() if one.default is inspect.Parameter.empty]
    if lacking := [_option(name) for name in required if name not in given]:
        raise UsageError(
            f"The defence '{config.method}' needs {' and '.join(lacking)}.",
            "`safebasin defend --help` says what each is.",
        )
    return make(**given)


def defend(config: DefendConfig, command: Sequence[str] = ()) -> Defended:
    """Make the defended model and write it with a record, or take up the one that is there.

    The step is made of float32 weights, added at the strength, and cast once to the dtype in which
    the model is stored. Norm layers move, too, where a method moves all weights. `config.json` is
    put in place last, so that what is interrupted never loads.

    Raises what `defence_of` and the method do, RunMismatch where the folder holds another defended
    model, and RunError where it holds something else or cannot be written.
    """
    defence = defence_of(config)
    trusted = config.scan.trust_remote_code
    checkpoint = Checkpoint.parse(config.model, trust_remote_code=trusted)
    checkpoint.check()
    checkpoint.require_blocks(None if config.block is None else str(config.block))
    identity = {
        "method": defence.spec(),
        "model": identified(checkpoint),
        "strength": config.strength,
    }
    label = f"{checkpoint.name}-{config.method}"
    folder = Path(config.out) if config.out else default_folder(label, identity)
    known = _known(folder, identity)
    if known is not None:
        return Defended(folder, known, made=False)
    require_free(folder)
    subject = Subject.load(
        checkpoint,
        device=config.scan.device,
        template=config.scan.template,
        system=config.scan.system,
    )
    subject = replace(subject, weights=subject.weights.select(exclude_norms=False))
    direction = defence.direction(subject)
    told = {
        "identity": identity,
        "found": defence.found() if hasattr(defence, "found") else None,
        **_size(direction, subject),
    }
    save = getattr(defence, "save", None)
    record = write(subject, direction, config.strength, folder, told, command, save)
    return Defended(folder, record, made=True)


def write(
    subject: Subject,
    direction: Direction,
    strength: float,
    folder: Path,
    told: Mapping[str, Any],
    command: Sequence[str] = (),
    save: Callable[[Path], object] | None = None,
) -> dict[str, Any]:
    """The record of a model that is written to a new or empty folder, with what is `told` of it.

    `save` writes what else a method has found to a folder of its own within. Raises RunError where
    it cannot be written; the folder is then as it was.
    """
    checkpoint = subject.checkpoint
    dtype = checkpoint.stored_dtype()
    size = sum(one.numel() for one in subject.model.parameters())
    with new_folder(folder, size * getattr(torch, dtype).itemsize) as work:
        model, _ = checkpoint.load(dtype, "cpu")
        with subject.weights.displaced([(strength, direction)]), torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(subject.model.get_parameter(name))
        notes = save_model(checkpoint, model, work)
        if save is not None:
            save(work / FOUND)
        record = {
            **told,
            "dtype": dtype,
            "arithmetic": "float32",
            "fingerprint": Checkpoint(
                str(work), trust_remote_code=checkpoint.trust_remote_code
            ).fingerprint(),
            "notes": notes,
            **session(command),
        }
        record = plain_json(record)
        write_atomic(work / RECORD, f"{dumps(record, indent=1)}\n".encode())
        put_in_place(work, folder)
    return record


def _size(direction: Direction, subject: Subject) -> dict[str, Any]:
    """How much the method moves: weights, and its length relative to that of all of them."""
    moved = 0
    for parameter in subject.weights.parameters:
        step = direction.tensor(parameter)
        moved += 0 if step is None else int((step != 0).sum())
    [[square]] = gram([direction], subject.weights)
    whole = sum(subject.weights.norm(one.name) ** 2 for one in subject.weights.parameters)
    return {
        "moved": moved,
        "of": subject.weights.numel,
        "relative_length": float((square / whole) ** 0.5),
    }


def _known(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of the very model that is asked for, where the folder holds it."""
    path = folder / RECORD
    if not os.path.lexists(path):
        return None
    refuse_foreign(folder, RECORD)
    try:
        record: dict[str, Any] = loads(read_plain(path))
        known = record["identity"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{printable(str(path))} is no record of a defended model.", "Give another --out."
        ) from error
    require_same(
        known,
        plain_json(identity),
        f"The folder {folder} holds another defended model",
        "Give another --out.",
    )
    return record


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"
