"""How likely answers are, by a running vLLM."""

from __future__ import annotations

from collections.abc import Sequence

from safebasin.engines.vllm.session import Session


def token_logprobs(
    session: Session, encoded: Sequence[list[int]], answers: Sequence[list[int]]
) -> list[Sequence[float] | None]:
    """The log-probability (nats) of each token of each answer; None where there is none to take."""
    scores: list[Sequence[float] | None] = [None] * len(answers)
    rows = {
        i: prompt + answer
        for i, (prompt, answer) in enumerate(zip(encoded, answers, strict=True))
        if answer and len(prompt) + len(answer) < session.length
    }
    for i, values in zip(rows, session.score(list(rows.values())), strict=True):
        scores[i] = values[len(encoded[i]) - 1 :]
    return scores
