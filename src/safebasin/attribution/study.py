"""An attribution from a model and rows to files: scores, the set of the highest, a record."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.attribution.base import NO_ROWS, HeldScores, require_rows
from safebasin.attribution.kinds import named
from safebasin.attribution.masks import jaccard, top
from safebasin.attribution.settings import AttributeConfig
from safebasin.checkpoint import Checkpoint
from safebasin.errors import RunError, UsageError
from safebasin.run.atomic import prepare_folder, read_plain, write_atomic
from safebasin.run.lock import refuse_foreign
from safebasin.run.manifest import differences, mismatch
from safebasin.run.names import default_folder
from safebasin.run.provenance import redact_json, session
from safebasin.run.strictjson import dumps, loads
from safebasin.subject.rows import Rows, load_rows
from safebasin.subject.subject import Subject
from safebasin.terminal import printable
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter

RECORD = "attribution.json"


@dataclass(frozen=True)
class Located:
    """What an attribution found and wrote.

    shares   how much of each kind of weight of each block is in the set, in [0, 1]
    shared   Jaccard of the sets of safety and of utility; None without utility
    """

    folder: Path
    record: Mapping[str, Any]
    files: tuple[Path, ...]
    taken: int
    of: int
    shares: Mapping[str, Mapping[int, float]]
    shared: float | None

    def to_json(self) -> dict[str, Any]:
        return {
            "run": str(self.folder),
            "files": [str(path) for path in self.files],
            "weights": self.taken,
            "of": self.of,
            "jaccard": self.shared,
            "shares": {kind: dict(found) for kind, found in self.shares.items()},
        }


def attribute(config: AttributeConfig) -> Located:
    """Locate, and write the scores and the set.

    Raises RunMismatch where the folder holds another attribution, DataError where the rows of
    safety and utility overlap, and what the method does.
    """
    method = named(config.method)
    safety = load_rows(config.safety).first(config.rows)
    utility = NO_ROWS
    if config.utility is not None:
        utility = load_rows(config.utility).first(config.rows)
    require_rows(safety, utility)
    checkpoint = Checkpoint.parse(config.model, trust_remote_code=config.trust_remote_code)
    checkpoint.check()
    identity = {
        "method": method.spec(),
        "model": {"name": checkpoint.name, **checkpoint.spec()},
        "safety": _told(safety),
        "utility": _told(utility) if len(utility) else None,
        "system": config.system,
        "template": config.template,
        "share": config.share,
        "by": config.by,
    }
    name = f"{checkpoint.name}-{method.spec()['kind']}"
    folder = Path(config.out) if config.out else default_folder(name, identity)
    _require_own(folder, identity)
    subject = Subject.load(
        checkpoint, device=config.device, template=config.template, system=config.system
    )
    found: list[Mask] = []
    files: list[Path] = []
    for which, rows, others in (("safety", safety, utility), ("utility", utility, safety)):
        if not len(rows):
            continue
        scores = method.locate(subject, rows, others)
        if not isinstance(scores, HeldScores):
            raise UsageError(f"'{config.method}' gives no scores.", "Use it from Python.")
        found.append(top(scores, config.share, config.by))
        if not files:  # so that the folder is this attribution's where it is interrupted
            prepare_folder(folder)
            _write(folder, {"identity": identity})
        files.append(scores.save(folder / f"{which}.safetensors"))
        parameters = scores.parameters
    mask = found[0] if len(found) == 1 else found[0] - found[1]
    files.append(mask.save(folder / "mask.safetensors"))
    shares = _shares(mask, parameters)
    made = {
        "weights": mask.count,
        "of": mask.numel,
        "shares": {kind: {str(i): one for i, one in row.items()} for kind, row in shares.items()},
    }
    record = _write(folder, {"identity": identity, **made})
    return Located(
        folder,
        record,
        (*files, folder / RECORD),
        mask.count,
        mask.numel,
        shares,
        jaccard(*found) if len(found) == 2 else None,
    )


def _write(folder: Path, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record as it is written, with who wrote it."""
    whole = {**record, "sessions": [session(sys.argv)]}
    known: Mapping[str, Any] = json.loads(dumps(redact_json(whole)))
    write_atomic(folder / RECORD, f"{dumps(known, indent=1)}\n".encode())
    return known


def _told(rows: Rows) -> dict[str, Any]:
    return {"name": rows.name, "sha256": rows.sha256, "n": len(rows)}


def _require_own(folder: Path, identity: Mapping[str, Any]) -> None:
    refuse_foreign(folder, RECORD)
    path = folder / RECORD
    if not os.path.lexists(path):
        return
    try:
        known = loads(read_plain(path))["identity"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{printable(str(path))} is no record of an attribution.", "Give another --out."
        ) from error
    given = json.loads(dumps(redact_json(dict(identity))))
    if changes := list(differences(known, given)):
        raise mismatch(
            f"The folder {folder} holds another attribution", changes, "Give another --out."
        )


def _shares(mask: Mask, parameters: tuple[Parameter, ...]) -> dict[str, dict[int, float]]:
    """The share of every tensor that is in the set, by kind of weight and block."""
    found: dict[str, dict[int, float]] = {}
    for parameter in parameters:
        own = mask.tensors[parameter.name]
        block = parameter.layer or 0
        _, _, kind = parameter.name.partition(f".{block}.")
        kind = kind.removesuffix(".weight")
        found.setdefault(kind, {})[block] = int(own.sum()) / own.numel()
    return found
