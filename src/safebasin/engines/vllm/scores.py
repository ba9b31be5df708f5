"""How likely answers are, by a running vLLM."""

from __future__ import annotations

import math
from collections.abc import Sequence

from safebasin.engines.vllm.session import Session


def mean_logprobs(
    session: Session, encoded: Sequence[list[int]], answers: Sequence[list[int]]
) -> list[float | None]:
    """The mean log-probability (nats a token) of each answer; None where there is none to take."""
    scores: list[float | None] = [None] * len(answers)
    rows = {
        i: prompt + answer
        for i, (prompt, answer) in enumerate(zip(encoded, answers, strict=True))
        if answer and len(prompt) + len(answer) < session.length
    }
    for i, values in zip(rows, session.score(list(rows.values())), strict=True):
        mean = math.fsum(values[len(encoded[i]) - 1 :]) / len(answers[i])
        scores[i] = round(mean, 4) if math.isfinite(mean) else None
    return scores
