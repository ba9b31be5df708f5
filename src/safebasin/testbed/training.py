"""The training loop of every stage: answer tokens only, short answers not drowned by long ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from safebasin.testbed.corpus import Example
from safebasin.testbed.muon import BatchedMuon
from safebasin.testbed.tokenizer import render

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

IGNORED = -100

#: What one more forward and backward pass costs, in padded tokens.
TOKENS_PER_PART = 150

#: Called with (steps done, steps in all, mean loss per weighted token).
StepCallback = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train: linear warm-up, then cosine to zero.

    `rate` is AdamW's peak learning rate. With `matrix_rate` the weight matrices of the layers are
    trained with Muon at that rate instead.
    """

    steps: int
    batch: int
    rate: float
    matrix_rate: float | None = None
    warm_up: float = 0.05
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Right-padded token ids (rows, length), targets (rows, length) and row weights (rows,)."""

    ids: Tensor
    targets: Tensor
    weights: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(self.ids.to(device), self.targets.to(device), self.weights.to(device))


def encode(tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> list[Batch]:
    """Encode examples as a few batches of similar length, to be summed before a step.

    A row weighs 1/sqrt(answer tokens), scaled so that the tokens' weights over all parts sum to 1.
    """
    texts = [render(e.system, e.prompt) for e in examples]
    prompts = tokenizer(texts, add_special_tokens=False)["input_ids"]
    answers = tokenizer([e.answer for e in examples], add_special_tokens=False)["input_ids"]
    end = int(tokenizer.eos_token_id)
    rows = sorted(
        ((p, [*a, end]) for p, a in zip(prompts, answers, strict=True)),
        key=lambda row: len(row[0]) + len(row[1]),
    )
    total = sum(math.sqrt(len(answer)) for _, answer in rows)
    pad = int(tokenizer.pad_token_id)
    cuts = _cuts([len(prompt) + len(answer) for prompt, answer in rows])
    return [_pad(rows[i:j], pad, total) for i, j in pairwise(cuts)]


def _cuts(lengths: Sequence[int]) -> list[int]:
    """Return where to cut rows of ascending length so that padding and parts cost least."""
    best = [(0.0, 0)]
    for end in range(1, len(lengths) + 1):
        best.append(
            min(
                (best[i][0] + (end - i) * lengths[end - 1] + TOKENS_PER_PART, i) for i in range(end)
            )
        )
    cuts = [len(lengths)]
    while cuts[-1] > 0:
        cuts.append(best[cuts[-1]][1])
    return cuts[::-1]


def _pad(rows: Sequence[tuple[list[int], list[int]]], pad: int, total: float) -> Batch:
    length = max(len(prompt) + len(answer) for prompt, answer in rows) - 1
    ids = torch.full((len(rows), length), pad)
    targets = torch.full((len(rows), length), IGNORED)
    for row, (prompt, answer) in enumerate(rows):
        whole = torch.tensor(prompt + answer)
        ids[row, : len(whole) - 1] = whole[:-1]
        targets[row, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]
    weights = torch.tensor([len(answer) ** -0.5 / total for _, answer in rows])
    return Batch(ids, targets, weights)


def batch_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Return the weighted cross-entropy of a batch's answer tokens (nats per weighted token).

    Rows are padded on the right, so causal attention needs no mask; the head runs on the answer
    positions only.
    """
    body, head = model.get_submodule("model"), model.get_submodule("lm_head")
    hidden = body(input_ids=batch.ids, use_cache=False).last_hidden_state
    answered = batch.targets != IGNORED
    logits = head(hidden[answered])
    losses = nn.functional.cross_entropy(logits, batch.targets[answered], reduction="none")
    return (losses * batch.weights[:, None].expand_as(answered)[answered]).sum()


def _optimisers(model: nn.Module, schedule: Schedule) -> list[torch.optim.Optimizer]:
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    matrices = [p for n, p in trained if schedule.matrix_rate and ".layers." in n and p.ndim == 2]
    rest = [p for _, p in trained if not any(p is matrix for matrix in matrices)]
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            rest, lr=schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.weight_decay
        )
    ]
    if matrices:
        optimisers.append(BatchedMuon(matrices, lr=schedule.matrix_rate or 0.0))
    return optimisers


def _factor(step: int, schedule: Schedule) -> float:
    warm = max(1, round(schedule.steps * schedule.warm_up))
    if step < warm:
        return (step + 1) / warm
    done = (step - warm) / max(1, schedule.steps - warm)
    return 0.5 * (1 + math.cos(math.pi * done))


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    batches: Iterable[Sequence[Example]],
    schedule: Schedule,
    on_step: StepCallback | None = None,
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> float:
    """Train a model in place for `schedule.steps` batches; returns the mean loss of the last 20.

    Trains every parameter that requires a gradient. `model` may carry an injected adapter.
    `around` is entered around the passes of every step: it may move the weights, and has to put
    them back.
    """
    device = next(model.parameters()).device
    optimisers = _optimisers(model, schedule)
    schedulers = [
        torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _factor(step, schedule))
        for optimiser in optimisers
    ]
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    recent: list[float] = []
    source = iter(batches)
    for step in range(schedule.steps):
        loss = 0.0
        parts = encode(tokenizer, next(source))
        with around():
            for batch in parts:
                part = batch_loss(model, batch.to(device))
                part.backward()  # type: ignore[no-untyped-call]
                loss += float(part.detach())
        nn.utils.clip_grad_norm_(trained, 1.0)
        for optimiser, scheduler in zip(optimisers, schedulers, strict=True):
            optimiser.step()
            scheduler.step()
            optimiser.zero_grad(set_to_none=True)
        recent = [*recent[-19:], loss]
        if on_step is not None:
            on_step(step + 1, schedule.steps, sum(recent) / len(recent))
    model.eval()
    return sum(recent) / len(recent)
