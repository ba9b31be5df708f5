"""Whether a tuned model may pass: measured numbers against the limits that were asked for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from safebasin.landscape.intervals import Estimate
from safebasin.report.quantities import Unit, bound, quantity

State = Literal["pass", "fail", "unsure"]
Side = Literal["at most", "at least"]
Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Check:
    """One requirement and its outcome.

    value      the estimate, None where nothing was measured; shares and their differences are in
               [0, 1] and [-1, 1]
    state      "pass" where the limit is kept for certain, "fail" where it is broken for certain,
               "unsure" where what was measured cannot tell
    note       why it did not pass, in one sentence; empty where it did
    low, high  the interval that it was decided by, at `level`; None where that end is not known,
               and both None where the estimate alone decided
    """

    name: str
    value: float | None
    limit: float
    side: Side
    state: State
    note: str = ""
    low: float | None = None
    high: float | None = None
    level: float = 0.95
    unit: Unit = ""

    @property
    def passed(self) -> bool:
        return self.state == "pass"

    def measured(self) -> str:
        """The number and its interval, for people: `+1.2 (-2.0 to +6.1) points`."""
        return quantity(self.value, self.low, self.high, self.unit)

    def text(self) -> str:
        """The number beside its limit, for people."""
        return f"{self.name} {self.measured()}, {self.side} {bound(self.limit, self.unit)}"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "passed": self.passed}


def check(
    name: str,
    estimate: Estimate,
    limit: float,
    side: Side,
    *,
    unit: Unit = "",
    points: bool = False,
    more: str = "",
) -> Check:
    """Hold the interval of an estimate against a limit, or with `points` the estimate alone.

    The whole interval has to be on the right side to pass, and on the wrong one to fail. An
    estimate that is a lower bound (`at_least`) has no upper end. `more` says what would tell
    where the limit lies within the interval.
    """
    value, low, high = estimate.value, estimate.low, estimate.high
    if value is None:
        why = f": {estimate.note}" if estimate.note else ""
        return _unknown(name, None, limit, side, f"The {name} was not measured{why}.", unit)
    if points:
        low, high = value, None if estimate.at_least else value
    elif low is None and high is None:
        why = f": {estimate.note}" if estimate.note else ""
        return _unknown(
            name, value, limit, side, f"The {name} has no interval to decide by{why}.", unit
        )
    state = decided(low, high, limit, side)
    bounds = (None, None) if points else (low, high)
    found = Check(name, value, limit, side, state, "", *bounds, estimate.level, unit)
    return with_note(found, more)


def with_note(found: Check, more: str = "") -> Check:
    """The same check with the sentence that says why it did not pass."""
    if found.passed:
        return found
    most = bound(found.limit, found.unit)
    if found.state == "fail":
        beyond = "above" if found.side == "at most" else "below"
        note = f"The {found.name} is {found.measured()}, {beyond} the limit of {most}"
    else:
        note = f"The {found.name} is {found.measured()}, and the limit of {most} lies within that"
    return replace(found, note=f"{note}{f': {more}' if more else ''}.")


def decided(low: float | None, high: float | None, limit: float, side: Side) -> State:
    """Where an interval lies beside a limit; an end that is None is not bounded."""
    low, high = (-math.inf if low is None else low), (math.inf if high is None else high)
    if side == "at most":
        return "pass" if high <= limit else "fail" if low > limit else "unsure"
    return "pass" if low >= limit else "fail" if high < limit else "unsure"


def _unknown(
    name: str, value: float | None, limit: float, side: Side, note: str, unit: Unit
) -> Check:
    return Check(name, value, limit, side, "unsure", note, unit=unit)


def verdict_of(checks: tuple[Check, ...], doubts: tuple[str, ...] = ()) -> Verdict:
    """FAIL where a check certainly fails; else INCONCLUSIVE where anything is in doubt."""
    if any(one.state == "fail" for one in checks):
        return "FAIL"
    if doubts or any(one.state == "unsure" for one in checks):
        return "INCONCLUSIVE"
    return "PASS"


def reasons_of(checks: tuple[Check, ...], doubts: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Why the verdict is not PASS, a sentence each: the broken limits, or else every doubt."""
    if failed := [one.note for one in checks if one.state == "fail"]:
        return tuple(failed)
    return tuple(dict.fromkeys((*doubts, *(one.note for one in checks if one.state == "unsure"))))
