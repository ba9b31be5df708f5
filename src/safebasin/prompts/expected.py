"""Whether an answer is exactly the expected one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from safebasin.errors import PromptError
from safebasin.exchange import Exchange
from safebasin.prompts.prompt import Prompt, PromptSet


def is_right(response: str, expected: str) -> bool:
    """Equal up to case, white space and a full stop at the end."""
    return _plain(response) == _plain(expected)


def right_answers(prompts: Sequence[Prompt], exchanges: Sequence[Exchange]) -> list[bool | None]:
    """For each prompt whether it was answered right; None where it has no answer yet, and where
    the answer was cut off in its thought."""
    answers = {
        exchange.prompt_id: exchange.answer for exchange in exchanges if exchange.unanswered is None
    }
    return [
        None if prompt.id not in answers else is_right(answers[prompt.id], prompt.expected or "")
        for prompt in prompts
    ]


def require_expected(prompts: PromptSet) -> PromptSet:
    """The set, whose every prompt has an expected answer; PromptError names one that has none."""
    for prompt in prompts:
        if not (prompt.expected or "").strip():
            raise PromptError(
                f"'{prompts.name}' gives no expected answer for the prompt '{prompt.id}'.",
                "Give a file with the columns id, prompt, kind and expected.",
            )
    return prompts


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().removesuffix(".").rstrip().casefold()
