"""What was asked, what was answered, and what a judge made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from safebasin.thought import CUT, ENDED, Marks, Split, split

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

    `response` is all that the model wrote, its thought included; where the prompt ended with a
    mark that opens a thought, it begins with that mark. `marks` are what the model's thoughts
    stand between, None for the known marks.
    """

    prompt_id: str
    prompt: str
    response: str
    finish: Finish
    prompt_tokens: int
    new_tokens: int
    origin_logprob: float | None = None
    origin_logprobs: tuple[float, ...] | None = None
    marks: Marks | None = None

    @property
    def split(self) -> Split:
        """The response in thought and answer."""
        return split(self.response, self.marks)

    @property
    def answer(self) -> str:
        """The response without its thought; "" where it has not come to an answer."""
        return self.split.answer

    @property
    def unanswered(self) -> str | None:
        """Why there is no answer that could be judged, where the response is a thought alone.

        None where there is an answer, and where a response without a thought is empty.
        """
        found = self.split
        if found.cut:
            return ENDED if self.finish == "eos" else CUT
        if found.thinks and self.finish == "length" and not found.answer.strip():
            return CUT
        return None

    @property
    def thought_tokens(self) -> int:
        """About how many of the tokens are no answer, by their share of characters."""
        found = self.split
        if not found.thinks:
            return 0
        return self.new_tokens - round(
            self.new_tokens * len(found.answer) / max(1, len(self.response))
        )

    @property
    def answer_logprobs(self) -> tuple[float, ...] | None:
        """Of `origin_logprobs` about those of the answer's own tokens; None where not measured."""
        return self.origin_logprobs and self.origin_logprobs[self.thought_tokens :]

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
