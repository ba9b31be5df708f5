"""Rows of a file of prompts: CSV, TSV, JSON Lines, JSON, plain text, and parquet with pyarrow."""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.errors import PromptError
from safebasin.terminal import shorten

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_DELIMITERS = ((";", ""), ("\t", ".tsv"), ("|", ""), (",", ".csv"))

TEXT_FILE_COLUMN = "prompt"
"""The column name that the lines of a text file, and bare strings in JSON, are given."""


@dataclass(frozen=True)
class Contents:
    """What a file is to hold, in the words of its errors; `example` is one record in JSON."""

    file: str
    several: str
    one: str
    example: str


PROMPTS = Contents("prompt file", "prompts", "prompt", '{"prompt": "..."}')


@dataclass(frozen=True)
class Row:
    """One record; `where` names its place for a person, such as `line 12`."""

    where: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Table:
    """The records of a file. Records with nothing in them are left out and counted in `blank`."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    blank: int


def read_bytes(path: Path, contents: Contents = PROMPTS) -> bytes:
    """The bytes of a file. Raises PromptError where it is missing, empty, or not a file."""
    try:
        data = path.read_bytes()
    except IsADirectoryError:
        raise PromptError(
            f"'{path}' is a folder.", f"Name the file with the {contents.several} in it."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PromptError(
            f"The {contents.file} '{shorten(str(path))}' cannot be read: {reason}.",
            "Check the path.",
        ) from None
    if not data.strip():
        raise PromptError(
            f"The {contents.file} '{path}' is empty.", f"Give at least one {contents.one}."
        )
    return data


def read_table(path: Path, data: bytes, contents: Contents = PROMPTS) -> Table:
    """The records in `data`, read as the ending of `path` says.

    Raises PromptError, naming the file and the line, for anything that is not a whole record.
    """
    ending = path.suffix.casefold()
    if ending in (".parquet", ".pq"):
        return _parquet(path, data, contents)
    reader = _READERS.get(ending)
    if reader is None:
        raise PromptError(
            f"'{path}' ends in '{ending}', which is no {contents.file}.",
            f"Use one of {', '.join((*_READERS, '.parquet'))}.",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PromptError(
            f"'{path}' is not UTF-8: byte {error.start} cannot be read.",
            "Save it as UTF-8.",
        ) from None
    return reader(path, text, contents)


def read_column(path: Path, data: bytes, column: str) -> Table:
    """The records of a CSV file of one column without a header, as the column of that name."""
    try:
        cells = list(_csv(data.decode("utf-8-sig")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise PromptError(f"'{path}' is not CSV in UTF-8: {error}.", "Fetch it again.") from None
    rows = []
    for number, record in enumerate(cells, 1):
        if len(record) > 1:
            raise PromptError(
                f"'{path}', record {number}: {len(record)} cells, where one is expected.",
                "Give the file as it was published.",
            )
        if record and record[0].strip():
            rows.append(Row(f"record {number}", {column: record[0]}))
    return Table((column,), tuple(rows), len(cells) - len(rows))


def _delimited(path: Path, text: str, delimiter: str) -> Table:
    reader = _csv(text, delimiter)
    columns: tuple[str, ...] = ()
    rows: list[Row] = []
    blank = 0
    line = 1
    try:
        for cells in reader:
            where, line = f"line {line}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                blank += bool(columns)
            elif not columns:
                columns = tuple(cell.strip() for cell in cells)
                _refuse_other_delimiter(path, text, columns, delimiter)
            elif len(cells) != len(columns):
                raise PromptError(
                    f"'{path}', {where}: {len(cells)} cells, but the header has {len(columns)}.",
                    "Quote cells that hold a delimiter, a quote or a line break.",
                )
            else:
                rows.append(Row(where, dict(zip(columns, cells, strict=True))))
    except csv.Error as error:
        raise PromptError(
            f"'{path}', line {line}: {error}.", "Check the quotes of that record."
        ) from None
    return _table(path, columns, rows, blank)


def _csv(text: str, delimiter: str = ",") -> Any:
    """A reader of delimited text whose cells may be as long as the text.

    Python's own limit of 131,072 characters, which keeps an unclosed quote from reading a file to
    its end, is not needed for a text that is in memory already.
    """
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)


def _refuse_other_delimiter(
    path: Path, text: str, columns: tuple[str, ...], delimiter: str
) -> None:
    """Raise PromptError for a table whose cells something else separates in every row.

    One column whose name and whose every row hold a tab, say, is no column of prompts.
    """
    if len(columns) != 1:
        return
    for other, ending in _DELIMITERS:
        if other == delimiter or other not in columns[0]:
            continue
        wanted = columns[0].count(other) + 1
        try:
            rows = [row for row in _csv(text, other) if any(cell.strip() for cell in row)]
        except csv.Error:
            continue
        if all(len(row) == wanted for row in rows):
            raise PromptError(
                f"The cells of '{path}' are separated by {_NAMES[other]}s, and not by "
                f"{_NAMES[delimiter]}s as its ending says.",
                f"Save it with {_NAMES[delimiter]}s between the cells"
                + (f", or name it {ending}." if ending else "."),
            )


def _table(path: Path, columns: tuple[str, ...], rows: list[Row], blank: int) -> Table:
    """The records, the names of whose columns differ in more than their case.

    Of two that do not, one without any cell is left out: pandas leaves such a column behind where
    a script writes `Label` beside the `label` that it made first.
    """
    if len({name.casefold() for name in columns}) == len(columns):
        return Table(columns, tuple(rows), blank)
    kept: dict[str, str] = {}
    for name in columns:
        other = kept.get(name.casefold())
        if other is None or (other != name and not _filled(other, rows)):
            kept[name.casefold()] = name
        elif other == name or _filled(name, rows):
            raise PromptError(
                f"'{path}' has two columns named {name.casefold()[:40]!r}.",
                "Give each its own name.",
            )
    names = tuple(kept.values())
    left = (
        Row(row.where, {name: row.values[name] for name in names if name in row.values})
        for row in rows
    )
    return Table(names, tuple(left), blank)


def _filled(column: str, rows: list[Row]) -> bool:
    return any(row.values.get(column) not in (None, "", []) for row in rows)


def _comma_separated(path: Path, text: str, _: Contents) -> Table:
    return _delimited(path, text, ",")


def _tab_separated(path: Path, text: str, _: Contents) -> Table:
    return _delimited(path, text, "\t")


def _lines(text: str) -> list[str]:
    # Not str.splitlines(): that also cuts at U+2028 and other characters a prompt may hold.
    return re.split("\r\n|\n|\r", text)


def _plain(path: Path, text: str, _: Contents) -> Table:
    lines = list(enumerate(_lines(text.rstrip("\r\n")), 1))
    rows = [Row(f"line {n}", {TEXT_FILE_COLUMN: line}) for n, line in lines if line.strip()]
    return Table((TEXT_FILE_COLUMN,), tuple(rows), len(lines) - len(rows))


def _parse_json(path: Path, where: str, text: str, contents: Contents) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise PromptError(
            f"'{path}', {where} is not JSON: {error.msg}, character {error.colno}.",
            "Correct it there.",
        ) from None
    except RecursionError:
        raise PromptError(
            f"'{path}', {where} is nested too deep.", f"Give one flat object per {contents.one}."
        ) from None


def _json_lines(path: Path, text: str, contents: Contents) -> Table:
    lines = list(enumerate(_lines(text.rstrip()), 1))
    full = [(n, line) for n, line in lines if line.strip()]
    records = [(f"line {n}", _parse_json(path, f"line {n}", line, contents)) for n, line in full]
    return _objects(path, records, len(lines) - len(full), contents)


def _json_array(path: Path, text: str, contents: Contents) -> Table:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise PromptError(
            f"'{path}', line {error.lineno} is not JSON: {error.msg}, character {error.colno}.",
            "Correct it there; a file with one object a line ends in .jsonl.",
        ) from None
    except RecursionError:
        raise PromptError(
            f"'{path}' is nested too deep.", "Give one list of flat objects."
        ) from None
    if isinstance(whole, dict) and whole and all(_are_objects(one) for one in whole.values()):
        # As HarmBench keeps completions: those of each behaviour under its id.
        listed = [
            (f"item {n} of '{shorten(key)}'", {"BehaviorID": key, **one})
            for key, several in whole.items()
            for n, one in enumerate(several, 1)
        ]
        return _objects(path, listed, 0, contents)
    if not isinstance(whole, list):
        raise PromptError(f"'{path}' does not hold a list.", "Give a list of objects or texts.")
    return _objects(path, [(f"item {n}", one) for n, one in enumerate(whole, 1)], 0, contents)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _objects(path: Path, records: list[tuple[str, Any]], blank: int, contents: Contents) -> Table:
    rows: list[Row] = []
    columns: dict[str, None] = {}
    for where, record in records:
        if isinstance(record, str):
            record = {TEXT_FILE_COLUMN: record}
        if not isinstance(record, dict):
            raise PromptError(
                f"'{path}', {where} holds {type(record).__name__}, not an object or a text.",
                f"Write each {contents.one} as {contents.example}.",
            )
        columns.update(dict.fromkeys(record))
        if any(value not in (None, "", []) for value in record.values()):
            rows.append(Row(where, record))
        else:
            blank += 1
    return _table(path, tuple(columns), rows, blank)


def _parquet(path: Path, data: bytes, contents: Contents) -> Table:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise PromptError(
            f"'{path}' is parquet, and pyarrow is not installed.",
            "Run `pip install pyarrow`, or convert the file to JSON Lines.",
        ) from None
    try:
        records = parquet.read_table(io.BytesIO(data)).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        first = str(error).splitlines()[0]
        raise PromptError(f"'{path}' is not a parquet file: {first}", "Fetch it again.") from None
    return _objects(path, [(f"row {n}", one) for n, one in enumerate(records, 1)], 0, contents)


_READERS: dict[str, Callable[[Path, str, Contents], Table]] = {
    ".csv": _comma_separated,
    ".tsv": _tab_separated,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_array,
    ".txt": _plain,
}
