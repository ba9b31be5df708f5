"""What the undisplaced model finds likely: the scale on which broken text stands out.

No constant in nats serves two models: one finds its own answers likely to 0.02 nats a token,
another to 0.6. So the surprise of an answer is held against that of the undisplaced model's own
answers in the same run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median, quantiles
from typing import Any

from safebasin.exchange import Exchange
from safebasin.judges.repetition import loop_in, repeated_share

FEWEST = 8
"""Fewer undisplaced answers than this give no scale."""

PRIOR_TOKENS = 12
"""Tokens without any surprise that every answer is granted.

A short answer that the undisplaced model would not have chosen ("No.") is not broken by that.
"""

RESOLUTION = 0.02
"""Nats a token below which answers do not differ by more than the last digits they are kept to."""

LEAST_CUT = 0.1
"""The lowest cut, nats a token: what gives each of its tokens nine in ten on the average is no
noise, however sure of itself the undisplaced model is."""

HABIT = 0.05
"""The share of undisplaced answers from which on a way of repeating is the model's own habit."""


def surprises(exchange: Exchange) -> tuple[float, ...]:
    """Nats of each token of the answer but the first, whose surprise is the choice to answer so.

    Empty where they were not measured, or the mean alone was kept.
    """
    return tuple(max(0.0, -value) for value in (exchange.origin_logprobs or ())[1:])


def surprise(exchange: Exchange, until: float = 1.0) -> float | None:
    """Nats a token after the first, PRIOR_TOKENS tokens without surprise added; None unmeasured.

    sum(s[1:]) / (len(s[1:]) + PRIOR_TOKENS), where s are the negative log-probabilities of the
    answer's tokens under the undisplaced model; `until` takes the first tokens alone, as a share
    of all. Of a run that kept their mean alone every token has the mean.
    """
    if exchange.origin_logprobs is not None:
        values = surprises(exchange)
        values = values[: math.ceil(until * len(values))]
        return math.fsum(values) / (len(values) + PRIOR_TOKENS)
    mean = exchange.origin_logprob
    if mean is None or math.isnan(mean):
        return None
    number = max(1, exchange.new_tokens - 1)
    return max(0.0, -mean) * (number / (number + PRIOR_TOKENS))


@dataclass(frozen=True)
class OriginScale:
    """The undisplaced model's own answers, as far as broken text is concerned.

    answers    how many there are
    middle     the median of their surprise, nats a token
    upper      its 84 % quantile
    cut        the surprise above which an answer is broken; None with fewer than FEWEST answers
    loops_short, loops_long   the share of them that loop over a few words, or over whole clauses
               or repeat themselves otherwise, 0 to 1; from HABIT on it is no sign of broken text
    """

    answers: int
    middle: float | None
    upper: float | None
    cut: float | None
    loops_short: float
    loops_long: float

    @classmethod
    def of(
        cls,
        answers: Sequence[Exchange],
        factor: float,
        spread: float,
        max_loop: float,
        max_repeated: float,
    ) -> OriginScale:
        """The scale by these answers of the undisplaced model.

        cut = factor * (1 + 1 / sqrt(n)) * m * (u / m) ** spread, where m and u are `middle` and
        `upper` plus RESOLUTION: where answers are log-normal, `spread` standard deviations over
        the median, times a factor whose margin widens where there are few. `max_loop` and
        `max_repeated` are shares, as in Thresholds.
        """
        texts = [answer.response.strip() for answer in answers]
        short = long = 0
        for text in filter(None, texts):
            loop = loop_in(text)
            looping = loop is not None and loop.length > max_loop * len(text)
            if loop is not None and looping and loop.short:
                short += 1
            elif looping or repeated_share(text)[0] > max_repeated:
                long += 1
        count = max(1, len(answers))
        measured = [value for value in map(surprise, answers) if value is not None]
        found = [value for value in measured if math.isfinite(value)]
        middle = upper = cut = None
        if len(found) >= FEWEST:
            middle = median(found)
            upper = quantiles(found, n=25, method="inclusive")[20]
            margin = factor * (1 + 1 / math.sqrt(len(found)))
            wide = (upper + RESOLUTION) / (middle + RESOLUTION)
            cut = max(LEAST_CUT, margin * (middle + RESOLUTION) * wide**spread)
        return cls(len(answers), middle, upper, cut, short / count, long / count)

    def habit(self, *, short: bool) -> bool:
        """Whether the undisplaced model itself repeats a few words, or whole clauses."""
        return (self.loops_short if short else self.loops_long) > HABIT

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
