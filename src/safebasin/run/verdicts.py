"""The verdicts of a run: one folder a judge, with its specification and one record a point."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace as with_changes
from pathlib import Path
from typing import NamedTuple

from safebasin.errors import RunError, RunMismatch
from safebasin.exchange import Verdict
from safebasin.plane import Point
from safebasin.run import records, strictjson
from safebasin.run.atomic import make_folder, read_plain, write_atomic
from safebasin.run.file_shapes import JudgeFile
from safebasin.run.manifest import JSON, differences, mismatch
from safebasin.run.names import canonical, digest, slug
from safebasin.run.provenance import Redaction, plain_json
from safebasin.run.records import SCHEMA_VERSION, DamagedError
from safebasin.run.rows import verdict_from_json, verdict_to_json
from safebasin.run.typed import shown, what_is_wrong
from safebasin.terminal import printable

JUDGE_FILE = "judge.json"


class JudgeHead(NamedTuple):
    """What a judge's file says: whose verdicts the folder holds, and by which specification.

    `measures` is what the judge tells apart, as it said itself; None where that is not recorded.
    """

    name: str
    spec: JSON
    digest: str
    measures: str | None = None


class VerdictStore:
    """The `verdicts` folder of a run; the owner of the run's lock alone may write to it.

    `run` is what ties its records to the run.
    """

    def __init__(self, folder: Path, run: str | None = None) -> None:
        self._folder = folder
        self._run = run
        self._adopted: dict[str, str] = {}
        self._replacing: dict[str, JudgeHead] = {}
        """Judges that are recorded with their first verdict, in the place of what there was."""

    def heads(self) -> list[JudgeHead]:
        """What is recorded of each judge that has verdicts here."""
        if not self._folder.is_dir():
            return []
        found = (load_judge(folder) for folder in sorted(self._folder.iterdir()))
        return [head for head in found if head is not None]

    def adopt(
        self,
        name: str,
        spec: Mapping[str, object],
        *,
        replace: bool,
        measures: str | None = None,
    ) -> None:
        """Accept verdicts of this judge; `replace` lets go of those by another specification.

        With `replace` the judge is recorded with its first verdict, so that one which gives none
        has changed nothing; each replaced verdict stays on disk until the new ones of its point are
        written.

        Raises:
            RunMismatch: The stored verdicts are by another specification.
        """
        plain = plain_json(spec)
        head = JudgeHead(name, plain, _digest(name, plain), measures)
        known = load_judge(self._folder / slug(name))
        self._replacing.pop(name, None)
        if known is not None and known.spec != plain and not replace:
            raise _other_judge(name, known.spec, plain)
        if known is None and not replace:
            self._write_judge(head)
        elif known is None or known.spec != plain:
            self._replacing[name] = head
        self._adopted[name] = head.digest

    def read(
        self,
        name: str,
        spec: Mapping[str, object],
        point: Point,
        answers: Collection[str],
    ) -> dict[str, Verdict]:
        """The verdicts on a point by prompt id; empty where there are none by this judge.

        Of a record that names the answers that it judges, those on none of `answers`, which are the
        digests of the point's own, are left out.

        Raises:
            RunMismatch: The judge of this name had another specification.
            RunError: The record is damaged.
        """
        stored = self._stored(name, spec, point)
        return {
            prompt_id: verdict
            for prompt_id, (verdict, answer) in stored.items()
            if not answer or answer in answers
        }

    def _stored(
        self, name: str, spec: Mapping[str, object], point: Point
    ) -> dict[str, tuple[Verdict, str]]:
        """Each verdict with the digest of the answer that it judges, "" where that is not known."""
        folder = self._folder / slug(name)
        plain = plain_json(spec)
        known = load_judge(folder)
        if known is None:
            return {}
        if known.spec != plain:
            if name in self._replacing and self._replacing[name].spec == plain:
                return {}
            raise _other_judge(name, known.spec, plain)
        path = folder / f"{point.key}.jsonl"
        loaded = records.load(path, "verdicts", point, verdict_from_json, self._run)
        if loaded is None or loaded[0].judge != _digest(name, plain):
            return {}
        record, given = loaded
        answers = record.answers or ("",) * len(given)
        return {
            prompt_id: (verdict, answer)
            for (prompt_id, verdict), answer in zip(given, answers, strict=True)
        }

    def write(
        self,
        name: str,
        spec: Mapping[str, object],
        point: Point,
        verdicts: Mapping[str, Verdict],
        order: Sequence[str],
        answers: Mapping[str, str],
    ) -> None:
        """Store verdicts on a point; those on other prompts of the point are kept.

        `answers` are the digests of the point's answers, by prompt id.

        Raises:
            ValueError: A prompt is not in `order`.
            RunMismatch: The stored verdicts are by another specification.
            RunError: The record cannot be written.
        """
        if self._adopted.get(name) != _digest(name, plain_json(spec)):
            self.adopt(name, spec, replace=False)
        if name in self._replacing:
            self._write_judge(self._replacing.pop(name))
        present = frozenset(answers.values())
        merged = {
            prompt_id: one
            for prompt_id, one in self._stored(name, spec, point).items()
            if not one[1] or one[1] in present
        }
        merged |= {
            prompt_id: (verdict, answers.get(prompt_id, ""))
            for prompt_id, verdict in verdicts.items()
        }
        # An endpoint's error body, quoted as the reason, may echo the key it was called with.
        redaction = Redaction.of(None)
        ordered = in_order(merged, order)
        rows = [
            verdict_to_json(prompt_id, _clean(merged[prompt_id][0], redaction))
            for prompt_id in ordered
        ]
        judged = [merged[prompt_id][1] for prompt_id in ordered]
        data = records.encode("verdicts", point, rows, self._adopted[name], self._run, judged)
        write_atomic(self._folder / slug(name) / f"{point.key}.jsonl", data)

    def _write_judge(self, head: JudgeHead) -> None:
        folder = self._folder / slug(head.name)
        make_folder(self._folder)
        make_folder(folder)
        value = {"schema_version": SCHEMA_VERSION, "name": head.name, "spec": head.spec}
        if head.measures is not None:
            value["measures"] = head.measures
        value["digest"] = head.digest
        write_atomic(folder / JUDGE_FILE, f"{strictjson.dumps(value, indent=1)}\n".encode())


def load_judge(folder: Path) -> JudgeHead | None:
    """What is recorded of the judge whose verdicts a folder holds.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / JUDGE_FILE
    if folder.is_symlink():
        raise RunError(f"{printable(str(folder))} is a link.", "A run folder holds no links.")
    try:
        return read_judge(read_plain(path), folder.name)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise RunError(
            f"{printable(str(path))} is damaged: it {error.what}.",
            "Remove this judge's folder and judge the run again.",
        ) from None


