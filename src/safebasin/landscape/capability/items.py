"""What was measured at one point, and its value with the interval of its own items."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from safebasin.landscape.intervals import Array, Estimate, normal_quantile, wilson

Measure = Literal["accuracy", "perplexity", "metric"]
LARGEST = 700.0
"""The mean negative log-likelihood, in nats, above which a perplexity is no number any more."""


@dataclass(frozen=True)
class Item:
    """One thing measured at a point.

    value   accuracy: 1 for right, 0 for wrong; perplexity: the mean negative log-likelihood a
            token of a window, in nats; metric: the harness's own number. None where it is not a
            finite number
    weight  the tokens of a window, the documents of a task; else 1
    stderr  the standard error that a harness gives, or None
    each    of a task whose documents are right or not: a 1 or a 0 for each, else None
    answer  what was answered or chosen, or None
    """

    name: str
    value: float | None
    weight: int = 1
    stderr: float | None = None
    each: str | None = None
    answer: str | None = None


def estimate(
    items: Sequence[Item], measure: Measure, level: float, replicates: int, seed: int
) -> Estimate:
    """One point's value with the interval of its own items."""
    values, weights = expanded(items)
    unscored = int(np.isnan(values).sum())
    if measure == "accuracy":
        known = values[~np.isnan(values)]
        found = wilson(int(known.sum()), len(known), level)
        return replace(found, note=f"{unscored} items gave no number" if unscored else "")
    if measure == "metric":
        return _metric(items, level)
    if unscored:
        note = f"{unscored} of {len(values)} windows have no finite likelihood: infinite"
        return Estimate(None, level=level, note=note)
    return _perplexity(values, weights, level, replicates, seed)


def expanded(items: Sequence[Item]) -> tuple[Array, Array]:
    """The value and the weight of every item, a task's documents one by one."""
    values: list[float] = []
    weights: list[float] = []
    for item in items:
        if item.each is not None:
            values += [float(mark) for mark in item.each]
            weights += [1.0] * len(item.each)
        else:
            values.append(math.nan if item.value is None else item.value)
            weights.append(float(item.weight))
    return np.array(values), np.array(weights)


def _metric(items: Sequence[Item], level: float) -> Estimate:
    """The mean of tasks' own numbers, weighted by their documents, by their standard errors."""
    if any(item.value is None for item in items):
        return Estimate(None, level=level, note="the harness gave no finite number")
    values, weights = expanded(items)
    value = float((values * weights).sum() / weights.sum())
    if any(item.stderr is None for item in items):
        return Estimate(value, level=level, method="none", note="no standard error is given")
    half = normal_quantile(level) * pooled_error(items)
    method = "normal, by lm-eval's standard error"
    return Estimate(value, value - half, value + half, level, method)


def pooled_error(items: Sequence[Item]) -> float:
    """The standard error of the mean of a task's parts, weighted by their documents."""
    weights = np.array([float(item.weight) for item in items])
    errors = np.array([item.stderr or 0.0 for item in items])
    return float(np.sqrt(((weights * errors) ** 2).sum()) / weights.sum())


def _perplexity(
    values: Array, weights: Array, level: float, replicates: int, seed: int
) -> Estimate:
    """exp of the mean negative log-likelihood, with a percentile interval over windows."""
    mean = float((values * weights).sum() / weights.sum())
    if mean > LARGEST:
        return Estimate(None, level=level, note=f"larger than e^{LARGEST:g}")
    value = math.exp(mean)
    if len(values) < 2:
        note = "one window gives no interval"
        return Estimate(value, level=level, method="none", note=note)
    generator = np.random.default_rng((seed, 0))
    draws = generator.multinomial(len(values), np.full(len(values), 1 / len(values)), replicates)
    weighed = draws * weights
    means = (weighed @ values) / weighed.sum(-1)
    low, high = np.quantile(means, [0.5 - level / 2, 0.5 + level / 2])
    method = f"percentile bootstrap over windows, {replicates} replicates, seed {seed}"
    bounds = [min(float(bound), LARGEST) for bound in (low, high)]
    return Estimate(value, math.exp(bounds[0]), math.exp(bounds[1]), level, method)
