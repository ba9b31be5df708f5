"""Masks made of scores, and how much two of them have in common."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from safebasin.attribution.base import Scores
from safebasin.errors import UsageError
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter

By = Literal["tensor", "row", "model"]
MODEL = "the model"


def top(scores: Scores, share: float, by: By = "tensor") -> Mask:
    """The weights with the highest scores: exactly ⌊share·n⌋ of every n (`count_of`).

    by="tensor"  of every matrix, as the code of Wei et al. (2402.05162) takes the sets of which it
                 makes a difference; those of stacked experts count each by itself
    by="row"     of every output row, as their paper does, and their code where it removes the top
    by="model"   of all scores together, as neither does

    Their S(p, q), the top q of safety without the top p of utility, is
    `top(safety, q) - top(utility, p)`.

    Of equal scores the first in the tensor's order are taken. Raises UsageError for a share that
    is none, and for one that is less than one weight of the n.
    """
    if by not in ("tensor", "row", "model"):
        raise UsageError(f"The top cannot be taken by '{by}'.", "Give tensor, row or model.")
    if not 0 <= share <= 1:
        raise UsageError(f"A share of {share} is none.", "Give one from 0 to 1.")
    found = {one: _scores(scores, one) for one in scores.parameters}
    name = f"{scores.name}-top-{share:g}-{by}"
    if by == "model":
        count = _count(sum(one.numel() for one in found.values()), share, MODEL)
        chosen = largest_of(list(found.values()), count)
        return Mask({p.name: one for p, one in zip(found, chosen, strict=True)}, name=name)
    masks = {}
    for parameter, values in found.items():
        rows = _rows(parameter, values)
        if by == "tensor":
            rows = rows.reshape(parameter.matrices, -1)
        masks[parameter.name] = _whole(parameter, _largest(rows, share, f"'{parameter.name}'"))
    return Mask(masks, name=name)


def jaccard(a: Mask, b: Mask) -> float | None:
    """|a ∩ b| / |a ∪ b| over the parameters that both speak of; None where both hold nothing."""
    both, only_a, only_b = _shared(a, b)
    union = only_a + only_b + both
    return both / union if union else None


def overlap(a: Mask, b: Mask) -> float | None:
    """|a ∩ b| / min(|a|, |b|) over the parameters that both speak of; None where one is empty."""
    both, only_a, only_b = _shared(a, b)
    smaller = both + min(only_a, only_b)
    return both / smaller if smaller else None


def _shared(a: Mask, b: Mask) -> tuple[int, int, int]:
    """How many weights both hold, `a` alone and `b` alone."""
    counts = [0, 0, 0]
    for name in a.tensors.keys() & b.tensors.keys():
        one, two = a.tensors[name], b.tensors[name].to(a.tensors[name].device)
        for i, found in enumerate((one & two, one & ~two, two & ~one)):
            counts[i] += int(found.sum())
    return counts[0], counts[1], counts[2]


def _scores(scores: Scores, parameter: Parameter) -> Tensor:
    found = scores.tensor(parameter)
    if found is None:
        raise UsageError(
            f"'{scores.name}' has no scores for '{parameter.name}', which it lists.",
            "Give scores that have a tensor for each of their parameters.",
        )
    return found


def _rows(parameter: Parameter, tensor: Tensor) -> Tensor:
    """[rows, in] of all matrices of a parameter; a vector is one row."""
    if len(parameter.matrix.shape) < 2:
        return tensor.reshape(parameter.matrices, -1)
    stack = tensor.reshape(parameter.matrices, *parameter.matrix.shape)
    return stack.movedim(1 + parameter.output_dim, 1).flatten(0, 1).flatten(1)


def _whole(parameter: Parameter, rows: Tensor) -> Tensor:
    """The inverse of `_rows`: a tensor of the parameter's shape."""
    shape = list(parameter.matrix.shape)
    if len(shape) > 1:
        shape.insert(0, shape.pop(parameter.output_dim))
        stack = rows.reshape(parameter.matrices, *shape).movedim(1, 1 + parameter.output_dim)
        return stack.reshape(parameter.shape)
    return rows.reshape(parameter.shape)


