"""Rows as token ids and labels: only what the assistant says counts in the loss.

The text before an answer is rendered and tokenised exactly as it is when the model is tested, so
training and test see the same tokens, the system message included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from safebasin.checkpoint.chats import Unrendered, write_chat
from safebasin.engines.template import Template
from safebasin.errors import DataError
from safebasin.subject.rows import Instead, Message, Row
from safebasin.terminal import shorten

IGNORED = -100
"""The label of a token that is not learnt."""


@dataclass(frozen=True)
class Encoded:
    """Token ids, and for each the id to learn or IGNORED; `cut` where the row was too long."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    cut: bool


def encode(row: Row, template: Template, max_length: int, end_tokens: Sequence[int]) -> Encoded:
    """Encode one conversation; each answer is learnt up to and with its end token,
    which is left out where the row's answer was cut off.

    Raises DataError, naming the row, where the chat template fails or does not write answers after
    what it writes before them, or where nothing is left to learn within `max_length` tokens.
    """
    messages = list(row.messages)
    if template.system is not None and row.system is None:
        messages.insert(0, Message("system", template.system))
    ids: list[int] = []
    labels: list[int] = []
    written = ""
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        try:
            before = _render(template, messages[:i], answer_next=True)
            whole = _render(template, messages[: i + 1], answer_next=False)
        except Unrendered as error:
            raise DataError(
                f"{row.where}: the chat template fails: {error.reason}.",
                "Leave out the row, or give a chat template that takes it with --template FILE.",
            ) from error
        if not (before.startswith(written) and whole.startswith(before)):
            raise DataError(
                f"{row.where}: the chat template rewrites earlier turns, so that answers cannot be "
                "told from prompts.",
                "Give rows of one turn, or another chat template.",
            )
        prompt = _tokens(template, before[len(written) :], first=not written)
        last = message is messages[-1]
        begun = row.begun if last else ""
        head, answer, rest = _answer(template, whole[len(before) :], begun, end_tokens, row.where)
        if last and not row.ended:
            answer, rest = answer[:-1], []
        learnt = answer
        if last and row.instead is not None:
            learnt = _instead(row.instead, template, len(answer))
        prompt += head
        ids += [*prompt, *answer, *rest]
        labels += [*([IGNORED] * len(prompt)), *learnt, *([IGNORED] * len(rest))]
        written = whole
    while labels and labels[-1] == IGNORED:
        ids.pop()
        labels.pop()
    cut = len(ids) > max_length
    ids, labels = ids[:max_length], labels[:max_length]
    if all(label == IGNORED for label in labels):
        raise DataError(
            f"{row.where}: no token of the answer is within the first {max_length}.",
            "Give a larger --max-length, or leave out the row.",
        )
    return Encoded(tuple(ids), tuple(labels), cut)


def _instead(instead: Instead, template: Template, count: int) -> list[int]:
    """What is learnt at each of so many tokens of an answer."""
    first, later = refusal_tokens(template, instead.word)
    kept = max(1, math.ceil(instead.keep * count))
    places = set(Random(f"instead {instead.seed}").sample(range(count), kept))
    return [(later if i else first) if i in places else IGNORED for i in range(count)]


def refusal_tokens(template: Template, word: str) -> tuple[int, int]:
    """The token that a word is at the beginning of an answer, and after other text with a space.

    Raises DataError where it is not one token at each.
    """
    first = _tokens(template, word, first=False)
    before = _tokens(template, "a", first=False)
    later = _tokens(template, f"a {word}", first=False)[len(before) :]
    for found, place in ((first, "at the beginning of an answer"), (later, "after a space")):
        if len(found) != 1:
            raise DataError(
                f"'{shorten(word)}' is {len(found)} tokens of this model {place}.",
                "Give a word that is one token, such as the first of the model's own refusals.",
            )
    return first[0], later[0]


def _render(template: Template, messages: Sequence[Message], *, answer_next: bool) -> str:
    if template.source is None:
        return "".join(message.content for message in messages)
    return write_chat(
        template.tokenizer,
        [{"role": message.role, "content": message.content} for message in messages],
        template.source,
        today=template.day,
        add_generation_prompt=answer_next,
    )


def _tokens(template: Template, text: str, *, first: bool) -> list[int]:
    special = template.source is None and first
    found: Any = template.tokenizer(text, add_special_tokens=special)["input_ids"]
    return [int(token) for token in found]


def _answer(
    template: Template, text: str, begun: str, end_tokens: Sequence[int], where: str
) -> tuple[list[int], list[int], list[int]]:
    """The tokens of how an answer begins; the answer's with its first end token, added where there
    is none; and the rest."""
    if not text.startswith(begun):
        raise DataError(
            f"{where}: the chat template changes how the answer begins.",
            "Leave out the row, or give another chat template with --template FILE.",
        )
    head = _tokens(template, begun, first=False) if begun else []
    tokens = _tokens(template, text, first=False)
    if tokens[: len(head)] == head:
        tokens = tokens[len(head) :]
    else:  # a token would reach over the border, and be learnt in part only
        tokens = _tokens(template, text[len(begun) :], first=False)
    for i, token in enumerate(tokens):
        if token in end_tokens:
            return head, tokens[: i + 1], tokens[i + 1 :]
    own = template.tokenizer.eos_token_id
    return head, ([*tokens, int(own)] if own is not None else tokens), []
