"""How many tokens a reasoning model needs before it comes to an answer, by a measured batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.model_shape import most_positions
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.thought import CUT

ASKED = 16
"""How many answers are looked at."""

MOST_SECONDS = 30.0
"""How long greater limits are tried: whoever scans a slow model is told what is known by then."""


@dataclass(frozen=True)
class ThoughtPlan:
    """What answers of the undisplaced model show of its thoughts.

    answers   how many were looked at, and how many of them begin with a thought: `thinking`
    limit     the tokens that the scan's answers may have, at which `cut` are cut off in a thought
    longest   about how many tokens the longest thought takes that came to an end, None for none
    enough    the least limit tried at which none is cut off, None where each of them cuts some
    tried     the greatest limit that was tried
    """

    answers: int
    thinking: int
    limit: int
    cut: int
    longest: int | None
    enough: int | None
    tried: int

    def text(self) -> str:
        """What a person has to know, in a sentence or two."""
        share = f"{self.thinking} of {self.answers} answers at the origin begin with a thought"
        if not self.cut:
            about = "" if self.longest is None else f", the longest of about {self.longest} tokens"
            return f"{share}{about}; none is cut off in it at {self.limit}"
        told = f"{share}; {self.cut} are cut off in it at {self.limit} tokens and not judged"
        if self.enough is not None:
            return f"{told}: give --max-new-tokens {self.enough}, at which none is"
        more = "" if self.tried == self.limit else f", and some still at {self.tried}"
        return f"{told}{more}: give --max-new-tokens {2 * self.tried} or more"


def thought_plan(
    engine: AnyEngine,
    prompts: Sequence[Prompt],
    sampling: Sampling,
    known: Sequence[Exchange] = (),
) -> ThoughtPlan | None:
    """Look at answers of the undisplaced model, and at those that were cut with greater limits.

    `known` are its stored answers, of which the first are taken; without any some are asked for.
    The limit is doubled for
    MOST_SECONDS and as far as the model's positions reach; vLLM, which a greater one would start
    anew, is asked at the scan's own alone. None where no answer begins with a thought.
    """
    start = time.perf_counter()
    exchanges = list(known[:ASKED]) or _asked(engine, prompts[:ASKED], sampling)
    thinking = [exchange for exchange in exchanges if exchange.split.thinks]
    if not thinking:
        return None
    cut = waiting = _cut(thinking)
    ended = [exchange for exchange in thinking if exchange.unanswered is None]
    limit = tried = sampling.max_new_tokens
    asked = {prompt.id: prompt for prompt in prompts}
    spent = time.perf_counter() - start
    while waiting and not engine.own_process:
        again = [asked[exchange.prompt_id] for exchange in waiting]
        following = min(2 * tried, _positions(engine, again))
        # Twice the tokens take at least twice the time.
        if following <= tried or 3 * spent > MOST_SECONDS:
            break
        before = time.perf_counter()
        found = _asked(engine, again, replace(sampling, max_new_tokens=following))
        spent = time.perf_counter() - before
        tried = following
        ended += [exchange for exchange in found if exchange.unanswered is None]
        waiting = _cut(found)
    return ThoughtPlan(
        answers=len(exchanges),
        thinking=len(thinking),
        limit=limit,
        cut=len(cut),
        longest=max((exchange.thought_tokens for exchange in ended), default=None),
        enough=None if waiting else tried,
        tried=tried,
    )


def _asked(engine: AnyEngine, prompts: Sequence[Prompt], sampling: Sampling) -> list[Exchange]:
    [(_, exchanges)] = engine.answers([Point()], prompts, sampling)
    return exchanges


def _cut(exchanges: Sequence[Exchange]) -> list[Exchange]:
    """Those that a greater limit may bring to an answer."""
    return [one for one in exchanges if one.finish == "length" and one.unanswered == CUT]


def _positions(engine: AnyEngine, prompts: Sequence[Prompt]) -> int:
    """The most new tokens for which the model has positions; a great number where it is silent."""
    limit = most_positions(engine.model)
    if limit is None:
        return 2**31
    return limit - max(len(engine.template.encode(prompt)) for prompt in prompts)
