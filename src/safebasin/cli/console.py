"""What the commands share in talking to a person or to another program."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from safebasin.errors import Interrupted, SafebasinError
from safebasin.terminal import printable


def say(text: str = "") -> None:
    """A line of the result, on standard output; control characters are shown, not obeyed."""
    print(_shown(text))


def tell(text: str) -> None:
    """A line about how it goes, on standard error."""
    print(_shown(text), file=sys.stderr, flush=True)


def _shown(text: str) -> str:
    """A text without keys, and with every control character as its escape."""
    from safebasin.run.provenance import hide

    return printable(hide(text))


class _Teller(logging.Handler):
    """Tells what the package logs: warnings, and the steps of what takes long."""

    def emit(self, record: logging.LogRecord) -> None:
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        tell(f"{mark}{record.getMessage()}")


def tell_warnings() -> None:
    """From here on the package's own warnings and steps are lines on standard error."""
    logger = logging.getLogger("safebasin")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Teller) for handler in logger.handlers):
        logger.addHandler(_Teller(logging.INFO))


def emit(value: Mapping[str, Any]) -> None:
    """The whole result as one JSON object on standard output."""
    from safebasin.run.provenance import hide_json

    print(json.dumps(hide_json(value), indent=2, allow_nan=False, ensure_ascii=True))


def json_asked() -> bool:
    """Whether the command line asks for JSON, also where it cannot be read otherwise."""
    arguments = sys.argv[1:]
    if "--" in arguments:
        arguments = arguments[: arguments.index("--")]
    return "--json" in arguments


def emit_error(kind: str, message: str, remedy: str, exit_code: int) -> None:
    """The error as one JSON object on standard output, where JSON was asked for."""
    if json_asked():
        error = {"kind": kind, "message": message, "remedy": remedy, "exit_code": exit_code}
        emit({"error": error})


def fail(error: SafebasinError) -> int:
    """Print what is wrong and what to do; returns the exit code."""
    stopped = isinstance(error, Interrupted)
    first, *more = error.message.split("\n")
    tell(f"{'interrupted' if stopped else 'error'}: {first}")
    for line in more:
        tell(f"  {line.strip()}")
    if error.hint:
        tell(f"  {'resume' if stopped else 'fix'}: {error.hint}")
    emit_error(error.kind, error.message, error.hint, error.exit_code)
    return error.exit_code


def duration(seconds: float) -> str:
    """Seconds in the unit a person would choose."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else "1 s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(number: float) -> str:
    """Bytes in the unit a person would choose."""
    for unit in ("B", "KB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def count(number: float) -> str:
    """A large count in thousands, millions or billions."""
    for unit in ("", " k", " M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} B"
