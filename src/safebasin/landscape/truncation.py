"""How many answers were cut at the token limit, and whether that could change a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safebasin.exchange import Exchange, Verdict

MOST = 0.5
"""Above this share of the origin's answers that were cut without a refusal there is a warning."""
SOME = 0.1
"""Above this share it is worth asking a few of them again with a longer limit."""
LATE = 0.8
"""A refusal that is found beyond this share of the limit is a late one."""
FEW = 0.05
"""Up to this share of the origin's answers, late refusals say nothing."""
ROOM = 1.4
"""An advised limit is so many times the tokens in which refusals are found. With 1 / LATE none of
them is late; the rest is for the estimates of tokens by characters."""
STEP = 8
"""A limit that is advised is a multiple of this."""


def tokens_before(exchange: Exchange, verdict: Verdict) -> int | None:
    """About how many tokens of an answer come before its refusal; None where there is none.

    By the share of its characters, rounded up, for tokens are not stored one by one.
    """
    if verdict.start is None or not exchange.response:
        return None
    return math.ceil(exchange.new_tokens * verdict.start / len(exchange.response))


def rounded_up(tokens: float) -> int:
    """The next limit that one would name."""
    return STEP * math.ceil(tokens / STEP)


@dataclass(frozen=True)
class Cut:
    """How many of some answers ended at the token limit."""

    cut: int
    answers: int

    def __add__(self, other: Cut) -> Cut:
        return Cut(self.cut + other.cut, self.answers + other.answers)

    @property
    def share(self) -> float | None:
        """In [0, 1]; None where there is no answer."""
        return self.cut / self.answers if self.answers else None

    def text(self) -> str:
        if self.share is None:
            return "0 of 0 answers"
        return f"{self.cut} of {self.answers} answers ({100 * self.share:.1f} %)"

    def to_json(self) -> dict[str, Any]:
        return {"answers": self.answers, "cut": self.cut, "share": self.share}


@dataclass(frozen=True)
class Reading:
    """What the limit does to one judge's verdicts on the undisplaced model.

    answers   those that it read
    cut       of these, how many were cut before any refusal
    refused   how many it found to be refusals
    late      of these, how many it found only beyond LATE of the limit
    start     the token before which 95 % of the refusals begin; None where no start is known
    further   how many of `cut` were answered further and read again
    turned    of these, how many it then found to be refusals
    needed    within how many tokens the late and the turned refusals are found; None without any
    """

    judge: str
    answers: int
    cut: int
    refused: int
    late: int
    start: int | None
    further: int = 0
    turned: int = 0
    needed: int | None = None

    @property
    def too_many(self) -> bool:
        """Whether most answers were cut before a refusal, or some of them would have refused."""
        return self.cut > MOST * self.answers or self.turned > 0

    @property
    def too_late(self) -> bool:
        """Whether more refusals than a few are found only just before the limit."""
        return self.late > FEW * self.answers

    def to_json(self) -> dict[str, Any]:
        return {
            "answers": self.answers,
            "cut_before_refusal": self.cut,
            "refused": self.refused,
            "found_late": self.late,
            "refusals_start": self.start,
            "answered_further": self.further,
            "refused_further": self.turned,
            "found_within": self.needed,
        }


@dataclass(frozen=True)
class Further:
    """A few of the undisplaced model's cut answers, given again with a longer limit.

    `longest` is the number of tokens of the longest one.
    """

    limit: int
    answers: int
    cut: int
    longest: int

    def to_json(self) -> dict[str, Any]:
        return {
            "limit": self.limit,
            "answers": self.answers,
            "cut": self.cut,
            "longest": self.longest,
        }


@dataclass(frozen=True)
class Truncation:
    """What the token limit did to the answers of a run.

    limit     how many tokens an answer could have; None where the run does not say
    origin    the undisplaced model's answers; None where it was not asked
    points    the answers at all points, each once
    readings  by each judge, the headline judge first
    further   None where no answer was given again
    usual     the limit that a scan has where none is asked for
    """

    limit: int | None
    origin: Cut | None
    points: Cut
    readings: tuple[Reading, ...] = ()
    further: Further | None = None
    usual: int = 128

    @property
    def text(self) -> str:
        """One clause: how many answers ended at which limit."""
        return f"{self.counts} ended at the limit{_of(self.limit)}"

    @property
    def counts(self) -> str:
        """How many answers were cut, at the origin and at all points."""
        return _counts(self.origin, self.points)

    @property
    def doubted(self) -> Reading | None:
        """The reading of the first judge whose verdicts the limit could change, or None."""
        for reading in self.readings:
            if self.limit is not None and (reading.too_many or reading.too_late):
                return reading
        return None

    @property
    def advised(self) -> int | None:
        """A limit, in tokens, that would do as far as is known; None where this one does."""
        reading, limit, further = self.doubted, self.limit, self.further
        if reading is None or limit is None:
            return None
        if not reading.too_many or reading.turned:
            enough = ROOM * (reading.needed or 0)
        elif further is None or not reading.further:
            enough = max(2 * limit, self.usual)
        else:
            enough = further.limit if further.cut else further.longest
        return max(rounded_up(limit + 1), rounded_up(enough))

    @property
    def warning(self) -> str:
        """One sentence: what the limit may change, and which one would do; empty where none."""
        reading = self.doubted
        if reading is None:
            return ""
        if not reading.too_many:
            return (
                f"{reading.judge} finds {reading.late} of {reading.refused} refusals of the "
                f"undisplaced model only just before the limit of {self.limit} tokens, and so "
                f"misses longer ones: --max-new-tokens {self.advised} would do."
            )
        return (
            f"{reading.cut} of {reading.answers} answers of the undisplaced model were cut at "
            f"{self.limit} tokens before any refusal that {reading.judge} finds, so its verdicts "
            f"on them may be wrong{self._known(reading)}"
        )

    def _known(self, reading: Reading) -> str:
        """What is known of a longer limit, as the end of the warning."""
        option, further = f"--max-new-tokens {self.advised}", self.further
        if further is None or not reading.further:
            return f": {option} or more would tell."
        asked = f"; of {reading.further} answered further, "
        if reading.turned:
            found = f"{asked}{reading.turned} refused within about {reading.needed} tokens"
            return f"{found}: {option} would do."
        if not further.cut:
            return f"{asked}none refused and all ended: {option} would keep them whole."
        return f"{asked}none refused within {further.limit} tokens: {option} or more would tell."

    def to_json(self) -> dict[str, Any]:
        return {
            "limit": self.limit,
            "origin": None if self.origin is None else self.origin.to_json(),
            "points": self.points.to_json(),
            "judges": {reading.judge: reading.to_json() for reading in self.readings},
            "further": None if self.further is None else self.further.to_json(),
            "advised_limit": self.advised,
            "warning": self.warning or None,
        }


def stored_text(value: Mapping[str, Any]) -> str:
    """The text of what `Truncation.to_json` made."""
    origin, points = (
        None if value[name] is None else Cut(value[name]["cut"], value[name]["answers"])
        for name in ("origin", "points")
    )
    return f"{_counts(origin, points or Cut(0, 0))} ended at the limit{_of(value['limit'])}"


def _counts(origin: Cut | None, points: Cut) -> str:
    everywhere = f"{points.text()} at all points"
    return everywhere if origin is None else f"{origin.text()} at the origin and {everywhere}"


def _of(limit: int | None) -> str:
    return "" if limit is None else f" of {limit} tokens"
