"""A setting: its default, and the option that the command line makes of it.

Fields of the settings are spelled with `setting`; `cli/bind.py` makes options of them, so that a
setting is written once. What an option's text stands for is read here, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import date
from typing import Any, Literal, TypedDict, TypeVar

from safebasin.errors import UsageError
from safebasin.terminal import printable, shorten

PromptsKind = Literal["harmful", "benign"]
PROMPTS_KINDS: tuple[PromptsKind, ...] = ("harmful", "benign")

MOST_POINTS = 100_000
"""Of one scan: more than any has measured, and a plan of so many is still made in seconds."""
LARGEST_SEED = 2**63 - 1

T = TypeVar("T")
_WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Option:
    """How a setting is given on the command line.

    help      what the setting is, in a sentence
    name      of the option, or of the argument; "" for that of the field
    parse     the value that the option's text stands for, or several settings by their names; it
              raises UsageError, or ValueError with what to give instead; None where typer reads it
    reads     what typer reads for `parse`
    many      whether it may be repeated, as each tuple may be that has no `parse`
    path      whether it is a path
    argument  whether it has a place instead of a name
    studies   whether all studies have it, not the scan alone
    """

    help: str
    name: str = ""
    parse: Callable[[Any], Any] | None = None
    reads: type = str
    many: bool = False
    path: bool = False
    argument: bool = False
    studies: bool = False


def setting(default: T, help: str, **how: Any) -> T:
    """A field of settings with this default; `how` as the fields of `Option`."""
    return field(default=default, metadata={"option": Option(help, **how)})


def required(help: str, **how: Any) -> dict[str, Option]:
    """The metadata of a field that has no default, as in `field(metadata=required("..."))`."""
    return {"option": Option(help, **how)}


def settings_of(kind: type) -> dict[str, tuple[Option, Any]]:
    """The options of a class of settings by the names of its fields, with the fields' defaults.

    The default of a field that has none is `...`. A field without an option is left out.
    """
    own: tuple[Field[Any], ...] = fields(kind)
    return {
        one.name: (one.metadata["option"], ... if one.default is MISSING else one.default)
        for one in own
        if "option" in one.metadata
    }


def described(kind: type[T]) -> type[T]:
    """The class of settings, with each of them in its description."""
    settings = [f"    {name}: {option.help}" for name, (option, _) in settings_of(kind).items()]
    kind.__doc__ = "\n".join([(kind.__doc__ or "").rstrip(), "", *settings])
    return kind


class Limit(TypedDict):
    """How many prompts, and whether the first ones of the file, as settings name it."""

    limit: int
    first: bool


def parse_limit(text: str) -> Limit:
    """What --limit says: `80` for a sample, `first:80` for the first rows in the file's order.

    Raises UsageError for anything else.
    """
    head, colon, tail = text.partition(":")
    first = bool(colon) and head == "first"
    number = tail if first else text
    if (colon and not first) or not number.isdecimal() or (first and int(number) == 0):
        raise UsageError(
            f"The limit of prompts '{shorten(printable(text))}' is no number.",
            "Give --limit 80 for a sample, first:80 for the first rows of the file, 0 for all.",
        )
    return {"limit": int(number), "first": first}


def parse_prompts_kind(text: str) -> PromptsKind:
    """What --prompts-kind says. Raises UsageError for another word."""
    for kind in PROMPTS_KINDS:
        if text == kind:
            return kind
    raise UsageError(
        f"Prompts cannot be of the kind '{text}'.", f"Give one of {', '.join(PROMPTS_KINDS)}."
    )


def parse_seeds(text: str) -> tuple[int, ...]:
    """`3` means 0, 1, 2; a comma makes it a list: `0,1,7`, or `7,` for that one alone."""
    parts = [part.strip() for part in text.split(",")]
    if any(not _WHOLE.fullmatch(part) for part in parts if part or len(parts) == 1):
        raise UsageError(
            f"The seeds '{shorten(text)}' are not whole numbers.",
            "Give --seeds 3, or --seeds 0,1,7.",
        )
    if len(parts) > 1:
        # What is longer is no seed, and more than Python reads in one number.
        return tuple(min(int(part[:40]), LARGEST_SEED + 1) for part in parts if part)
    if len(text.strip()) > len(str(MOST_POINTS)) or int(text) > MOST_POINTS:
        raise UsageError(
            f"{shorten(text, 40)} random directions are asked for, and a scan has at most "
            f"{MOST_POINTS} points.",
            "Give a smaller --seeds, or one seed alone with a comma after it, such as --seeds 7,.",
        )
    return tuple(range(int(text)))


def parse_day(text: str) -> date:
    """The day that `2026-11-27` names. Raises UsageError for any other text."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"'{shorten(printable(text))}' is no date.", "Give --date as in 2026-11-27."
        ) from error


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(text.split(","))


def parse_lists(given: list[str]) -> tuple[str, ...]:
    """Of an option that may be repeated: each time one name, or several with commas between."""
    return tuple(part for one in given for part in one.split(",") if part.strip())


def parse_number(text: str) -> float | None:
    """A number, or None for `none`. Raises ValueError that says what to give."""
    if text.strip().lower() == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError("Give a number, or none to leave that limit out.") from None
