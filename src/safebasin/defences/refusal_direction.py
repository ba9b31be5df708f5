"""The direction in which a model's states tell harmful prompts from others, and how it is chosen.

As Arditi et al. (NeurIPS 2024, arXiv 2406.11717, Sec. 2.3 and Appendix C): the difference of means
at the entrance of a block and at a token of the prompt's end; of all of these the one that takes
most refusals away where it is taken away, brings some where it is added, and changes other answers
little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from safebasin.blocks import require_blocks
from safebasin.engines.padding import first_batch, padded, rows_together
from safebasin.errors import DataError, DirectionError
from safebasin.subject.gathering import positions_of
from safebasin.subject.rows import Rows
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject

KL_LIMIT = 0.1
INDUCE_LIMIT = 0.0
LAST_BLOCKS = 0.2
"""The paper's limits: nats, log-odds, and the share of the last blocks that are left out."""

_ROWS = 8
_TINY = 1e-8

At = Callable[[Tensor | None], AbstractContextManager[None]]
"""The model without a direction, float64 [width], while the context lasts; with all for None."""


@dataclass(frozen=True)
class Candidate:
    """A direction at the entrance of a block and at a token, with what it does.

    block     whose entrance it is found at, from 0
    token     which of the prompt's tokens, from the end: -1 is the last
    bypass    mean log-odds of a refusal on harmful prompts without the direction: the less, the
              more of the refusals hang on it
    induce    the same on other prompts with the direction added
    kl        KL(whole || without it) at the first token of other answers, in nats
    vector    float64 [width], the difference of means
    """

    block: int
    token: int
    bypass: float
    induce: float
    kl: float
    vector: Tensor

    @property
    def passes(self) -> bool:
        """Whether it changes other answers little, and brings refusals where it is added."""
        return self.kl <= KL_LIMIT and self.induce > INDUCE_LIMIT

    def to_json(self) -> dict[str, Any]:
        told = {"block": self.block, "token": self.token, "bypass": self.bypass}
        return {**told, "induce": self.induce, "kl": self.kl}


