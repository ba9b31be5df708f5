"""The blocks of a model as settings name them, counted from 0, with both ends of an interval."""

from __future__ import annotations

import re
from collections.abc import Collection

from safebasin.errors import UsageError
from safebasin.terminal import listed, printable, shorten

_PART = re.compile(r"\s*([0-9]{1,6})(?:\s*-\s*([0-9]{1,6}))?\s*")


def blocks_named(text: str) -> set[int]:
    """The blocks that `0,4-7` names. Raises UsageError where it names none."""
    wanted: set[int] = set()
    for part in text.split(","):
        if (found := _interval(part)) is None:
            raise UsageError(
                f"'{shorten(printable(text))}' does not name blocks.", "Write them as in 0,4-7."
            )
        wanted.update(range(found[0], found[1] + 1))
    return wanted


def interval_named(text: str) -> tuple[int, int]:
    """The first and the last block of `4-7`, or of `4` alone. Raises UsageError for another."""
    if (found := _interval(text)) is None:
        raise UsageError(
            f"'{shorten(printable(text))}' is no interval of blocks.",
            "Give its first and last block as in 4-7, or one block.",
        )
    return found


def require_blocks(wanted: Collection[int], present: Collection[int]) -> None:
    """Raise UsageError, naming the blocks that there are, where some that are wanted are not."""
    missing = sorted(set(wanted) - set(present))
    if missing or not wanted:
        there = f"{min(present)} to {max(present)}" if present else "none"
        raise UsageError(
            f"The model has no block {listed([str(one) for one in missing]) or '(empty)'}.",
            f"Its blocks: {there}.",
        )


def _interval(part: str) -> tuple[int, int] | None:
    found = _PART.fullmatch(part)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return (first, last) if first <= last else None
