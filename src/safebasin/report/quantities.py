"""How a number, its interval and its limit are said: shares in per cent, differences in points."""

from __future__ import annotations

from typing import Literal, get_args

Unit = Literal["points", "%", "", "nats"]
"""A difference of shares, a share, a length along the path, nats a token."""
UNITS: tuple[Unit, ...] = get_args(Unit)

_FORMS = {"points": (100, "+.1f"), "%": (100, ".1f"), "": (1, ".2f"), "nats": (1, ".3f")}


def quantity(value: float | None, low: float | None, high: float | None, unit: Unit) -> str:
    """A number with its interval: `+1.2 (-2.0 to +6.1) points`, `4.0 % (1.2 to 9.1)`.

    An end that is None is open; both None where there is no interval.
    """
    if value is None:
        return "not measured"
    text = f"{_number(value, unit)}{' %' if unit == '%' else ''}"
    if low is not None and high is not None:
        text += f" ({_number(low, unit)} to {_number(high, unit)})"
    elif low is not None:
        text += f" ({_number(low, unit)} or more)"
    elif high is not None:
        text += f" ({_number(high, unit)} or less)"
    return f"{text}{_name(unit)}"


def bound(limit: float, unit: Unit) -> str:
    """A limit: `+5 points`, `90 %`, `0.25`."""
    scale, _ = _FORMS[unit]
    number = f"{scale * limit:{'+g' if unit == 'points' else 'g'}}"
    return f"{number} %" if unit == "%" else f"{number}{_name(unit)}"


def _number(value: float, unit: Unit) -> str:
    scale, spec = _FORMS[unit]
    return f"{scale * value:{spec}}"


def _name(unit: Unit) -> str:
    return f" {unit}" if unit in ("points", "nats") else ""