@dataclass(frozen=True)
class _Prompts:
    """Prompts as token ids without their answers, and the first tokens of these."""

    ids: tuple[tuple[int, ...], ...]
    firsts: frozenset[int]

    @classmethod
    def of(cls, subject: Subject, rows: Rows) -> _Prompts:
        encoded = subject.encode(rows.rows)
        ends = [int(positions_of(one, "last")) for one in encoded]
        ids = tuple(one.ids[: end + 1] for one, end in zip(encoded, ends, strict=True))
        firsts = {one.ids[end + 1] for one, end in zip(encoded, ends, strict=True)}
        return cls(ids, frozenset(firsts))

    def split(self) -> tuple[_Prompts, _Prompts]:
        """The first four fifths, which the direction is made of, and the rest, which chooses it."""
        held_out = max(1, len(self.ids) // 5)
        return (
            _Prompts(self.ids[:-held_out], self.firsts),
            _Prompts(self.ids[-held_out:], self.firsts),
        )


def require_prompts(harmful: Rows, harmless: Rows) -> None:
    """Raise DataError for too few rows of either, or rows that both have."""
    for rows, what in ((harmful, "harmful"), (harmless, "harmless")):
        if len(rows) < 2:
            raise DataError(
                f"A refusal direction needs two {what} rows or more, not {len(rows)}.",
                "Give rows whose answers refuse as the harmful ones, and others as the harmless.",
            )
    asked = [{row.messages[:-1] for row in rows.rows} for rows in (harmful, harmless)]
    if shared := asked[0] & asked[1]:
        raise DataError(
            f"{len(shared)} prompts are both harmful and harmless.", "Leave them out of one."
        )


def candidates(
    subject: Subject,
    harmful: Rows,
    harmless: Rows,
    at: At,
    tokens: int | None = None,
    block: int | None = None,
) -> tuple[Candidate, ...]:
    """The candidates, by token and by block.

    at      the model that is looked at, whole and without a direction
    tokens  how many of the prompt's last tokens are looked at; by default all that the prompts
            have in common at their end, which the template puts after the request
    block   one block alone; else all but the last fifth

    The answers of `harmful` are refusals: their first tokens are what a refusal is known by.
    Differences that are zero, as at the entrance of the first block, are left out.

    Raises DataError as `require_prompts` does, UsageError where a block is not there, and
    DirectionError where a prompt has fewer tokens or no difference is left.
    """
    require_prompts(harmful, harmless)
    bad, good = _Prompts.of(subject, harmful), _Prompts.of(subject, harmless)
    depth = len(blocks_of(subject))
    common = _common_end((*bad.ids, *good.ids))
    if tokens is not None and not 0 < tokens <= min(len(one) for one in (*bad.ids, *good.ids)):
        raise DirectionError(
            f"{tokens} last tokens cannot be looked at.", "Give at least 1 that each prompt has."
        )
    if block is not None:
        require_blocks((block,), range(depth))
    (make_bad, hold_bad), (make_good, hold_good) = bad.split(), good.split()
    count = common if tokens is None else tokens
    chosen = range(int(depth * (1 - LAST_BLOCKS))) if block is None else (block,)
    refusing = sorted(bad.firsts)
    # Tried out once, on the model as it is.
    rows_together(subject.model, (*bad.ids, *good.ids), subject.pad_token, "right")
    with at(None):
        differences = _entrances(subject, make_bad, count) - _entrances(subject, make_good, count)
        whole = _last_logits(subject, hold_good.ids)
    found = []
    for token in range(-count, 0):
        for number in chosen:
            vector = differences[token, number]
            if not bool(vector.norm() > _TINY):
                continue
            with at(vector):
                bypass = _log_odds(_last_logits(subject, hold_bad.ids), refusing)
                divergence = _kl(whole, _last_logits(subject, hold_good.ids))
            with at(None), _added(subject, number, vector):
                induce = _log_odds(_last_logits(subject, hold_good.ids), refusing)
            found.append(Candidate(number, token, bypass, induce, divergence, vector))
    if not found:
        raise DirectionError(
            "Harmful and harmless prompts give the same states at every place looked at.",
            "Give other rows, or another block.",
        )
    return tuple(found)


def best(found: Sequence[Candidate]) -> Candidate:
    """The one of those that pass without which the fewest refusals are left.

    Raises DirectionError where none passes, with what the nearest does.
    """
    passing = [one for one in found if one.passes]
    if not passing:
        near = min(found, key=lambda one: one.kl)
        raise DirectionError(
            f"No direction passes: one at block {near.block} has a KL of {near.kl:.2f} nats of at "
            f"most {KL_LIMIT}, and brings refusals at log-odds of {near.induce:.1f}, which are to "
            f"be above {INDUCE_LIMIT:g}.",
            "Give a block to take its direction as it is, or other rows.",
        )
    return min(passing, key=lambda one: one.bypass)


def _common_end(prompts: Sequence[Sequence[int]]) -> int:
    """How many of the last tokens all prompts have in common, at least 1."""
    common = 0
    for tokens in zip(*(reversed(one) for one in prompts), strict=False):
        if len(set(tokens)) > 1:
            break
        common += 1
    return max(1, common)


def _batches(subject: Subject, prompts: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The numbers of the prompts that go through the model together."""
    lengths = [len(one) for one in prompts]
    together = rows_together(subject.model, prompts, subject.pad_token, "right")
    left = sorted(range(len(prompts)), key=lambda i: lengths[i])
    while left:
        at_hand = first_batch(left, lengths, _ROWS, together)
        del left[: len(at_hand)]
        yield at_hand


def _run(subject: Subject, prompts: Sequence[Sequence[int]]) -> Tensor:
    """The logits [rows, tokens, vocabulary] of one batch, padded on the right."""
    ids, mask = padded(prompts, subject.pad_token, "right")
    device = subject.model.device
    with torch.no_grad():
        found: Tensor = subject.model(
            input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
        ).logits
    return found


def _last_logits(subject: Subject, prompts: Sequence[Sequence[int]]) -> Tensor:
    """log p of the first token of the answers: float64 [rows, vocabulary]."""
    found: dict[int, Tensor] = {}
    for numbers in _batches(subject, prompts):
        logits = _run(subject, [prompts[i] for i in numbers])
        for row, i in enumerate(numbers):
            found[i] = logits[row, len(prompts[i]) - 1].double().log_softmax(-1).cpu()
    return torch.stack([found[i] for i in range(len(prompts))])


def _entrances(subject: Subject, prompts: _Prompts, tokens: int) -> Tensor:
    """The mean of what enters each block at the last tokens: float64 [tokens, blocks, width]."""
    blocks = blocks_of(subject)
    total: Tensor | float = 0.0
    for numbers in _batches(subject, prompts.ids):
        own = [prompts.ids[i] for i in numbers]
        entered: list[Tensor] = []

        def keep(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            entered.append((given[0] if given else named["hidden_states"]).double())  # noqa: B023

        handles = [one.register_forward_pre_hook(keep, with_kwargs=True) for one in blocks]
        try:
            _run(subject, own)
        finally:
            for handle in handles:
                handle.remove()
        for row, ids in enumerate(own):
            states = [one[row, len(ids) - tokens : len(ids)].cpu() for one in entered]
            total = total + torch.stack(states, dim=1)
    return torch.as_tensor(total) / len(prompts.ids)


@contextmanager
def _added(subject: Subject, block: int, vector: Tensor) -> Iterator[None]:
    """The model with the vector added to what enters a block, at every token."""

    def add(
        _: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        state = given[0] if given else named["hidden_states"]
        moved = state + vector.to(state.device, state.dtype)
        if given:
            return (moved, *given[1:]), named
        return given, {**named, "hidden_states": moved}

    handle = blocks_of(subject)[block].register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def _log_odds(log_p: Tensor, tokens: Sequence[int]) -> float:
    """Mean of log(p + ε) - log(1 - p + ε), p the probability of one of the tokens, ε = 1e-8."""
    p = log_p[:, list(tokens)].exp().sum(-1)
    return float(((p + _TINY).log() - (1 - p + _TINY).log()).mean())


def _kl(before: Tensor, after: Tensor) -> float:
    """Mean KL(before || after) of log probabilities, in nats."""
    return float((before.exp() * (before - after)).sum(-1).mean())
