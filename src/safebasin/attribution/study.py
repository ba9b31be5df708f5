"""An attribution from a model and rows to files: scores, the set of the highest, a record."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from safebasin.attribution.actsvd import RankSubspace
from safebasin.attribution.base import NO_ROWS, Attribution, HeldScores, LayerScores, require_rows
from safebasin.attribution.found import (
    Found,
    Located,
    Ranks,
    UnitSet,
    WeightSet,
    by_kind,
    read_located,
    read_record,
)
from safebasin.attribution.kinds import named
from safebasin.attribution.masks import jaccard, top
from safebasin.attribution.random import Random
from safebasin.attribution.ranks import similarity
from safebasin.attribution.scaling import Interval
from safebasin.attribution.settings import BY, AttributeConfig
from safebasin.attribution.units import UnitScores
from safebasin.checkpoint import Checkpoint
from safebasin.errors import UsageError
from safebasin.run.atomic import prepare_folder, write_atomic
from safebasin.run.lock import refuse_foreign
from safebasin.run.manifest import require_same
from safebasin.run.names import default_folder
from safebasin.run.no_run import ATTRIBUTION
from safebasin.run.provenance import plain_json, session
from safebasin.run.strictjson import dumps
from safebasin.study.preparation import named as identified
from safebasin.subject.row_sources import rows_of
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter

HIGHEST = 50
"""So many units are named in a record; the file has the scores of all."""


def attribute(config: AttributeConfig) -> Located:
    """Locate, and write the scores and the set, the subspaces, or the scores of the blocks.

    What a folder holds already is read and not found again. Raises RunMismatch where it holds
    another attribution, DataError where the rows of safety and utility overlap, UsageError for a
    share where nothing is scored, and what the method does.
    """
    method = named(config.method)
    _require_share(method, config)
    safety = rows_of(config.safety, 0).first(config.rows)
    utility = NO_ROWS
    if config.utility is not None:
        utility = rows_of(config.utility, 0).first(config.rows)
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
        "share": config.taken,
        "by": config.by or BY,
    }
    if config.utility_share is not None:
        identity["utility_share"] = config.utility_share
    if config.dtype not in (None, "float32"):
        identity["dtype"] = config.dtype
    name = f"{checkpoint.name}-{method.spec()['kind']}"
    folder = Path(config.out) if config.out else default_folder(name, identity)
    sessions = _own_sessions(folder, identity)
    if sessions and (known := _whole(folder)) is not None:
        return known
    sessions = [*sessions, session(sys.argv)]
    subject = Subject.load(
        checkpoint,
        dtype=config.dtype or "float32",
        device=config.device,
        template=config.template,
        system=config.system,
    )
    begun = {"identity": identity, "sessions": sessions}
    found, files = _located(method, (safety, utility), subject, config, folder, begun)
    names = [path.name for path in files]
    record = _write(folder, {**begun, "files": names, **found.to_json()})
    return Located(folder, record, (*files, folder / ATTRIBUTION), found)


def _located(
    method: Attribution,
    sets: tuple[Rows, Rows],
    subject: Subject,
    config: AttributeConfig,
    folder: Path,
    begun: Mapping[str, Any],
) -> tuple[Found, list[Path]]:
    """What the method finds, with the files of it, one of safety and utility after the other."""
    masks: list[Mask] = []
    zero: dict[str, Tensor] = {}
    spaces: list[RankSubspace] = []
    units: list[UnitScores] = []
    files: list[Path] = []
    parameters: tuple[Parameter, ...] = ()
    shares = (config.taken, config.left_out)
    for which, rows, others, share in zip(
        ("safety", "utility"), sets, reversed(sets), shares, strict=True
    ):
        if not len(rows):
            continue
        one = method.locate(subject, rows, others)
        if isinstance(one, HeldScores):
            masks.append(top(one, share, config.by or BY))
            zero = _zero(one, masks[0]) if which == "safety" else zero
        elif isinstance(one, RankSubspace):
            spaces.append(one)
        elif isinstance(one, UnitScores):
            one.top(config.taken)
            units.append(one)
        elif not isinstance(one, LayerScores | Interval):
            raise UsageError(f"What '{config.method}' gives has no file.", "Use it from Python.")
        if not files:  # so that the folder is this attribution's where it is interrupted
            prepare_folder(folder)
            _write(folder, begun)
        if isinstance(one, LayerScores | Interval):
            return one, []
        files.append(one.save(folder / f"{which}.safetensors"))
        if isinstance(one, UnitScores):
            if one.once:
                break
            continue
        parameters = one.parameters
        if isinstance(method, Random):  # the same scores for any rows, of which none would be left
            break
        del one  # the scores of utility take as much memory again
    if units:
        return _units(units, config.taken, model_of(subject.checkpoint), folder, files)
    if spaces:
        own = spaces[0]
        shared = similarity(own, spaces[1]) if len(spaces) == 2 else {}
        inside = by_kind(parameters, own.shares)
        return Ranks(own.found_by["rank"], inside, by_kind(parameters, shared)), files
    mask = masks[0] if len(masks) == 1 else masks[0] - masks[1]
    files.append(mask.save(folder / "mask.safetensors", model_of(subject.checkpoint)))
    each = {name: int(one.sum()) / one.numel() for name, one in mask.tensors.items()}
    both = jaccard(*masks) if len(masks) == 2 else None
    unmoved = sum(int((own & mask.tensors[name]).sum()) for name, own in zero.items())
    return WeightSet(mask.count, mask.numel, by_kind(parameters, each), both, unmoved), files


def _zero(scores: HeldScores, mask: Mask) -> dict[str, Tensor]:
    """The weights of a set that score 0: an expert that no token reaches has no others."""
    found = {}
    for name, own in mask.tensors.items():
        none = own & (scores.tensors[name] == 0)
        if bool(none.any()):  # hardly ever: what is kept beside the scores is not small
            found[name] = none
    return found


def _units(
    scored: list[UnitScores],
    share: float,
    model: Mapping[str, str],
    folder: Path,
    files: list[Path],
) -> tuple[UnitSet, list[Path]]:
    """The set of the highest units, without those that utility needs, and the mask of it."""
    own = scored[0]
    places, sets = own.places, [one.top(share) for one in scored]
    others = set(sets[1]) if len(sets) == 2 else set()
    chosen = [one for one in sets[0] if one not in others]
    files.append(places.mask(chosen).save(folder / "mask.safetensors", model))
    shares = {
        block: sum(unit[0] == block for unit in chosen) / len(scores)
        for block, scores in own.scores.items()
    }
    highest = tuple((b, u, float(own.scores[b][u])) for b, u in chosen[:HIGHEST])
    union = others | set(sets[0])
    both = len(others & set(sets[0])) / len(union) if len(sets) == 2 and union else None
    found = UnitSet(places.of, len(chosen), len(places.units), {places.of: shares}, highest, both)
    return found, files


def model_of(checkpoint: Checkpoint) -> dict[str, str]:
    """What a mask says of the model that it was made for."""
    return {"name": checkpoint.name, "fingerprint": checkpoint.fingerprint()}


def _require_share(method: Attribution, config: AttributeConfig) -> None:
    """Raise UsageError where a share or what it is of was given and would do nothing."""
    taken = {"scores": ("share", "utility_share", "by"), "units": ("share",)}.get(method.gives, ())
    if isinstance(method, Random):
        taken = ("share", "by")
    idle = [
        f"--{name.replace('_', '-')}"
        for name in ("share", "utility_share", "by")
        if getattr(config, name) is not None and name not in taken
    ]
    if idle:
        raise UsageError(
            f"Of what '{config.method}' gives no set is taken by {' and '.join(idle)}.",
            f"Leave out {' and '.join(idle)}.",
        )
    if config.utility_share is not None and config.utility is None:
        raise UsageError(
            "There are no rows of utility, and so no share of theirs.",
            "Give --utility, or leave out --utility-share.",
        )


def _write(folder: Path, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record as it is written."""
    known = plain_json(record)
    write_atomic(folder / ATTRIBUTION, f"{dumps(known, indent=1)}\n".encode())
    return known


def _told(rows: Rows) -> dict[str, Any]:
    return {"name": rows.name, "sha256": rows.sha256, "n": len(rows)}


def _own_sessions(folder: Path, identity: Mapping[str, Any]) -> list[Any]:
    """Who wrote to the folder before; RunMismatch where another attribution did."""
    refuse_foreign(folder, ATTRIBUTION)
    if not os.path.lexists(folder / ATTRIBUTION):
        return []
    known = read_record(folder)
    require_same(
        known["identity"],
        plain_json(identity),
        f"The folder {folder} holds another attribution",
        "Give another --out.",
    )
    return list(known.get("sessions", ()))


def _whole(folder: Path) -> Located | None:
    """What the folder holds, where all of it is there."""
    known = read_located(folder)
    # Earlier versions named no files: what they found is found again.
    if known is None or "files" not in known.record:
        return None
    return known if all(path.is_file() for path in known.files) else None
