"""JSON files that are made from the records: each holds a digest of what it says.

A digest is no signature: who edits a file and its digest is not found by this. The numbers of a
card are therefore computed from the records, never read from such a file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safebasin.run import strictjson
from safebasin.run.atomic import read_plain, write_atomic
from safebasin.run.names import canonical, digest
from safebasin.run.provenance import hide_json
from safebasin.run.records import DamagedError

DIGEST = "digest"
"""The name under which a file holds its digest."""


def seal(value: object) -> object:
    """The value with its digest, where it is an object; anything else as it is.

    Raises:
        ValueError: It holds a number that is not finite.
    """
    if not isinstance(value, dict):
        return value
    rest = {name: one for name, one in value.items() if name != DIGEST}
    return {**rest, DIGEST: digest(canonical(rest).encode())}


def check(value: object) -> bool:
    """Whether a value as read has a digest, which is then its own.

    Raises:
        DamagedError: It is another's.
    """
    if not isinstance(value, dict) or DIGEST not in value:
        return False
    if seal(value) != value:
        raise DamagedError(1, "was changed after it was written")
    return True


def unseal(value: Any) -> Any:
    """What `seal` was given, from a value as read; one without a digest as it is.

    Raises:
        DamagedError: It was changed after it was written.
    """
    if not check(value):
        return value
    return {name: one for name, one in value.items() if name != DIGEST}


def write(path: Path, value: object) -> None:
    """Write a value with its digest, without what `provenance.hide` takes for a secret.

    Raises:
        ValueError: It holds a number that is not finite.
        RunError: The file cannot be written.
    """
    write_atomic(path, f"{strictjson.dumps(seal(hide_json(value)), indent=1)}\n".encode())


def read(path: Path) -> Any:
    """The value that `write` was given, or that an earlier version wrote without a digest.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not strict JSON; DamagedError where it was changed after it was written.
    """
    return unseal(strictjson.loads(read_plain(path)))
