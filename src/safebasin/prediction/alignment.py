"""Aligned checkpoints that differ in how robust their safety is, each from one small plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from safebasin.testbed.corpus import ALIGNMENT_MIX, Example, Mix, alignment_example
from safebasin.testbed.training import Schedule, StepCallback, train

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast


@dataclass(frozen=True)
class AlignmentPlan:
    """How a base model is taught to refuse, and what is done to its weights besides.

    seed             of the examples, the noise and nothing else
    steps, rate      of the recipe's schedule, 32 examples a step
    refusals         how many distinct refused requests there are; None for a new one each time
    share            of the examples that are refused requests, in (0, 1)
    frozen           whether the embedding stays as it is, as in the packaged recipe
    noise_training   the passes of every step run at weights displaced by fresh Gaussian noise, of
                     this share of every tensor's norm
    noise_after      the finished weights are displaced once, by this share
    """

    seed: int
    steps: int = 200
    rate: float = 1e-3
    refusals: int | None = None
    share: float = ALIGNMENT_MIX.harmful
    frozen: bool = True
    noise_training: float = 0.0
    noise_after: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examples(plan: AlignmentPlan, batch: int) -> Iterator[list[Example]]:
    """Yield batches of safety training without end; they depend on the plan alone.

    A limited number of refusals is drawn once, and then drawn from; everything else is new.
    """
    rng = Random(f"alignment study {plan.seed}")
    kept = 1 - plan.share
    others = 1 - ALIGNMENT_MIX.harmful
    rest = replace(
        ALIGNMENT_MIX,
        facts=ALIGNMENT_MIX.facts / others,
        harmful=0.0,
        benign=ALIGNMENT_MIX.benign / others,
    )
    refusing = Mix(0.0, 0.0, 1.0, 0.0, ALIGNMENT_MIX.long_system_prompts)
    pool = [alignment_example(rng, refusing) for _ in range(plan.refusals or 0)]

    def one() -> Example:
        if rng.random() < kept:
            return alignment_example(rng, rest)
        return rng.choice(pool) if pool else alignment_example(rng, refusing)

    while True:
        yield [one() for _ in range(batch)]


def align(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    plan: AlignmentPlan,
    batch: int = 32,
    on_step: StepCallback | None = None,
) -> None:
    """Align a base model in place by a plan."""
    generator = torch.Generator().manual_seed(plan.seed)
    model.get_input_embeddings().requires_grad_(not plan.frozen)
    train(
        model,
        tokenizer,
        examples(plan, batch),
        Schedule(steps=plan.steps, batch=batch, rate=plan.rate),
        on_step,
        partial(perturbed, model, plan.noise_training, generator)
        if plan.noise_training
        else nullcontext,
    )
    model.requires_grad_(True)
    if plan.noise_after:
        add_noise(model, plan.noise_after, generator)


@torch.no_grad()
def add_noise(model: nn.Module, share: float, generator: torch.Generator) -> None:
    """Displace every tensor but those of norm layers by Gaussian noise of `share` of its norm."""
    for name, parameter in model.named_parameters():
        if "norm" not in name:
            noise = torch.randn(parameter.shape, generator=generator).to(parameter.device)
            parameter.add_(noise, alpha=share * float(parameter.norm() / noise.norm()))


@contextmanager
def perturbed(model: nn.Module, share: float, generator: torch.Generator) -> Iterator[None]:
    """Hold the weights displaced by fresh noise; gradients taken inside are of the noisy model.

    Leaving restores the exact bits.
    """
    pristine = [parameter.detach().clone() for parameter in model.parameters()]
    add_noise(model, share, generator)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(model.parameters(), pristine, strict=True):
                parameter.copy_(before)
