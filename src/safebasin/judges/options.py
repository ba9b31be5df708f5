"""What may follow a judge's name and a colon: `name=value&name=value`."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from safebasin.errors import UsageError
from safebasin.terminal import shorten


def parse_options(judge: str, text: str, known: Collection[str]) -> dict[str, str]:
    """The options of a judge, by name, in the order given.

    Raises UsageError for one without a value, one that is given twice, and one that the judge
    does not know.
    """
    found: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise UsageError(
                f"The judge '{judge}' cannot read the option '{shorten(part)}'.",
                f"Give NAME=VALUE, several with & between them, as {judge}:{min(known)}=VALUE.",
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            meant = f"Did you mean {close[0]}? " if close else ""
            raise UsageError(
                f"The judge '{judge}' has no option '{shorten(name)}'.",
                f"{meant}There are {', '.join(sorted(known))}.",
            )
        if name in found:
            raise UsageError(
                f"The option {name} of the judge '{judge}' is given twice.", "Give it once."
            )
        found[name] = value
    return found


def choose(
    judge: str, options: Mapping[str, str], name: str, values: Collection[str]
) -> str | None:
    """The value of an option, None where it is not given.

    Raises UsageError where it is none of these.
    """
    value = options.get(name)
    if value is not None and value not in values:
        raise UsageError(
            f"The judge '{judge}' cannot take {name}={shorten(value)}.",
            f"Give {name}={' or '.join(values)}.",
        )
    return value


def number(judge: str, options: Mapping[str, str], name: str) -> float | None:
    """The number that an option gives; None for `none`, which switches it off.

    Raises UsageError where it is neither.
    """
    value = options[name]
    if value == "none":
        return None
    try:
        return float(value)
    except ValueError:
        raise UsageError(
            f"The option {name} of the judge '{judge}' is '{shorten(value)}'.",
            "Give a number, or none to switch it off.",
        ) from None
