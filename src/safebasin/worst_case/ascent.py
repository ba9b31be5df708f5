"""The direction in which safety is lost soonest: the gradient, and ascent within a ball."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from safebasin.directions import Gaussian, Held
from safebasin.errors import DirectionError
from safebasin.weights import Weights

Harm = Callable[[], Tensor]
"""The score to raise, at the weights as they are: a scalar with a graph."""


@dataclass(frozen=True)
class Ascent:
    """What a search found: the score at the origin, of each restart, and the best displacement.

    `best` has ‖δ_p‖ <= radius ‖W_p‖ in every parameter p.
    """

    radius: float
    start: float
    reached: tuple[float, ...]
    best: Held


def gradient(model: Any, weights: Weights, harm: Harm) -> tuple[float, dict[str, Tensor]]:
    """The score at the weights as they are, and its gradient by parameter (float32).

    Raises DirectionError where the score or its gradient is not finite.
    """
    wanted = [(p, model.get_parameter(p.name)) for p in weights.parameters]
    for _, tensor in wanted:
        tensor.requires_grad_(True)
    try:
        with torch.enable_grad():
            score = harm()
            found = torch.autograd.grad(score, [tensor for _, tensor in wanted], allow_unused=True)
    finally:
        for _, tensor in wanted:
            tensor.requires_grad_(False)
    gradients = {
        parameter.name: torch.zeros(parameter.shape) if g is None else g.detach().float().cpu()
        for (parameter, _), g in zip(wanted, found, strict=True)
    }
    value = float(score.detach())
    if not all(g.isfinite().all() for g in gradients.values()) or value != value:
        raise DirectionError(
            "The gradient of the safety score is not finite.", "Run in float32 (--dtype float32)."
        )
    return value, gradients


def scaled(weights: Weights, tensors: dict[str, Tensor], to: float = 1.0) -> dict[str, Tensor]:
    """Each tensor at the norm `to`·‖W_p‖; zeros stay, as the law of random directions has it.

    Of a tensor that stacks the matrices of several experts each is scaled by itself.
    """
    return _by_matrix(weights, tensors, lambda own, wanted: to * wanted / own if own else 1.0)


def within(weights: Weights, tensors: dict[str, Tensor], radius: float) -> dict[str, Tensor]:
    """The same, with what is longer than `radius`·‖W_p‖ brought back to that."""
    return _by_matrix(
        weights,
        tensors,
        lambda own, wanted: radius * wanted / own if own > radius * wanted else 1.0,
    )


def _by_matrix(
    weights: Weights, tensors: dict[str, Tensor], factor: Callable[[float, float], float]
) -> dict[str, Tensor]:
    """Each matrix times a factor of its own norm and that of the undisplaced one."""
    result = {}
    for parameter in weights.parameters:
        if parameter.name not in tensors:
            continue
        made = tensors[parameter.name].clone(memory_format=torch.contiguous_format)
        norms = weights.matrix_norms(parameter)
        for part, wanted in zip(parameter.split(made), norms, strict=True):
            part.mul_(factor(float(part.norm()), wanted))
        result[parameter.name] = made
    return result


def gradient_direction(model: Any, weights: Weights, harm: Harm) -> Held:
    """The steepest way out at first order: the gradient, scaled in every tensor to ‖W_p‖."""
    _, found = gradient(model, weights, harm)
    if not any(bool(tensor.any()) for tensor in found.values()):
        raise DirectionError("The safety score has no gradient.", "Select weights that matter.")
    return Held("gradient", scaled(weights, found))


def ascend(
    model: Any,
    weights: Weights,
    harm: Harm,
    *,
    radius: float,
    steps: int,
    seeds: Sequence[int],
    progress: Callable[[int, int, float], None] | None = None,
) -> Ascent:
    """Projected gradient ascent of the score within ‖δ_p‖ <= radius ‖W_p‖ for every parameter.

    The first attempt starts at the origin, and one for each seed at random noise of half the
    radius. A step moves each tensor by 2.5·radius/steps of its norm along its gradient (Madry et
    al., arXiv 1706.06083, Sec. 4), and is projected back. The model is left as it was.
    """
    starts = [None, *seeds]
    size = 2.5 * radius / steps
    best: dict[str, Tensor] | None = None
    best_score, begin = float("-inf"), float("nan")
    reached = []
    for attempt, seed in enumerate(starts):
        delta = _start(weights, seed, radius / 2)
        score = float("-inf")
        for step in range(steps + 1):
            held = Held("ascent", delta)
            with weights.displaced([(1.0, held)]):
                score, slope = gradient(model, weights, harm)
            if attempt == step == 0:
                begin = score
            if score > best_score:
                best_score, best = score, delta
            if progress is not None:
                progress(attempt * (steps + 1) + step + 1, len(starts) * (steps + 1), score)
            if step == steps:
                break
            moved = scaled(weights, slope, size)
            delta = within(
                weights, {name: tensor + moved[name] for name, tensor in delta.items()}, radius
            )
        reached.append(score)
    if best is None:
        raise DirectionError("The search found no finite score.", "Give a smaller ball.")
    return Ascent(radius, begin, tuple(reached), Held("worst-case", best))


def _start(weights: Weights, seed: int | None, size: float) -> dict[str, Tensor]:
    if seed is None:
        return {p.name: torch.zeros(p.shape) for p in weights.parameters}
    noise = Gaussian(seed, weights)
    drawn = {p.name: noise.tensor(p) for p in weights.parameters}
    return {name: size * t for name, t in drawn.items() if t is not None}
