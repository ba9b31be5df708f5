"""The JSON files of a checkpoint, each checked where it is read."""

from __future__ import annotations

import json
import stat
from collections import Counter
from pathlib import Path
from typing import Any

from safebasin.checkpoint.file_shapes import FILES
from safebasin.errors import CheckpointError
from safebasin.run.strictjson import NumberError, is_deep, place_of_number, whole_number
from safebasin.run.typed import what_is_wrong
from safebasin.terminal import shorten

LARGEST = 256 * 2**20
"""Bytes of a JSON file; the table of the largest tokenizers has 40 MB."""
CORRECT = "Correct the file, or save the checkpoint again with save_pretrained."
DOWNLOAD = "Download the checkpoint again."


def read_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file of a checkpoint holds.

    Raises CheckpointError, naming the field, where it is not what a file of this name holds.
    """
    data = _read(path)
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise CheckpointError(
            f"{path} begins with a byte order mark, and the loader reads UTF-8 without one.",
            "Save the file as UTF-8 without it.",
        )
    try:
        value = json.loads(data.decode(), parse_int=whole_number, object_pairs_hook=_distinct)
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 (byte {error.start}).", DOWNLOAD) from error
    except NumberError as error:
        where = place_of_number(data.decode(), constants=False)
        place = f" at {where}" if where else ""
        raise CheckpointError(f"{path} cannot be read: {error}{place}.", CORRECT) from error
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}.", DOWNLOAD) from error
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: {error}.", CORRECT) from error
    except RecursionError:
        raise _too_deep(path) from None
    if is_deep(value):
        raise _too_deep(path)
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object.", CORRECT)
    if (wrong := what_is_wrong(FILES.get(path.name, dict), value)) is not None:
        raise CheckpointError(f"{path} {wrong}.", CORRECT)
    return value


def require_plain(path: Path) -> None:
    """Raise CheckpointError for a pipe, a device or a socket, which may never end or never begin.

    What is not there is left to the reader.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise CheckpointError(
            f"{path} is a pipe, a device or a socket, and no plain file.",
            "Remove it; a checkpoint holds files alone.",
        )


def _read(path: Path) -> bytes:
    require_plain(path)
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise CheckpointError(
                f"{path} has {size / 2**20:.0f} MB, and such a file has at most "
                f"{LARGEST // 2**20} MB.",
                "Give a checkpoint whose settings are settings alone.",
            )
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read: {error.strerror}.", "Make it a file that you may read."
        ) from error


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"it has '{shorten(twice)}' twice in one object")
    return found


def _too_deep(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} cannot be read: it is nested too deeply.", CORRECT)
