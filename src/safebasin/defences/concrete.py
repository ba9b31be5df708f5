"""Concrete masks: a number in (0, 1) for every weight, drawn so that its odds can be learnt."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Rescale = Literal["mean", "none"]
Export = Literal["binary", "sampled", "soft"]

EPSILON = 1e-6
"""The least mean that a mask is divided by: a mask of zeros stays one of zeros."""


def logistic(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Independent numbers log u - log(1 - u), u uniform on (0, 1): float32, on the CPU."""
    u = torch.rand(shape, generator=generator).clamp_(1e-7, 1 - 1e-7)
    return u.log() - (-u).log1p()


def relaxed(logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """m = σ((ℓ + noise) / temperature), a sample of RelaxedBernoulli (arXiv 1611.00712, App. B).

    With `noise` as `logistic` gives it P(m > 1/2) = σ(ℓ), at whatever temperature.
    """
    return torch.sigmoid((logits + noise) / temperature)


def exported(logits: Tensor, how: Export, noise: Tensor, temperature: float) -> Tensor:
    """The mask that a learnt model is written with, of the dtype of the logits.

    binary   1 where σ(ℓ) > 1/2: the likeliest mask, the same every time. Where ℓ is 0, as it is
             before anything was learnt and where no gradient came, nothing is kept
    sampled  1 where a relaxed sample is above 1/2, which it is with probability σ(ℓ): the authors'
             export. `binary` keeps what this one keeps more often than not
    soft     a relaxed sample
    """
    if how == "binary":
        return (logits > 0).to(logits.dtype)
    soft = relaxed(logits, noise, temperature)
    return soft if how == "soft" else (soft > 0.5).to(logits.dtype)


def masked(vector: Tensor, mask: Tensor, rescale: Rescale) -> Tensor:
    """τ ⊙ m / mean(m), or τ ⊙ m; zero where the mask is zero everywhere."""
    kept = vector * mask
    return kept / mask.mean().clamp_min(EPSILON) if rescale == "mean" else kept
