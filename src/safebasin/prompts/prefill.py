"""Prefilled answers: what each answer is made to begin with, before the model goes on."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from safebasin.errors import PromptError, UsageError
from safebasin.prompts.identity import CHANGED, content_digest
from safebasin.prompts.prompt import OPENER, Prompt, PromptSet
from safebasin.terminal import printable, shorten

_OWN = re.compile(rf"{OPENER}(?::(?P<words>\d+))?")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Prefill:
    """A text that every answer begins with, or the opener of each prompt's own row.

    Of the openers the first `words` are taken, all of them where it is None; one that has fewer is
    taken whole.
    """

    text: str | None = None
    words: int | None = None

    @classmethod
    def parse(cls, given: str) -> Prefill:
        """`target`, `target:N` for its first N words, or a text. Raises UsageError for others."""
        found = _OWN.fullmatch(given)
        if found is None and given.strip():
            return cls(text=given)
        words = None if found is None else found["words"]
        if found is None or (words is not None and int(words[:9]) < 1):
            raise UsageError(
                f"'{shorten(printable(given))}' is nothing that an answer could begin with.",
                f"Give --prefill {OPENER}:5, --prefill {OPENER}, or a text; leave it out for none.",
            )
        return cls(words=None if words is None else int(words[:9]))

    def of(self, prompt: Prompt) -> str:
        """What the answer to a prompt begins with; PromptError where its row has no opener."""
        if self.text is not None:
            return self.text
        if not prompt.opener:
            raise PromptError(
                f"The prompt '{shorten(prompt.id)}' has no column '{OPENER}' that says how an "
                "answer to it would begin.",
                "Give AdvBench, a file with the columns prompt and target, or a text to --prefill.",
            )
        ends = [word.end() for word in _WORD.finditer(prompt.opener)]
        return prompt.opener[: ends[min(self.words or len(ends), len(ends)) - 1]]


def parse_prefill(text: str) -> str:
    """What --prefill says, once it is known to be right. Raises UsageError where it is not."""
    Prefill.parse(text)
    return text


def prefilled(prompts: PromptSet, given: str | None) -> PromptSet:
    """The prompts under their own ids, each with what its answer begins with.

    Raises UsageError where `given` says nothing, PromptError for a prompt without an opener.
    """
    if given is None:
        return prompts
    prefill = Prefill.parse(given)
    found = tuple(replace(prompt, prefill=prefill.of(prompt)) for prompt in prompts)
    # What is asked is no longer what the set asks.
    name = f"{prompts.name}{CHANGED}prefill {shorten(printable(given), 40)}"
    content = content_digest(found)
    return replace(prompts, prompts=found, name=name, content=content, prefill=given)