def read_judge(data: bytes, folder_name: str) -> JudgeHead:
    """The content of a judge's file.

    Raises:
        DamagedError: It is not as it was written, or does not belong into this folder.
    """
    try:
        value = strictjson.loads(data)
    except ValueError as error:
        raise DamagedError(1, f"is not strict JSON ({error})") from None
    match value:
        case {"schema_version": int(version)} if version > SCHEMA_VERSION:
            raise DamagedError(1, f"was written by a newer safebasin (schema {shown(version)})")
        case {"name": str(name), "spec": dict(spec), "digest": str(written)}:
            if written != _digest(name, spec) or slug(name) != folder_name:
                raise DamagedError(1, "was changed after it was written")
            if (wrong := what_is_wrong(JudgeFile, value)) is not None:
                raise DamagedError(1, wrong)
            return JudgeHead(name, spec, written, value.get("measures"))
    raise DamagedError(1, "lacks what a judge's file holds")


def in_order(present: Mapping[str, object], order: Sequence[str]) -> list[str]:
    """The present prompt ids in the run's order.

    Raises:
        ValueError: One is not a prompt of the run.
    """
    ordered = [prompt_id for prompt_id in order if prompt_id in present]
    if len(ordered) < len(present):
        other = next(iter(set(present) - set(ordered)))
        raise ValueError(f"{other!r} is not a prompt of this run")
    return ordered


def _digest(name: str, spec: JSON) -> str:
    return digest(canonical([name, spec]).encode())


def _clean(verdict: Verdict, redaction: Redaction) -> Verdict:
    reason = redaction.values(verdict.reason)
    return verdict if reason == verdict.reason else with_changes(verdict, reason=reason)


def _other_judge(name: str, recorded: JSON, given: JSON) -> RunMismatch:
    return mismatch(
        f"The verdicts of judge '{printable(name)}' in this run are by another specification",
        list(differences(recorded, given, f"judges.{name}")),
        "`safebasin rejudge` on the run, with this judge, judges the stored answers anew and"
        " replaces its verdicts; then the same command goes on. Another --out keeps both.",
    )
