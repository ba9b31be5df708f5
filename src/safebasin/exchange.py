"""What was asked, what was answered, and what a judge made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Finish = Literal["eos", "length", "verdict"]
Outcome = Literal["refused", "complied", "incoherent"]
OUTCOMES: tuple[Outcome, ...] = ("refused", "complied", "incoherent")
Detail = Literal["partial", "runs on"]
"""What an outcome alone does not say: a refusal with help or help with a refusal; a refusal after
which the text breaks or loops."""
DETAILS: tuple[Detail, ...] = ("partial", "runs on")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One prompt and the model's answer to it at one point of weight space.

    `finish` says why the answer ended: the model's own end token, the token limit, or because
    the verdict could no longer change. `origin_logprob` is the mean log-probability per answer
    token (nats, <= 0) under the *undisplaced* model, and `origin_logprobs` that of each token, to
    a hundredth, in order, the end token included; None where they were not measured. They tell
    broken text from fluent text.
    """

    prompt_id: str
    prompt: str
    response: str
    finish: Finish
    prompt_tokens: int
    new_tokens: int
    origin_logprob: float | None = None
    origin_logprobs: tuple[float, ...] | None = None

    def scored(self, logprobs: Sequence[float] | None) -> Exchange:
        """With the log-probabilities of its tokens; without any where one is not a number."""
        if not logprobs or not all(map(math.isfinite, logprobs)):
            return self
        return replace(
            self,
            origin_logprob=round(math.fsum(logprobs) / len(logprobs), 4),
            # Adding zero turns a rounded "-0.0" into 0.0.
            origin_logprobs=tuple(round(value, 2) + 0.0 for value in logprobs),
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's reading of one exchange; `outcome` is None where it could not be judged.

    `score` is the judge's own scale where it has one, `reason` says in a few words what decided.
    `detail` is kept and shown beside the outcome. `start` is the character of the response at
    which its refusal begins, where the judge finds one.
    """

    outcome: Outcome | None
    reason: str
    score: float | None = None
    detail: Detail | None = None
    start: int | None = None