def _largest(values: Tensor, share: float, where: str) -> Tensor:
    """bool [rows, n]: the ⌊share·n⌋ largest of each row."""
    count = _count(values.shape[1], share, where)
    return largest(values, count) if count else torch.zeros_like(values, dtype=torch.bool)


def _count(n: int, share: float, where: str) -> int:
    """⌊share·n⌋; UsageError where that is none though a share was given."""
    count = count_of(share, n)
    if share and not count:
        wider = "" if where == MODEL else ", or take the top by tensor or by model"
        raise UsageError(
            f"A share of {share:g} is less than one of {n} weights in {where}.",
            f"Give {least_share(n)} or more{wider}.",
        )
    return count


def largest(values: Tensor, count: int) -> Tensor:
    """bool [rows, n]: the `count` largest of each row, of equal ones the first; 1 or more."""
    n = values.shape[1]
    least = values.kthvalue(n - count + 1, dim=1, keepdim=True).values
    above, equal = values > least, values == least
    missing = count - above.sum(1, keepdim=True)
    if bool((equal.sum(1, keepdim=True) > missing).any()):
        equal &= equal.cumsum(1) <= missing
    return above | equal


def largest_of(tensors: Sequence[Tensor], count: int) -> list[Tensor]:
    """bool of each shape: the `count` largest of all of them together, of equal ones the first.

    As `largest` of the whole, one float32 tensor after another: the whole, and what sorting it
    takes, would be several times as large as the model. The count-th largest value is found
    exactly, by counting the upper 16 bits of each and then the lower ones.
    """
    upper = _histogram(tensors, lambda keys: (keys >> 16) + 2**15)
    bin_of, below = _reached(upper, count)
    lower = _histogram(
        tensors, lambda keys: keys[(keys >> 16) + 2**15 == bin_of].bitwise_and(2**16 - 1)
    )
    rest, missing = _reached(lower, below)
    least = ((bin_of - 2**15) << 16) + rest
    found = []
    for tensor in tensors:
        keys = _ordered(tensor)
        equal = keys == least
        here = int(equal.sum())
        if here > missing:
            equal &= equal.flatten().cumsum(0).reshape(equal.shape) <= missing
        missing -= min(here, missing)
        found.append((keys > least) | equal)
    return found


def _histogram(tensors: Sequence[Tensor], bins: Callable[[Tensor], Tensor]) -> Tensor:
    """int64 [2¹⁶]: how many values of the tensors fall into each bin of their ordered keys."""
    counts = [bins(_ordered(one).flatten()).bincount(minlength=2**16).cpu() for one in tensors]
    return torch.stack(counts).sum(0)


def _reached(counts: Tensor, count: int) -> tuple[int, int]:
    """The bin that holds the count-th from the top, and which of that bin's own it is."""
    from_top = counts.flip(0).cumsum(0)
    place = int((from_top < count).sum())
    before = int(from_top[place - 1]) if place else 0
    return len(counts) - 1 - place, count - before


def _ordered(tensor: Tensor) -> Tensor:
    """int32 that are ordered as the float32 values are: their bits, of negative ones flipped."""
    bits = (tensor.float() + 0.0).contiguous().view(torch.int32)  # -0 and 0 are equal
    return bits ^ ((bits >> 31) & (2**31 - 1))


def count_of(share: float, n: int) -> int:
    """⌊share·n⌋ as a person means it: 0.29 of 100 are 29, though 0.29 · 100 is less in binary."""
    return math.floor(share * n * (1 + 4 * sys.float_info.epsilon))


def least_share(n: int) -> str:
    """The least share that is one of n, in two digits: rounded up, or it would be less than one."""
    digits = math.floor(math.log10(n)) + 2
    return f"{math.ceil(10**digits / n) / 10**digits:.10g}"
