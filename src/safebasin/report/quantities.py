"""How a number, its interval and its limit are said: shares in per cent, differences in points."""

from __future__ import annotations

import math
from typing import Literal, get_args

from safebasin.landscape.intervals import Estimate
from safebasin.landscape.table import MeasureUnit

Unit = Literal["points", "%", "", "nats"]
"""A difference of shares, a share, a length along the path, nats a token."""
UNITS: tuple[Unit, ...] = get_args(Unit)

_FORMS = {"points": (100, "+.1f"), "%": (100, ".1f"), "": (1, ".2f"), "nats": (1, ".3f")}
_SPECS: dict[MeasureUnit, str] = {
    "%": ".1f", "points of 100": ".1f", "alpha": ".2f", "ASR per alpha": ".1f",
}  # fmt: skip
MOST_DECIMALS = 6
"""Of nats, which may be far below one; so many that the smallest number keeps two digits."""


def estimated(estimate: Estimate, unit: MeasureUnit) -> str:
    """A measure with its interval, as console, page and card say it: `0.31 (0.27 to 0.35)`."""
    return percent(estimate) if unit == "%" else estimate.text(_SPECS[unit])


def form(unit: MeasureUnit) -> tuple[str, float, str]:
    """The format of a measure's value, by what that is multiplied, and what follows it."""
    return (_SPECS[unit], 100.0, " %") if unit == "%" else (_SPECS[unit], 1.0, "")


def percent(estimate: Estimate) -> str:
    """A share as a percentage with its interval."""
    if estimate.value is None:
        return "not defined"
    text = f"{100 * estimate.value:.1f} %"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def points(estimate: Estimate) -> str:
    """A difference of shares in points, with its interval."""
    if estimate.value is None:
        return "not defined"
    text = f"{100 * estimate.value:+.1f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({100 * estimate.low:+.1f} to {100 * estimate.high:+.1f})"


def quantity(value: float | None, low: float | None, high: float | None, unit: Unit) -> str:
    """A number with its interval: `+1.2 (-2.0 to +6.1) points`, `4.0 % (1.2 to 9.1)`.

    An end that is None is open; both None where there is no interval.
    """
    if value is None:
        return "not measured"
    scale, spec = _FORMS[unit]
    if unit == "nats":
        spec = f".{_decimals(value, low, high)}f"

    def number(one: float) -> str:
        return f"{scale * one:{spec}}"

    text = f"{number(value)}{' %' if unit == '%' else ''}"
    if low is not None and high is not None:
        text += f" ({number(low)} to {number(high)})"
    elif low is not None:
        text += f" ({number(low)} or more)"
    elif high is not None:
        text += f" ({number(high)} or less)"
    return f"{text}{_name(unit)}"


def bound(limit: float, unit: Unit) -> str:
    """A limit: `+5 points`, `90 %`, `0.25`."""
    scale, _ = _FORMS[unit]
    number = f"{scale * limit:{'+g' if unit == 'points' else 'g'}}"
    if number in ("+1", "-1"):
        return f"{number} point"
    return f"{number} %" if unit == "%" else f"{number}{_name(unit)}"


def _decimals(*numbers: float | None) -> int:
    sizes = [abs(one) for one in numbers if one]
    least = min(sizes, default=1.0)
    return min(max(3, 1 - math.floor(math.log10(least))), MOST_DECIMALS)


def _name(unit: Unit) -> str:
    return f" {unit}" if unit in ("points", "nats") else ""
