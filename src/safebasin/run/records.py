"""The record of one point: a header line, then one exchange or verdict a line.

The header holds the digest of every other line and of itself, so a record that was cut short,
altered, or had lines repeated or moved is recognised, and never read as a smaller measurement. It
also holds what ties the record to its run (`Manifest.binding`) and, of verdicts, the digest of the
answer that each one judges. Records of earlier versions lack both, and are read as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from safebasin.errors import RunError, UsageError
from safebasin.exchange import (
    DETAILS,
    OUTCOMES,
    Detail,
    Exchange,
    Finish,
    Outcome,
    Verdict,
)
from safebasin.landscape.capability import Item
from safebasin.plane import Point
from safebasin.run import strictjson
from safebasin.run.atomic import read_plain
from safebasin.run.names import digest
from safebasin.run.typed import shown
from safebasin.terminal import printable, shorten
from safebasin.thought import Marks

SCHEMA_VERSION = 1
Kind = Literal["answers", "verdicts", "capability"]
JSON = dict[str, Any]
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


def point_to_json(point: Point) -> list[list[object]]:
    """The point as pairs of a direction's name and its exact coefficient."""
    return [[name, value] for name, value in point.terms]


def point_from_json(value: object) -> Point:
    """The point that `point_to_json` wrote.

    Raises:
        ValueError: It is no such list, or not in its one normal form.
    """
    if not isinstance(value, list):
        raise ValueError("the point is not a list")
    terms: dict[str, float] = {}
    for pair in value:
        match pair:
            case [str(name), float(coefficient)]:
                terms[name] = coefficient
            case _:
                raise ValueError("a term of the point is not a name and a number")
    point = Point.of(terms)
    if point_to_json(point) != value:
        raise ValueError("the terms of the point are not distinct, sorted and non-zero")
    return point


def exchange_to_json(exchange: Exchange) -> JSON:
    """The exchange without the fields that say nothing."""
    row: JSON = {name: getattr(exchange, name) for name in _EXCHANGE_ORDER}
    for name in ("origin_logprobs", "marks"):
        value = row.pop(name)
        if value is not None:
            row[name] = list(value)
    return row


def exchange_from_json(row: Mapping[str, object]) -> Exchange:
    """The exchange of a line.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    _only(row, _EXCHANGE)
    return Exchange(
        prompt_id=_field(row, "prompt_id", str),
        prompt=_field(row, "prompt", str),
        response=_field(row, "response", str),
        finish=cast(Finish, _choice(row, "finish", get_args(Finish))),
        prompt_tokens=_field(row, "prompt_tokens", int),
        new_tokens=_field(row, "new_tokens", int),
        origin_logprob=_number_or_none(row, "origin_logprob"),
        origin_logprobs=_logprobs(row),
        marks=_marks(row),
    )


def verdict_to_json(prompt_id: str, verdict: Verdict) -> JSON:
    """The verdict without the fields that say nothing."""
    row = {"prompt_id": prompt_id} | {name: getattr(verdict, name) for name in _VERDICT_ORDER}
    return {
        name: value
        for name, value in row.items()
        if value is not None or name not in ("detail", "start")
    }


def verdict_from_json(row: Mapping[str, object]) -> tuple[str, Verdict]:
    """The prompt id and the verdict of a line.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    _only(row, _VERDICT)
    outcome = _choice(row, "outcome", (*OUTCOMES, None))
    verdict = Verdict(
        outcome=cast("Outcome | None", outcome),
        reason=_field(row, "reason", str),
        score=_number_or_none(row, "score"),
        detail=cast("Detail | None", _choice({"detail": None, **row}, "detail", (*DETAILS, None))),
        start=_field(row, "start", int) if "start" in row else None,
    )
    return _field(row, "prompt_id", str), verdict


def item_to_json(item: Item) -> JSON:
    """What was measured of a capability, without the fields that say nothing."""
    row = {"name": item.name, "value": item.value, "weight": item.weight}
    more = {"stderr": item.stderr, "each": item.each, "answer": item.answer}
    return row | {name: value for name, value in more.items() if value is not None}


def item_from_json(row: Mapping[str, object]) -> Item:
    """The item of a line.

    Raises:
        ValueError: A field is missing, unknown or of the wrong type.
    """
    _only(row, _ITEM)
    each = _field(row, "each", str) if "each" in row else None
    weight = _field(row, "weight", int)
    if weight < 1 or (each is not None and (set(each) - {"0", "1"} or not each)):
        raise ValueError("it has no items that can be counted")
    return Item(
        name=_field(row, "name", str),
        value=_number_or_none(row, "value"),
        weight=weight,
        stderr=_number_or_none(row, "stderr") if "stderr" in row else None,
        each=each,
        answer=_field(row, "answer", str) if "answer" in row else None,
    )


READERS: dict[Kind, Callable[[Mapping[str, object]], object]] = {
    "answers": exchange_from_json,
    "verdicts": verdict_from_json,
    "capability": item_from_json,
}


def _header(line: bytes) -> JSON:
    try:
        header = _object(line)
        version = _field(header, "schema_version", int)
        if version > SCHEMA_VERSION:
            raise ValueError(f"was written by a newer safebasin (schema {shown(version)})")
        rest = {name: value for name, value in header.items() if name != "header"}
        signed = {**rest, "header": digest(strictjson.dumps(rest).encode())}
        if strictjson.dumps(signed).encode() != line:
            raise ValueError("was changed after it was written")
        _choice(header, "kind", get_args(Kind))
        point_from_json(header.get("point"))
        if _field(header, "n", int) != len(_field(header, "lines", list)):
            raise ValueError("counts other lines than it lists")
        if "answers" in header and len(_field(header, "answers", list)) != header["n"]:
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


_EXCHANGE_ORDER = tuple(field.name for field in fields(Exchange))
_VERDICT_ORDER = tuple(field.name for field in fields(Verdict))
_EXCHANGE = frozenset(_EXCHANGE_ORDER)
_VERDICT = frozenset({"prompt_id", *(field.name for field in fields(Verdict))})
_ITEM = frozenset(field.name for field in fields(Item))


def _only(row: Mapping[str, object], known: frozenset[str]) -> None:
    if unknown := row.keys() - known:
        raise ValueError(f"it has the unknown field {shorten(min(unknown))}")


def _field(row: Mapping[str, object], name: str, kind: type[T]) -> T:
    value = row.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"its {name} is not of type {kind.__name__}")
    return value


def _logprobs(row: Mapping[str, object]) -> tuple[float, ...] | None:
    """The log-probabilities of an answer's tokens; None where the line has none."""
    if "origin_logprobs" not in row:
        return None
    values = _field(row, "origin_logprobs", list)
    return tuple(_number(value, "origin_logprobs") for value in values)


def _marks(row: Mapping[str, object]) -> Marks | None:
    """The model's own marks of a thought; None where the line has none."""
    if "marks" not in row:
        return None
    match row["marks"]:
        case [str(opening), str(closing)] if opening and closing:
            return opening, closing
    raise ValueError("its marks are not two texts")


def _choice(row: Mapping[str, object], name: str, known: Sequence[str | None]) -> str | None:
    value = row.get(name, "")
    if value not in known:
        raise ValueError(f"its {name} is none of those known")
    return cast("str | None", value)


def _number_or_none(row: Mapping[str, object], name: str) -> float | None:
    value = row.get(name, "")
    return None if value is None else _number(value, name)


def _number(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"its {name} is not a number")
    return value
