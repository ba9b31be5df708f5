"""The record of one point: a header line, then one exchange or verdict a line.

The header holds the digest of every other line and of itself, so a record that was cut short,
altered, or had lines repeated or moved is recognised, and never read as a smaller measurement. It
also holds what ties the record to its run (`Manifest.binding`) and, of verdicts, the digest of the
answer that each one judges. Records of earlier versions lack both, and are read as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

from safebasin.errors import RunError, UsageError
from safebasin.plane import Point
from safebasin.run import strictjson
from safebasin.run.atomic import read_plain
from safebasin.run.names import digest
from safebasin.run.rows import (
    JSON,
    READERS,
    Kind,
    known_choice,
    point_from_json,
    point_to_json,
    typed_field,
)
from safebasin.run.typed import shown
from safebasin.terminal import printable, shorten

SCHEMA_VERSION = 1
T = TypeVar("T")
State = tuple[int, int, int]


class DamagedError(ValueError):
    """A record, or a line of it, that is not as it was written; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")
        self.line = line
        self.what = what


@dataclass(frozen=True)
class Record:
    """A record as read, with what is wrong with it in the order of the lines.

    run      what ties it to its run; None in a record of an earlier version
    answers  of verdicts, the digest of the answer that each row judges, "" where that was not
             known; None in a record of an earlier version
    """

    kind: str
    point: Point
    rows: tuple[JSON, ...]
    judge: str | None = None
    damage: tuple[DamagedError, ...] = ()
    run: str | None = None
    answers: tuple[str, ...] | None = None


def encode(
    kind: Kind,
    point: Point,
    rows: Sequence[JSON],
    judge: str | None = None,
    run: str | None = None,
    answers: Sequence[str] | None = None,
) -> bytes:
    """The bytes of a record; `judge` is the digest of the specification of verdicts' judge, or of a
    capability, `run` and `answers` are as in `Record`.

    Raises:
        ValueError: A number in a row is not finite.
    """
    lines = [strictjson.dumps(row).encode() for row in rows]
    header: JSON = {"schema_version": SCHEMA_VERSION, "kind": kind, "point": point_to_json(point)}
    more = {"judge": judge, "run": run, "answers": None if answers is None else list(answers)}
    header |= {name: value for name, value in more.items() if value is not None}
    header |= {"n": len(lines), "lines": [digest(line) for line in lines]}
    header["header"] = digest(strictjson.dumps(header).encode())
    return b"".join(line + b"\n" for line in (strictjson.dumps(header).encode(), *lines))


def decode(data: bytes) -> Record:
    """Read a record; the lines that are not as written are listed in `damage`, not in `rows`.

    Raises:
        DamagedError: Not even the header can be trusted.
    """
    head, *lines = data.split(b"\n")
    header = _header(head)
    damage = list(_line_damage(lines, header["lines"]))
    rows = []
    for number, line in enumerate(lines[: header["n"]], start=2):
        if any(item.line == number for item in damage):
            continue
        try:
            rows.append(_object(line))
        except ValueError as error:
            damage.append(DamagedError(number, f"is not strict JSON ({error})"))
    damage.sort(key=lambda item: item.line)
    point = point_from_json(header["point"])
    answers = header.get("answers")
    return Record(
        header["kind"],
        point,
        tuple(rows),
        header.get("judge"),
        tuple(damage),
        header.get("run"),
        None if answers is None else tuple(answers),
    )


def row_digest(row: JSON) -> str:
    """The digest of a row as a line of its record, which the record's header lists."""
    return digest(strictjson.dumps(row).encode())


def state(path: Path) -> State | None:
    """What changes whenever a record is written again; None where none is to be seen."""
    try:
        found = path.lstat()
    except OSError:  # whoever reads it says what is wrong
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def line_digests(path: Path) -> tuple[str, ...]:
    """The digests of the lines of a record in order, by its header alone; none without a file.

    Raises:
        RunError: The header is damaged.
    """
    try:
        head, *_ = read_plain(path).split(b"\n", 1)
        return tuple(_header(head)["lines"])
    except FileNotFoundError:
        return ()
    except DamagedError as error:
        raise _damaged(path, error) from None


def load(
    path: Path, kind: Kind, point: Point, read: Callable[[JSON], T], run: str | None = None
) -> tuple[Record, list[T]] | None:
    """The undamaged record of a point and what `read` makes of each row; None without a file.

    `run` is what ties the records of this run to it.

    Raises:
        RunError: The record is damaged; it names the file and the line.
    """
    try:
        record = decode(read_plain(path))
        if record.damage:
            raise record.damage[0]
        content = _sound(record, kind, point.key, read, run)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise _damaged(path, error) from None
    return record, content


