"""The folder of a run: what was measured, written so that no crash loses or repeats anything.

manifest.json                     what determines the result; every sitting's versions
points/<point>.jsonl              the answers at one point
verdicts/<judge>/judge.json       what determines the judge's verdicts
verdicts/<judge>/<point>.jsonl    the verdicts on one point
capability/<name>/<point>.jsonl   what was measured of a capability at one point
sittings/<began>-<process>.jsonl  when points were finished, by which `watch` tells the time left
landscape.json, figures/, ...     derived; they can be made again from the rest
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safebasin.addresses import local_path
from safebasin.errors import RunBusy, RunError
from safebasin.exchange import Exchange, Verdict
from safebasin.landscape.capability import Item
from safebasin.plane import Plane, Point
from safebasin.run import records
from safebasin.run.atomic import cannot_write, remove_leftovers
from safebasin.run.lock import (
    SHARDS_WAIT,
    lock_folder,
    lock_shard,
    refuse_foreign,
    unlock_folder,
    working_alone,
    working_shards,
)
from safebasin.run.manifest import JSON, Manifest, capability_digest, load_manifest
from safebasin.run.names import default_folder, slug
from safebasin.run.no_run import no_run
from safebasin.run.provenance import Redaction, session
from safebasin.run.rows import exchange_from_json, exchange_to_json, item_from_json, item_to_json
from safebasin.run.sittings import SITTINGS, SittingLog
from safebasin.run.stored_files import StoredFiles, pretty
from safebasin.run.verdicts import VerdictStore, in_order
from safebasin.terminal import printable

if TYPE_CHECKING:
    from types import TracebackType

    from filelock import BaseFileLock

__all__ = [
    "CAPABILITY",
    "LEXICON",
    "MANIFEST",
    "POINTS",
    "VERDICTS",
    "Manifest",
    "RunFolder",
    "default_folder",
]

MANIFEST, POINTS, VERDICTS = "manifest.json", "points", "verdicts"
CAPABILITY = "capability"
LEXICON = "lexicon.txt"
"""The words that judges of broken text know."""


class RunFolder(StoredFiles):
    """A run folder that is open: for reading, or, while it holds the lock, for writing too."""

    kept = frozenset({MANIFEST, POINTS, VERDICTS, CAPABILITY, SITTINGS})

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        prompt_ids: tuple[str, ...],
        lock: BaseFileLock | None,
    ) -> None:
        super().__init__(path, lock)
        self.manifest = manifest
        self.prompt_ids = prompt_ids
        """The prompts asked for at this opening; the manifest may know more of them."""
        self._binding = manifest.binding
        self._verdicts = VerdictStore(path / VERDICTS, self._binding)
        self._log = SittingLog(path / SITTINGS, time.time())
        self._recent: tuple[tuple[Path, records.State | None], tuple[Exchange, ...]] | None = None

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], manifest: Manifest, shard: str | None = None
    ) -> RunFolder:
        """Make a run folder, or take up the one that holds this very run.

        The identity must be equal. Prompts may be added to those recorded, or the first of them
        be asked alone. The sitting is recorded with the versions and the command line.

        `shard` names a part of the run; processes that work on different parts may have the
        folder open at the same time, as long as each writes to points of its own.

        Raises:
            RunMismatch: The folder holds another run; it names every differing key.
            RunError: Another process works on the folder, it is damaged, or it holds other files.
        """
        root = _root(path)
        given = manifest.plain()
        refuse_foreign(root, MANIFEST)

        def begin(lock: BaseFileLock) -> RunFolder:
            recorded = load_manifest(root / MANIFEST)
            whole = given if recorded is None else recorded.matched(given, str(root))
            return cls._begun(root, whole, given.prompt_ids, lock)

        if shard is None:
            with _locked(root) as lock:
                return begin(lock)
        own = lock_shard(root, shard)
        try:
            common = lock_folder(root, wait=SHARDS_WAIT)
            try:
                return begin(own)
            finally:
                unlock_folder(root, common)
        except BaseException:
            own.release()
            raise

    @classmethod
    def reopen(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Take up an existing run as it is recorded, to judge it again or to add a file.

        Nothing is measured then, so no sitting is recorded.

        Raises:
            RunError: There is no run, another process works on it, or it is damaged.
        """
        root = _root(path)
        _existing(root)
        with _locked(root) as lock:
            recorded = _existing(root)
            return cls._checked(root, recorded, recorded.prompt_ids, lock)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Open an existing run for reading; a process that writes to it is not disturbed.

        Raises:
            RunError: There is no run, or its manifest is damaged or newer than this version.
        """
        root = _root(path)
        manifest = _existing(root)
        return cls(root, manifest, manifest.prompt_ids, None)

    @classmethod
    def _begun(
        cls, root: Path, manifest: Manifest, prompt_ids: tuple[str, ...], lock: BaseFileLock
    ) -> RunFolder:
        sitting = manifest.with_session(session(sys.argv))
        folder = cls._checked(root, sitting, prompt_ids, lock)
        folder._write(root / MANIFEST, pretty(folder.manifest.to_json()))
        return folder

    @classmethod
    def _checked(
        cls, root: Path, manifest: Manifest, prompt_ids: tuple[str, ...], lock: BaseFileLock
    ) -> RunFolder:
        folder = cls(root, manifest, prompt_ids, lock)
        for name in (POINTS, VERDICTS):
            folder._inside(name)
        return folder

    def extend(self, planes: Sequence[Plane]) -> None:
        """Record, before any of them is measured, that the run has more points than before.

        Raises:
            ValueError: A point of the run is on none of the planes.
        """
        self.manifest = self.manifest.extended(planes)
        self._write(self.path / MANIFEST, pretty(self.manifest.to_json()))

    def close(self) -> None:
        """Let other processes write to the folder; reading stays possible."""
        if self._lock is not None:
            unlock_folder(self.path, self._lock)
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def model_name(self) -> str:
        """What the measured model is called.

        Raises:
            RunError: The manifest names none.
        """
        return str(self._described("model")["name"])

    @property
    def asked(self) -> Mapping[str, Any]:
        """What the manifest says of the prompts: `name`, `sha256` and more.

        Raises:
            RunError: It names none.
        """
        return {"sha256": "", **self._described("prompts")}

    def _described(self, what: str) -> Mapping[str, Any]:
        found = self.manifest.identity.get(what)
        if isinstance(found, Mapping) and isinstance(found.get("name"), str):
            return found
        raise RunError(
            f"{printable(str(self.path / MANIFEST))} does not name the {what} of the run.",
            f"Give identity.{what} a name; `safebasin scan` writes it.",
        )

    def read_point(self, point: Point) -> list[Exchange] | None:
        """The answers at a point in the order of the run's prompts; None where not measured.

        Raises:
            RunError: The record is damaged.
        """
        path = self._inside(POINTS) / f"{point.key}.jsonl"
        now = records.state(path)
        if now is None or self._recent is None or self._recent[0] != (path, now):
            # A point that was just stored is judged, and its verdicts stored: both read it.
            loaded = records.load(path, "answers", point, exchange_from_json, self._binding)
            if loaded is None:
                return None
            self._recent = (path, now), tuple(loaded[1])
        return list(self._recent[1])

    def missing(self, point: Point, prompt_ids: Iterable[str]) -> list[str]:
        """Those of the prompts that have no answer at the point yet.

        Raises:
            RunError: The record is damaged.
        """
        measured = {exchange.prompt_id for exchange in self.read_point(point) or ()}
        return [prompt_id for prompt_id in prompt_ids if prompt_id not in measured]

    def write_point(self, point: Point, exchanges: Sequence[Exchange]) -> None:
        """Store answers at a point, beside those to other prompts that it has already.

        Raises:
            ValueError: A prompt is not one of the run's, or has an answer at this point already.
            RunError: The record is damaged or cannot be written.
        """
        merged: dict[str, Exchange] = {}
        for exchange in (*(self.read_point(point) or ()), *exchanges):
            if exchange.prompt_id in merged:
                raise ValueError(f"{exchange.prompt_id!r} has an answer at {point.label} already")
            merged[exchange.prompt_id] = exchange
        ordered = in_order(merged, self.manifest.prompt_ids)
        rows = [exchange_to_json(merged[prompt_id]) for prompt_id in ordered]
        self._make(POINTS)
        data = records.encode("answers", point, rows, run=self._binding)
        path = self.path / POINTS / f"{point.key}.jsonl"
        self._write(path, data)
        self._recent = (path, records.state(path)), tuple(merged[one] for one in ordered)
        self._make(SITTINGS)
        try:
            self._log.add(point.key, len(exchanges))
        except OSError as error:
            raise cannot_write(self.path / SITTINGS, error) from error

    def read_capability(self, name: str, point: Point) -> list[Item] | None:
        """What was measured of a capability of the manifest at a point; None where nothing was.

        Raises:
            RunError: The record is damaged.
        """
        path = self._inside(f"{CAPABILITY}/{slug(name)}") / f"{point.key}.jsonl"
        loaded = records.load(path, "capability", point, item_from_json, self._binding)
        if loaded is None:
            return None
        record, items = loaded
        if record.judge != capability_digest(name, self.manifest.capabilities[name]):
            raise RunError(
                f"{printable(str(path))} was measured with other settings.",
                "Remove the file and run the same command again.",
            )
        return items

    def write_capability(self, name: str, point: Point, items: Sequence[Item]) -> None:
        """Store what was measured of a capability of the manifest at a point.

        Raises:
            ValueError: A number is not finite, or the manifest has no capability of this name.
            RunError: The record cannot be written.
        """
        if name not in self.manifest.capabilities:
            raise ValueError(f"{name!r} is not a capability of this run")
        redaction = Redaction.of(None)
        rows = [redaction.json(item_to_json(item)) for item in items]
        signed = capability_digest(name, self.manifest.capabilities[name])
        data = records.encode("capability", point, cast("list[JSON]", rows), signed, self._binding)
        self._make(CAPABILITY, slug(name))
        self._write(self.path / CAPABILITY / slug(name) / f"{point.key}.jsonl", data)

    def judges(self) -> dict[str, JSON]:
        """The specification of each judge whose verdicts the run holds, by name.

        Raises:
            RunError: A judge's file is damaged.
        """
        self._inside(VERDICTS)
        return {head.name: head.spec for head in self._verdicts.heads()}

    def judge_measures(self) -> dict[str, str]:
        """What each judge tells apart, by its name, as far as that is recorded.

        Raises:
            RunError: A judge's file is damaged.
        """
        self._inside(VERDICTS)
        heads = self._verdicts.heads()
        return {head.name: head.measures for head in heads if head.measures is not None}

    def adopt_judge(
        self,
        name: str,
        spec: Mapping[str, object],
        *,
        replace: bool = False,
        measures: str | None = None,
    ) -> None:
        """Make sure, before any work is done, that this judge's verdicts can be stored here.

        With `replace`, the judge is recorded with its first new verdict, from which on those of the
        same name by another specification count as not given; each stays on disk until the new
        verdicts on its point are written.
        `measures` is recorded with a judge that is new here.

        Raises:
            RunMismatch: Verdicts by another specification are stored, and `replace` is off.
        """
        self._writable()
        self._inside(VERDICTS)
        try:
            self._verdicts.adopt(name, spec, replace=replace, measures=measures)
        except OSError as error:
            raise cannot_write(self.path / VERDICTS, error) from error

    def read_verdicts(
        self, judge: str, spec: Mapping[str, object], point: Point
    ) -> dict[str, Verdict]:
        """A judge's verdicts on a point by prompt id; empty where it gave none.

        One on another answer than the point holds now counts as not given.

        Raises:
            RunMismatch: The verdicts stored under this name are by another specification.
            RunError: The record is damaged.
        """
        self._inside(VERDICTS)
        return self._verdicts.read(judge, spec, point, frozenset(self._answered(point)))

    def _answered(self, point: Point) -> tuple[str, ...]:
        """The digests of the answers at a point in their order, by which verdicts name them."""
        return records.line_digests(self._inside(POINTS) / f"{point.key}.jsonl")

    def write_verdicts(
        self,
        judge: str,
        spec: Mapping[str, object],
        point: Point,
        prompt_ids: Sequence[str],
        verdicts: Sequence[Verdict],
    ) -> None:
        """Store one verdict a prompt; they replace earlier ones on the same prompts only.

        Raises:
            ValueError: A prompt occurs twice, is not one of the run's, or has no verdict.
            RunMismatch: The verdicts stored under this name are by another specification.
            RunError: The record is damaged or cannot be written.
        """
        if len(set(prompt_ids)) < len(prompt_ids):
            raise ValueError("a prompt has two verdicts of one judge")
        given = dict(zip(prompt_ids, verdicts, strict=True))
        self._writable()
        self._inside(VERDICTS)
        asked = [exchange.prompt_id for exchange in self.read_point(point) or ()]
        answers = dict(zip(asked, self._answered(point), strict=True))
        try:
            self._verdicts.write(judge, spec, point, given, self.manifest.prompt_ids, answers)
        except OSError as error:
            raise cannot_write(self.path / VERDICTS, error) from error

    def record_text(self, name: str, text: str) -> None:
        """As `write_text`, for a file that the manifest names, so that a change is found.

        Raises:
            RunError: The name leaves the folder or is taken, or a file cannot be written.
        """
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        known = self.manifest.files.get(name)
        if known is not None and known != digest:
            self._record({name: ""})  # whatever interrupts this, no digest is of another text
        self.write_text(name, text)
        if known != digest:
            self._record({name: digest})

    def _record(self, files: Mapping[str, str]) -> None:
        """Record the digests of files; "" for none."""
        self._writable()
        common = None if working_alone(self._lock) else lock_folder(self.path, wait=SHARDS_WAIT)
        try:
            recorded = _existing(self.path)  # other shards add their sittings
            kept = {name: one for name, one in {**recorded.files, **files}.items() if one}
            self._write(self.path / MANIFEST, pretty(replace(recorded, files=kept).to_json()))
        finally:
            if common is not None:
                unlock_folder(self.path, common)
        self.manifest = replace(self.manifest, files=kept)


def _root(path: str | os.PathLike[str]) -> Path:
    if "\0" in os.fspath(path):
        raise RunError("The path of the run folder holds a NUL character.", "Give another --out.")
    return local_path(path)


@contextmanager
def _locked(root: Path) -> Iterator[BaseFileLock]:
    """The folder's lock, kept when the block succeeds and given back when it raises."""
    lock = lock_folder(root)
    try:
        if working := working_shards(root):
            raise RunBusy(
                f"Shard {working[0]} is working on the run folder {printable(str(root))}.",
                "Wait until it ends, or give another --out.",
            )
        remove_leftovers(root)
        yield lock
    except BaseException:
        unlock_folder(root, lock)
        raise


def _existing(root: Path) -> Manifest:
    manifest = load_manifest(root / MANIFEST)
    if manifest is None:
        raise no_run(root, MANIFEST)
    return manifest
