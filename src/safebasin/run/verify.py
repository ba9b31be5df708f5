"""Reads every file of a run folder and says what is not as it was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from json import JSONDecodeError
from pathlib import Path

from safebasin.errors import RunError
from safebasin.plane import Point
from safebasin.run import records, sealed, strictjson
from safebasin.run.atomic import is_temporary, read_plain
from safebasin.run.folder import CAPABILITY, LEXICON, MANIFEST, POINTS, VERDICTS
from safebasin.run.manifest import Manifest, capability_digest
from safebasin.run.names import slug
from safebasin.run.no_run import no_run
from safebasin.run.records import DamagedError, Record
from safebasin.run.verdicts import JUDGE_FILE, read_judge
from safebasin.terminal import printable


@dataclass(frozen=True, order=True)
class Problem:
    """Something that is not as it was written; `line` is None where it is the file itself."""

    file: str
    line: int | None
    what: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}, line {self.line}"
        return f"{printable(place)}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What a run folder holds, and the problems found in it.

    `points` are planned, `complete` have an answer to every prompt, `partial` to some;
    `verdicts` counts each judge's verdicts, `capabilities` the points of each capability.
    `unbound` counts the records that do not say which run, or which answers, they belong to, and
    `unsealed` names the derived files that hold no digest: those of earlier versions do not, and
    nothing can be said of where they came from.
    """

    problems: tuple[Problem, ...]
    points: int
    complete: int
    partial: int
    answers: int
    verdicts: dict[str, int]
    capabilities: dict[str, int] = field(default_factory=dict)
    unbound: int = 0
    unsealed: tuple[str, ...] = ()

    @property
    def unmeasured(self) -> int:
        return self.points - self.complete - self.partial


def verify(path: str | os.PathLike[str]) -> Verification:
    """Read every file of a run. It writes nothing, and what it finds wrong it returns.

    Raises:
        RunError: There is no run folder at the path.
    """
    root = Path(path)
    if not os.path.lexists(root / MANIFEST):
        raise no_run(root, MANIFEST)
    return _Reading(root).result()


