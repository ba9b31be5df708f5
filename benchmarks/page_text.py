"""How generated pages word numbers and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def paragraph(text: str) -> str:
    """One line of a text that was broken to fit the page of code."""
    return " ".join(text.split())


def rows(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    texts = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in texts)


def interval(one: Any) -> str:
    if one["value"] is None:
        return "not defined"
    return f"{one['value']:+.2f} ({one['low']:+.2f} to {one['high']:+.2f})"


def number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}f}"


def percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
