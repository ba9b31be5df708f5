"""The models that a defence of weights is given, and the step that it makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Difference, Held, Toward
from safebasin.errors import DirectionError, UsageError
from safebasin.subject.linear import Linear
from safebasin.subject.subject import Subject
from safebasin.terminal import printable, shorten
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter


def named(model: Checkpoint | str) -> Checkpoint:
    """A model by its name, or as it is given."""
    return Checkpoint.parse(model) if isinstance(model, str) else model


def told(**models: Checkpoint | None) -> dict[str, Any]:
    """What a specification says of them: name and fingerprint; of one that is not given, None."""
    return {
        key: None if one is None else {"name": one.name, "fingerprint": one.fingerprint()}
        for key, one in models.items()
    }


def require_finite(**numbers: float) -> None:
    """Raise UsageError for what is no finite number."""
    for what, number in numbers.items():
        if not math.isfinite(number):
            raise UsageError(f"The {what} is {number}.", "Give a finite number.")


def require_share(share: float, what: str, *, below_one: bool = False) -> None:
    """Raise UsageError for what is no share in [0, 1], or in [0, 1)."""
    if not 0 <= share <= 1 or (below_one and share == 1):
        hint = "Give one from 0 to below 1." if below_one else "Give one from 0 to 1."
        raise UsageError(f"The {what} is {share}.", hint)


def held(name: str, subject: Subject, step: Callable[[Parameter], Tensor | None]) -> Held:
    """The direction of a float32 step for each selected parameter; None for one that stays."""
    found = {one.name: step(one) for one in subject.weights.parameters}
    return Held(name, {key: one for key, one in found.items() if one is not None})


def require_changed(subject: Subject, origin: Checkpoint, direction: Toward) -> None:
    """Raise DirectionError where the subject has the very weights that it is said to be tuned from.

    A defence of a fine-tune then has nothing to defend, and its base is most likely misnamed.
    """
    for parameter in subject.weights.parameters:
        step = direction.tensor(parameter)
        if step is not None and bool(step.any()):
            return
    raise DirectionError(
        f"'{subject.checkpoint.name}' has the weights of '{origin.name}': nothing was fine-tuned.",
        "Give the model that was tuned, and the one that it was tuned from.",
    )


def require_made_for(mask: Mask, models: Sequence[Checkpoint], hint: str) -> None:
    """Raise DirectionError for a mask that says it was made for another checkpoint than these.

    A fine-tune of the same model is another one. A mask that says nothing is taken.
    """
    made = mask.model
    if made is not None and all(made["fingerprint"] != one.fingerprint() for one in models):
        raise DirectionError(
            f"The mask was made for '{shorten(printable(made['name']))}', and "
            f"'{shorten(printable(models[0].name))}' is another model.",
            hint,
        )


def require_known(mask: Mask, subject: Subject) -> None:
    """Raise DirectionError for a mask that speaks of a parameter which the model does not have."""
    parameters = subject.weights.select(exclude_norms=False).parameters
    known = {name for one in parameters for name in one.names}
    if foreign := sorted(mask.tensors.keys() - known):
        raise DirectionError(
            f"The mask '{mask.name}' speaks of '{shorten(foreign[0])}', which "
            f"'{subject.checkpoint.name}' does not have.",
            "Give a mask that was made for this model.",
        )


@dataclass(frozen=True)
class Change:
    """What a fine-tune changed of one linear layer, beside what alignment had changed of it.

    tuned    ΔW = W - W_aligned, float64 [out, in]
    inside   C·ΔW with C = V·Vᵀ / ‖V‖_F and V = W_aligned - W_unaligned; None where V is zero
    cosine   of the angle between both, in [0, 1]; 0 where C·ΔW is zero, as it is where V is, or
             where the fine-tune changed nothing that alignment had written to
    """

    layer: Linear
    tuned: Tensor
    inside: Tensor | None
    cosine: float


def changes(subject: Subject, aligned: Checkpoint, unaligned: Checkpoint) -> Iterator[Change]:
    """Each linear layer that a fine-tune changed (Hsu et al., arXiv 2405.16833, Sec. 3)."""
    weights = subject.weights
    back = Toward(aligned, weights)
    alignment = Difference(unaligned, aligned, weights)
    for parameter, layers in groupby(subject.linear, key=lambda one: one.parameter):
        tuned, changed = back.tensor(parameter), alignment.tensor(parameter)
        if tuned is None or changed is None:
            continue
        for layer in layers:
            change = -layer.of(tuned).double()
            v = layer.of(changed).to(change)
            if not bool(change.any()):
                continue
            if not bool(v.any()):
                yield Change(layer, change, None, 0.0)
                continue
            inside = v @ (v.T @ change) / v.norm()
            cosine = 0.0
            if bool(inside.any()):
                cosine = float((inside * change).sum() / (inside.norm() * change.norm()))
            yield Change(layer, change, inside, cosine)