def _damaged(path: Path, error: DamagedError) -> RunError:
    return RunError(
        f"{printable(str(path))} is damaged: line {error.line} {error.what}.",
        "`safebasin verify` on the run lists all damage; remove the file and run the same"
        " command again to redo this point alone.",
    )


def check(record: Record, kind: Kind, key: str, run: str | None = None) -> tuple[str, ...]:
    """The prompt ids, or names of items, of an undamaged record that is what its place says it is.

    `run` is what ties the records of this run to it, None where that is not known.

    Raises:
        DamagedError: It is another run's, another point's or another kind of record, or its content
            is not sound.
    """
    _sound(record, kind, key, READERS[kind], run)
    return tuple(row[_named(kind)] for row in record.rows)


def _sound(
    record: Record, kind: Kind, key: str, read: Callable[[JSON], T], run: str | None
) -> list[T]:
    """What `read` makes of each row, once the record is known to be what its place says it is."""
    if run is not None and record.run is not None and record.run != run:
        raise DamagedError(1, "the header names another run, of another model or settings")
    if record.kind != kind:
        raise DamagedError(1, f"the header says that these are {record.kind}, not {kind}")
    if record.point.key != key:
        raise DamagedError(1, f"the header names another point ({shorten(record.point.label)})")
    ids: set[str] = set()
    found = []
    for line, row in enumerate(record.rows, start=2):
        try:
            found.append(read(row))
        except ValueError as error:
            raise DamagedError(line, f"is not readable: {error}") from None
        name = row[_named(kind)]
        if name in ids:
            what = "item" if kind == "capability" else "prompt"
            raise DamagedError(line, f"has the {what} {shorten(name)} a second time")
        ids.add(name)
    return found


def _named(kind: Kind) -> str:
    return "name" if kind == "capability" else "prompt_id"


def _header(line: bytes) -> JSON:
    try:
        header = _object(line)
        version = typed_field(header, "schema_version", int)
        if version > SCHEMA_VERSION:
            raise ValueError(f"was written by a newer safebasin (schema {shown(version)})")
        rest = {name: value for name, value in header.items() if name != "header"}
        signed = {**rest, "header": digest(strictjson.dumps(rest).encode())}
        if strictjson.dumps(signed).encode() != line:
            raise ValueError("was changed after it was written")
        known_choice(header, "kind", get_args(Kind))
        point_from_json(header.get("point"))
        if typed_field(header, "n", int) != len(typed_field(header, "lines", list)):
            raise ValueError("counts other lines than it lists")
        if "answers" in header and len(typed_field(header, "answers", list)) != header["n"]:
            raise ValueError("counts other lines than it lists")
    except (ValueError, UsageError) as error:
        raise DamagedError(1, f"the header {_sentence(error)}") from None
    return header


def _line_damage(lines: list[bytes], digests: list[str]) -> list[DamagedError]:
    """What is wrong with the lines after the header; they still end in the empty last part."""
    damage: list[DamagedError] = []
    whole, rest = lines[:-1], lines[-1] if lines else b""
    moved = False
    for index, (line, expected) in enumerate(zip(whole, digests, strict=False)):
        found = digest(line)
        if found == expected:
            continue
        home = digests.index(found) if found in digests else None
        if home is None:
            damage.append(DamagedError(index + 2, "was changed after it was written"))
        elif not moved:
            verb = "repeats" if home < index else "is out of place and belongs at"
            damage.append(DamagedError(index + 2, f"{verb} line {home + 2}"))
            moved = True
        else:
            damage.append(DamagedError(index + 2, "is out of place"))
    if len(whole) < len(digests):
        at = len(whole) + 2
        what = f"is cut short; the header counts {len(digests)} lines after itself"
        damage.append(DamagedError(at, what))
    elif len(whole) > len(digests):
        what = f"is one too many; the header counts {len(digests)} lines after itself"
        damage.append(DamagedError(len(digests) + 2, what))
    elif rest or not lines:
        damage.append(DamagedError(len(whole) + 2, "does not end as it was written"))
    return damage


def _object(line: bytes) -> JSON:
    try:
        value = strictjson.loads(line)
    except UnicodeDecodeError:
        raise ValueError("holds bytes outside ASCII") from None
    if not isinstance(value, dict):
        raise ValueError("is not a JSON object")
    return value


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.startswith(("was", "is", "holds", "counts")) else f"is damaged ({text})"
