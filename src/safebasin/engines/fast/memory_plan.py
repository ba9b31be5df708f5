"""How much memory a way of working takes, computed before it is tried."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Mode = Literal["auto", "in-place", "pool", "plain"]

SHARE_OF_FREE = 0.7
"""The share of free memory that is planned for; the rest is for what is not counted."""


@dataclass(frozen=True)
class MemoryPlan:
    """The way of working that was chosen, what it takes (bytes) and why.

    mode        `pool`: rows of many points in one batch; `in-place`: one point after another;
                `plain`: by the plain engine
    rows        how many rows are answered at a time
    length      how many tokens a row has at most, prompt and answer
    pristine    the copy of the undisplaced weights, where points are materialised
    direction   the pooled direction, and those that will be held once they were drawn
    cache       keys and values of all rows
    logits      the output of one pass
    scores      keys, values and logits while answers are scored, where they are
    ready       displaced weights of `kept` points, kept for the rows of a pool
    free        what is free on the device before any of it
    reasons     why a faster way was not chosen, or anything else worth knowing
    """

    mode: Mode
    rows: int
    length: int
    pristine: int
    direction: int
    cache: int
    logits: int
    free: int
    reasons: tuple[str, ...] = ()
    ready: int = 0
    kept: int = 0
    scores: int = 0

    @property
    def total(self) -> int:
        held = self.pristine + self.direction + self.ready
        return held + self.cache + self.scores + self.logits

    @property
    def fits(self) -> bool:
        return self.total <= SHARE_OF_FREE * self.free

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons), "total": self.total}

    def text(self) -> str:
        """One line for people, and one for each reason."""
        ways = {
            "pool": f"{self.rows} rows of many points in one batch",
            "in-place": f"one point after another, {self.rows} rows in a batch",
            "plain": "one point after another with the plain engine",
        }
        parts = {
            "weights": self.pristine,
            "direction": self.direction,
            "points": self.ready,
            "cache": self.cache + self.scores,
            "logits": self.logits,
        }
        sizes = ", ".join(f"{name} {_size(value)}" for name, value in parts.items() if value)
        line = ways.get(self.mode, self.mode)
        if self.mode != "plain":
            line += f"; {_size(self.total)} of {_size(self.free)} free ({sizes})"
        return "\n".join([line, *(f"  {reason}" for reason in self.reasons)])


def fitting_rows(budget: float, row: int, wanted: int) -> int:
    """How many rows of `row` bytes fit into a budget of bytes: at most `wanted`, maybe none."""
    return max(0, min(wanted, int(budget // max(1, row))))


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
