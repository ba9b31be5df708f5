"""JSON files with one field changed to what nobody wrote there, and whole files that are none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from safebasin.run.names import canonical, digest

JSON = Any
Path = tuple[str | int, ...]

DEEP = "[" * 600 + "]" * 600
VALUES: Mapping[str, str] = {
    "null": "null",
    "true": "true",
    "zero": "0",
    "minus": "-1",
    "half": "0.5",
    "whole float": "3.0",
    "64 bits": str(2**63),
    "400 digits": "1" + "0" * 400,
    "4000 digits": "1" + "0" * 4000,
    "5000 digits": "1" + "0" * 5000,
    "1e400": "1e400",
    "1e300": "1e300",
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "empty": '""',
    "word": '"word"',
    "digits": '"12"',
    "long": json.dumps("x" * 5000),
    "NUL": '"a\\u0000b"',
    "surrogate": '"\\ud800"',
    "climbs": '"../../../etc/passwd"',
    "escape": '"\\u001b[2Jx"',
    "list": "[]",
    "list of null": "[null]",
    "list of numbers": "[1, 2]",
    "list of texts": '["a"]',
    "list of lists": "[[1]]",
    "object": "{}",
    "object of null": '{"a": null}',
    "object of objects": '{"a": {"b": [1]}}',
    "deep": DEEP,
}
"""The text of each value as it stands in the file, by a name for it."""

FILES: Mapping[str, bytes] = {
    "nothing": b"",
    "a blank": b" \n",
    "no JSON": b"word",
    "a list": b"[]",
    "a number": b"12",
    "null": b"null",
    "an empty object": b"{}",
    "a name twice": b'{"a": 1, "a": 2}',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "a mark of order": b'\xef\xbb\xbf{"a": 1}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "too deep": b"[" * 200_000,
    "too deep an object": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "cut short": b'{"a": [1, 2',
    "zeros": b"\0" * 4096,
}

_HERE = "\ufdd0here\ufdd1"


def places(value: JSON, most: int = 2, path: Path = ()) -> Iterator[Path]:
    """Where a value of a file can be changed; of a list the first `most` items."""
    if path:
        yield path
    if isinstance(value, dict):
        for name, one in value.items():
            yield from places(one, most, (*path, name))
    elif isinstance(value, list):
        for index, one in enumerate(value[:most]):
            yield from places(one, most, (*path, index))


def changed(value: JSON, path: Path, text: str | None) -> str:
    """The JSON text of the value with another one at the path, or without it where that is None."""
    copy = json.loads(json.dumps(value))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    if text is None:
        del inner[path[-1]]
        return json.dumps(copy)
    inner[path[-1]] = _HERE
    return json.dumps(copy).replace(json.dumps(_HERE), text)


def sealed(text: str) -> str:
    """The text of a file of a run with the digest that it would have had it been written so."""
    try:
        value = json.loads(text)
        rest = {name: one for name, one in value.items() if name != "digest"}
        return json.dumps({**rest, "digest": digest(canonical(rest).encode())})
    except (ValueError, RecursionError, AttributeError, TypeError, OverflowError):
        return text  # no digest can be made of it


def named(path: Path) -> str:
    """The path as people write it."""
    return ".".join(str(step) for step in path)
