"""What every long command does when it is stopped: says what is safe and how to go on."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safebasin.errors import Interrupted, SafebasinError


@contextmanager
def resumable(folder: Path, kept: str = "everything finished") -> Iterator[None]:
    """Turn Ctrl-C and a scheduler's request to stop into exit code 130 and a way to resume.

    An error that comes after measurements were written says that they, `kept`, are safe.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted(f"{kept} is safe in {folder}") from None
    except SafebasinError as error:
        if [*folder.glob("points"), *folder.glob("*/points")]:
            error.hint += f" {kept.capitalize()} is safe in {folder}."
        raise


def interrupted(kept: str) -> Interrupted:
    """The error that says what was kept, and how to go on."""
    return Interrupted(kept, shlex.join(["safebasin", *sys.argv[1:]]))
