"""What an attribution found, as its record keeps it and as it is read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safebasin.attribution.base import LayerScores
from safebasin.attribution.scaling import Interval
from safebasin.errors import RunError
from safebasin.landscape import Estimate
from safebasin.run.atomic import read_plain
from safebasin.run.no_run import ATTRIBUTION
from safebasin.run.strictjson import loads
from safebasin.terminal import printable
from safebasin.weights.parameters import Parameter

Shares = Mapping[str, Mapping[int, float]]
"""A share in [0, 1] by kind of weight and block."""


@dataclass(frozen=True)
class WeightSet:
    """The weights with the highest scores.

    shares   how much of each kind of weight of each block is in the set
    shared   Jaccard of the sets of safety and of utility; None without utility
    zero     how many of them score 0 for safety, and are in it since fewer scored more
    """

    taken: int
    of: int
    shares: Shares
    shared: float | None
    zero: int = 0

    def to_json(self) -> dict[str, Any]:
        told = {"weights": self.taken, "of": self.of, "jaccard": self.shared}
        told |= {"zero": self.zero} if self.zero else {}
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
class UnitSet:
    """The heads or neurons with the highest scores.

    units    "heads" or "neurons"
    shares   how many of each block's units are in the set, under the name of the units
    highest  the block, the number and the score of safety of the first of them
    shared   Jaccard of the sets of safety and of utility; None where units of one were scored
    """

    units: str
    taken: int
    of: int
    shares: Shares
    highest: tuple[tuple[int, int, float], ...]
    shared: float | None = None

    def to_json(self) -> dict[str, Any]:
        told = {"units": self.units, "taken": self.taken, "of": self.of, "jaccard": self.shared}
        return {**told, "shares": _plain(self.shares), "highest": [list(u) for u in self.highest]}


Found = WeightSet | Ranks | LayerScores | Interval | UnitSet


@dataclass(frozen=True)
class Located:
    """What an attribution found and wrote."""

    folder: Path
    record: Mapping[str, Any]
    files: tuple[Path, ...]
    found: Found
    again: bool = field(default=False, compare=False)
    """Whether it was found before and only read."""

    def to_json(self) -> dict[str, Any]:
        files = [str(path) for path in self.files]
        return {"run": str(self.folder), "files": files, **self.found.to_json()}


def read_located(folder: Path) -> Located | None:
    """What the folder of an attribution holds; None where it was interrupted before the end.

    Raises RunError where its record is none.
    """
    record = read_record(folder)
    try:
        found = _found(record)
        names = [str(one) for one in record.get("files", ())]
        if found is None:
            return None
        _require_told(record["identity"])
        files = (*(folder / name for name in names), folder / ATTRIBUTION)
        return Located(folder, record, files, found, again=True)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_record(folder) from error


def read_record(folder: Path) -> dict[str, Any]:
    """The record of an attribution's folder; RunError where it is none."""
    try:
        record = loads(read_plain(folder / ATTRIBUTION))
        if not isinstance(record["identity"], dict):
            raise TypeError("an identity that is no object")
        found: dict[str, Any] = record
        return found
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_record(folder) from error


def by_kind(
    parameters: Sequence[Parameter], values: Mapping[str, float | None]
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


def _no_record(folder: Path) -> RunError:
    return RunError(
        f"{printable(str(folder / ATTRIBUTION))} is no record of an attribution.",
        "Give another folder.",
    )


def _require_told(identity: Mapping[str, Any]) -> None:
    """Raise KeyError or TypeError where it does not say what was asked, as it is shown."""
    if not isinstance(identity["method"], dict):
        raise TypeError("a method that is no object")
    for key in ("model", "safety", *(["utility"] if identity["utility"] else [])):
        if not isinstance(identity[key]["name"], str):
            raise TypeError(f"a name of {key} that is no text")
    for key in ("safety", *(["utility"] if identity["utility"] else [])):
        int(identity[key]["n"])


def _found(record: Mapping[str, Any]) -> Found | None:
    """What a record says was found, whatever it is; None where nothing is there yet."""
    if "weights" in record:
        shared = record["jaccard"]
        return WeightSet(
            int(record["weights"]), int(record["of"]), _shares(record["shares"]),
            None if shared is None else float(shared), int(record.get("zero", 0)),
        )  # fmt: skip
    if "rank" in record:
        shares, similar = (_shares(record[name]) for name in ("shares", "similarity"))
        return Ranks(int(record["rank"]), shares, similar)
    if "layers" in record:
        values = tuple(Estimate.from_json(one) for one in record["layers"])
        method = record["identity"]["method"]
        curves = {
            str(name): tuple(Estimate.from_json(one) for one in row)
            for name, row in record.get("curves", {}).items()
        }
        return LayerScores(str(method["kind"]), values, str(record["unit"]), method, curves)
    if "sweeps" in record:
        return Interval.from_json(record)
    if "units" in record:
        shared = record["jaccard"]
        highest = tuple((int(b), int(u), float(one)) for b, u, one in record["highest"])
        return UnitSet(
            str(record["units"]), int(record["taken"]), int(record["of"]),
            _shares(record["shares"]), highest, None if shared is None else float(shared),
        )  # fmt: skip
    return None


def _shares(stored: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    return {
        str(kind): {int(block): float(one) for block, one in row.items()}
        for kind, row in stored.items()
    }


def _plain(shares: Shares) -> dict[str, dict[str, float]]:
    return {kind: {str(block): one for block, one in row.items()} for kind, row in shares.items()}
