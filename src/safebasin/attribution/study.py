"""An attribution from a model and rows to files: scores, the set of the highest, a record."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.attribution.actsvd import RankSubspace
from safebasin.attribution.base import NO_ROWS, Attribution, HeldScores, LayerScores, require_rows
from safebasin.attribution.kinds import named
from safebasin.attribution.masks import jaccard, top
from safebasin.attribution.ranks import similarity
from safebasin.attribution.settings import AttributeConfig
from safebasin.checkpoint import Checkpoint
from safebasin.errors import RunError, UsageError
from safebasin.run.atomic import prepare_folder, read_plain, write_atomic
from safebasin.run.lock import refuse_foreign
from safebasin.run.manifest import differences, mismatch
from safebasin.run.names import default_folder
from safebasin.run.provenance import plain_json, session
from safebasin.run.strictjson import dumps, loads
from safebasin.study.preparation import named as identified
from safebasin.subject.rows import Rows, load_rows
from safebasin.subject.subject import Subject
from safebasin.terminal import printable
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter

RECORD = "attribution.json"


Shares = Mapping[str, Mapping[int, float]]
"""A share in [0, 1] by kind of weight and block."""


@dataclass(frozen=True)
class WeightSet:
    """The weights with the highest scores.

    shares   how much of each kind of weight of each block is in the set
    shared   Jaccard of the sets of safety and of utility; None without utility
    """

    taken: int
    of: int
    shares: Shares
    shared: float | None

    def to_json(self) -> dict[str, Any]:
        told = {"weights": self.taken, "of": self.of, "jaccard": self.shared}
        return {**told, "shares": _plain(self.shares)}


@dataclass(frozen=True)
class Ranks:
    """Subspaces of what the matrices give.

    rank     as it was asked for
    shares   how much of ‖W·X‖² lies in the subspace of safety
    shared   ‖UᵀV‖² / rank of those of safety and of utility; empty without utility
    """

    rank: int
    shares: Shares
    shared: Shares

    def to_json(self) -> dict[str, Any]:
        own = {"rank": self.rank, "shares": _plain(self.shares)}
        return {**own, "similarity": _plain(self.shared)}


@dataclass(frozen=True)
class Located:
    """What an attribution found and wrote."""

    folder: Path
    record: Mapping[str, Any]
    files: tuple[Path, ...]
    found: WeightSet | Ranks | LayerScores

    def to_json(self) -> dict[str, Any]:
        files = [str(path) for path in self.files]
        return {"run": str(self.folder), "files": files, **self.found.to_json()}


def attribute(config: AttributeConfig) -> Located:
    """Locate, and write the scores and the set, the subspaces, or the scores of the blocks.

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
        "model": identified(checkpoint),
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
    found, files = _located(method, (safety, utility), subject, config, folder, identity)
    record = _write(folder, {"identity": identity, **found.to_json()})
    return Located(folder, record, (*files, folder / RECORD), found)


def _located(
    method: Attribution,
    sets: tuple[Rows, Rows],
    subject: Subject,
    config: AttributeConfig,
    folder: Path,
    identity: Mapping[str, Any],
) -> tuple[WeightSet | Ranks | LayerScores, list[Path]]:
    """What the method finds, with the files of it, one of safety and utility after the other."""
    masks: list[Mask] = []
    spaces: list[RankSubspace] = []
    files: list[Path] = []
    parameters: tuple[Parameter, ...] = ()
    for which, rows, others in zip(("safety", "utility"), sets, reversed(sets), strict=True):
        if not len(rows):
            continue
        one = method.locate(subject, rows, others)
        if isinstance(one, HeldScores):
            masks.append(top(one, config.share, config.by))
        elif isinstance(one, RankSubspace):
            spaces.append(one)
        elif not isinstance(one, LayerScores):
            raise UsageError(f"What '{config.method}' gives has no file.", "Use it from Python.")
        if not files:  # so that the folder is this attribution's where it is interrupted
            prepare_folder(folder)
            _write(folder, {"identity": identity})
        if isinstance(one, LayerScores):
            return one, []
        files.append(one.save(folder / f"{which}.safetensors"))
        parameters = one.parameters
    if spaces:
        own = spaces[0]
        shared = similarity(own, spaces[1]) if len(spaces) == 2 else {}
        shares = _by_kind(parameters, own.shares)
        return Ranks(own.found_by["rank"], shares, _by_kind(parameters, shared)), files
    mask = masks[0] if len(masks) == 1 else masks[0] - masks[1]
    files.append(mask.save(folder / "mask.safetensors"))
    each = {name: int(one.sum()) / one.numel() for name, one in mask.tensors.items()}
    both = jaccard(*masks) if len(masks) == 2 else None
    return WeightSet(mask.count, mask.numel, _by_kind(parameters, each), both), files


def _write(folder: Path, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record as it is written, with who wrote it."""
    known = plain_json({**record, "sessions": [session(sys.argv)]})
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
    if changes := list(differences(known, plain_json(identity))):
        raise mismatch(
            f"The folder {folder} holds another attribution", changes, "Give another --out."
        )


def _by_kind(
    parameters: tuple[Parameter, ...], values: Mapping[str, float | None]
) -> dict[str, dict[int, float]]:
    """A value of each parameter, by kind of weight and block; what has none is left out."""
    found: dict[str, dict[int, float]] = {}
    for parameter in parameters:
        value = values.get(parameter.name)
        if value is None:
            continue
        block = parameter.layer or 0
        _, _, kind = parameter.name.partition(f".{block}.")
        found.setdefault(kind.removesuffix(".weight"), {})[block] = value
    return found


def _plain(shares: Shares) -> dict[str, dict[str, float]]:
    return {kind: {str(block): one for block, one in row.items()} for kind, row in shares.items()}