class _Reading:
    """One pass over a folder, collecting as it goes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.problems: list[Problem] = []
        self.manifest: Manifest | None = None
        self.planned: dict[str, Point] = {}
        self.asked: dict[str, tuple[str, ...]] = {}
        self.verdicts: dict[str, int] = {}
        self.capabilities: dict[str, int] = {}
        self.lines: dict[str, dict[str, str]] = {}
        """By point and prompt, the digest of the answer as its record holds it."""
        self.lexicons: set[str] = set()
        """The digests of the lexicons that judges say they read by."""
        self.unbound = 0
        self.unsealed: list[str] = []

    @property
    def binding(self) -> str | None:
        return None if self.manifest is None else self.manifest.binding

    def result(self) -> Verification:
        self._links()
        with self._noting(MANIFEST):
            self.manifest = Manifest.from_json(self._json(MANIFEST))
            self.planned = {point.key: point for point in self.manifest.points}
        for name in self._names(POINTS):
            with self._noting(f"{POINTS}/{name}"):
                self._answers(name)
        for name in self._names(VERDICTS):
            self._judge(f"{VERDICTS}/{name}")
        self._capabilities()
        for name in self._names("."):
            if name.endswith(".json") and name != MANIFEST:
                with self._noting(name):
                    if not sealed.check(self._json(name)):
                        self.unsealed.append(name)
        self._files()
        return self._summary()

    def _summary(self) -> Verification:
        prompts = set(self.manifest.prompt_ids) if self.manifest else set()
        begun = set(self.planned) & set(self.asked)
        complete = sum(prompts <= set(self.asked[key]) for key in begun)
        return Verification(
            problems=tuple(sorted(self.problems, key=lambda p: (p.file, p.line or 0, p.what))),
            points=len(self.planned),
            complete=complete,
            partial=len(begun) - complete,
            answers=sum(len(ids) for ids in self.asked.values()),
            verdicts=self.verdicts,
            capabilities=self.capabilities,
            unbound=self.unbound,
            unsealed=tuple(self.unsealed),
        )

    def _files(self) -> None:
        """What was written beside the records is what the manifest names, or a judge read by."""
        if self.manifest is None:
            return
        wanted = {name: {sha256} for name, sha256 in self.manifest.files.items()}
        for sha256 in self.lexicons:
            wanted.setdefault(LEXICON, {sha256})
        for name, digests in sorted(wanted.items()):
            # They are written before the first answer; a run that was stopped earlier lacks none.
            if not self.asked and not os.path.lexists(self.root / name):
                continue
            with self._noting(name):
                if hashlib.sha256(read_plain(self.root / name)).hexdigest() not in digests:
                    raise DamagedError(1, "was changed after it was written")

    def _links(self) -> None:
        for parent, folders, files in os.walk(self.root):
            for path in (Path(parent, name) for name in (*folders, *files)):
                if path.is_symlink():
                    name = path.relative_to(self.root).as_posix()
                    self.problems.append(Problem(name, None, "is a link"))

    def _names(self, folder: str) -> list[str]:
        """What a folder of the run holds, except links and the files of a writer at work."""
        path = self.root / folder
        if path.is_symlink() or not path.is_dir():
            return []
        return sorted(
            entry.name
            for entry in path.iterdir()
            if not entry.is_symlink() and not is_temporary(entry.name)
        )

    @contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        """Turn what is raised about a file into a problem of that file."""
        try:
            yield
        except DamagedError as error:
            self.problems.append(Problem(name, error.line, error.what))
        except FileNotFoundError:
            self.problems.append(Problem(name, None, "is missing"))
        except RunError as error:
            if not (self.root / name).is_symlink():
                self.problems.append(Problem(name, None, error.message))

    def _json(self, name: str) -> object:
        try:
            return strictjson.loads(read_plain(self.root / name))
        except JSONDecodeError as error:
            raise DamagedError(error.lineno, f"is not JSON ({error.msg})") from None
        except ValueError as error:
            raise DamagedError(1, f"is not strict JSON ({error})") from None

    def _record(self, name: str) -> Record:
        record = records.decode(read_plain(self.root / name))
        *others, last = record.damage or (None,)
        self.problems.extend(Problem(name, item.line, item.what) for item in others if item)
        if last is not None:
            raise last
        return record

    def _answers(self, name: str) -> None:
        key = _key(name)
        record = self._record(f"{POINTS}/{name}")
        ids = records.check(record, "answers", key, self.binding)
        self.unbound += record.run is None
        if self.manifest is not None:
            if self.planned and key not in self.planned:
                raise DamagedError(1, "the header names a point of no plane of this run")
            if list(ids) != [item for item in self.manifest.prompt_ids if item in ids]:
                raise DamagedError(1, "the prompts are not those of this run in its order")
        self.asked[key] = ids
        self.lines[key] = {row["prompt_id"]: records.row_digest(row) for row in record.rows}

    def _capabilities(self) -> None:
        """Every record of a capability is one of the manifest's, at a point of the run."""
        if self.manifest is None:
            return
        known = {slug(name): name for name in self.manifest.capabilities}
        for folder in self._names(CAPABILITY):
            if folder not in known:
                self.problems.append(
                    Problem(f"{CAPABILITY}/{folder}", None, "is no capability of this run")
                )
                continue
            name = known[folder]
            signed = capability_digest(name, self.manifest.capabilities[name])
            self.capabilities[name] = 0
            for file in self._names(f"{CAPABILITY}/{folder}"):
                with self._noting(f"{CAPABILITY}/{folder}/{file}"):
                    key = _key(file)
                    record = self._record(f"{CAPABILITY}/{folder}/{file}")
                    records.check(record, "capability", key, self.binding)
                    self.unbound += record.run is None
                    if record.judge != signed:
                        raise DamagedError(1, "was measured with other settings")
                    if self.planned and key not in self.planned:
                        raise DamagedError(1, "the header names a point of no plane of this run")
                    self.capabilities[name] += 1

    def _judge(self, folder: str) -> None:
        if (self.root / folder).is_dir() and not self._names(folder):
            return  # whoever made it was stopped before the judge was recorded
        with self._noting(f"{folder}/{JUDGE_FILE}"):
            data = read_plain(self.root / folder / JUDGE_FILE)
            judge, spec, digest, _ = read_judge(data, Path(folder).name)
            self.lexicons |= _lexicons(spec)
            self.verdicts[judge] = 0
            for name in self._names(folder):
                if name != JUDGE_FILE:
                    with self._noting(f"{folder}/{name}"):
                        self.verdicts[judge] += self._verdicts(f"{folder}/{name}", digest)

    def _verdicts(self, name: str, digest: str) -> int:
        key = _key(Path(name).name)
        record = self._record(name)
        ids = records.check(record, "verdicts", key, self.binding)
        if record.judge != digest:
            # By an earlier specification of the judge: as good as absent until it is replaced.
            return 0
        answered = self.lines.get(key)
        if answered is None:
            raise DamagedError(1, "the point has no sound record of answers")
        judged = record.answers or ("",) * len(ids)
        self.unbound += record.run is None or "" in judged
        for line, (prompt_id, answer) in enumerate(zip(ids, judged, strict=True), start=2):
            if prompt_id not in answered:
                raise DamagedError(line, "judges an answer that the point does not hold")
            if answer and answer != answered[prompt_id]:
                raise DamagedError(line, "judges another answer than the point holds")
        return len(ids)


def _lexicons(spec: object) -> set[str]:
    """The digests of a lexicon that a judge's specification names, however deep."""
    if not isinstance(spec, dict):
        return set()
    found = {str(spec["lexicon_sha256"])} if spec.get("lexicon_sha256") else set()
    return found.union(*map(_lexicons, spec.values()))


def _key(name: str) -> str:
    if not name.endswith(".jsonl"):
        raise RunError("is no record of this run")
    return name.removesuffix(".jsonl")
