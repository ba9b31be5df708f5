"""Rows: one prompt at one point, from its first token to the end of its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from safebasin.engines.fast.drafts import Drafter
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.stop_table import StopTable, Watched
from safebasin.exchange import Finish


@dataclass(frozen=True)
class Ending:
    """When an answer ends: at an end token, when its verdict is decided, or at the limit.

    `others` are the end tokens at points (indices) that have others.
    """

    end_tokens: frozenset[int]
    limit: int
    table: StopTable | None = None
    others: Mapping[int, frozenset[int]] = field(default_factory=dict)


@dataclass(eq=False)
class Row:
    """One prompt at one point.

    point, prompt  indices into what the engine was asked
    tokens         the ids of the prompt and of the answer so far
    start          the length of the prompt
    coefficient    along the pooled direction
    slot, cached   where the row's keys and values are, and of how many of its tokens
    broken         whether its logits stopped being numbers, which its slot then holds too
    """

    point: int
    prompt: int
    tokens: list[int]
    start: int
    coefficient: float = 0.0
    slot: int = -1
    cached: int = 0
    finish: Finish | None = None
    broken: bool = False
    draft: list[int] = field(default_factory=list)
    drafter: Drafter | None = None
    watched: Watched = field(default_factory=Watched)

    @property
    def answer(self) -> list[int]:
        return self.tokens[self.start :]

    @property
    def waiting(self) -> int:
        """How many of its tokens have still to go through the model."""
        return len(self.tokens) - self.cached

    def feed(self) -> Feed:
        tokens = self.tokens[self.cached :]
        if self.draft:
            tokens += self.draft
        return Feed(self.slot, self.cached, tokens, 1 + len(self.draft))

    def step(self, token: int, ending: Ending) -> None:
        """Take the prediction for the last token, where there was no draft."""
        self.cached = len(self.tokens)
        self.tokens.append(token)
        self.finish = self._finish(token, ending)
        if self.drafter is not None:
            self.drafter.verified(0, 0, self.finish is not None)

    def advance(self, predicted: Sequence[int], ending: Ending) -> int:
        """Take the predictions for the last token and each draft token, as far as they hold.

        Returns the number of draft tokens that held.
        """
        held = 0
        for i, token in enumerate(predicted):
            self.tokens.append(token)
            self.finish = self._finish(token, ending)
            if i == len(self.draft) or self.draft[i] != token:
                break
            held += 1
            if self.finish is not None:
                break
        self.cached = len(self.tokens) - 1
        if self.drafter is not None:
            self.drafter.verified(len(self.draft), held, self.finish is not None)
        return held

    def _finish(self, token: int, ending: Ending) -> Finish | None:
        if token in ending.others.get(self.point, ending.end_tokens):
            return "eos"
        if ending.table is not None and ending.table.decided(self.watched, self.tokens, self.start):
            return "verdict"
        return "length" if len(self.tokens) - self.start == ending.limit else None
