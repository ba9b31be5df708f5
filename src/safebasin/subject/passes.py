"""How the statistics of many layers are shared out into passes that memory holds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from safebasin.engines.memory import free_bytes
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.subject.linear import Linear
from safebasin.subject.statistics import Statistic
from safebasin.subject.subject import Subject

STATISTICS_SHARE = 0.4
ACTIVATIONS_SHARE = 0.2
"""The shares of free memory that the statistics of a pass and the tokens of a batch may take."""
MOST_ROWS = 8
"""The most rows of a batch: more bring nothing on a CPU."""

Make = Callable[[Linear], Statistic]


@dataclass(frozen=True)
class Passes:
    """What gathering takes, as memory is when it begins.

    number   passes over the rows
    batch    rows at a time, the same in all passes: on it the last bits of what flows may depend
    held     the most bytes that the statistics of one pass hold
    flowing  the most bytes that flow through the layers in one batch
    """

    number: int
    batch: int
    held: int
    flowing: int

    @classmethod
    def of(
        cls,
        subject: Subject,
        layers: Sequence[Linear],
        make: Make,
        length: int,
        gradients: bool,
        *,
        at_once: int | None = None,
        batch: int | None = None,
    ) -> Passes:
        """For rows of up to `length` tokens, with so many layers and rows at once, if given."""
        waiting, number, held = list(layers), 0, 0
        while waiting:
            group = that_fit(subject, waiting, make, at_once)
            del waiting[: len(group)]
            number, held = number + 1, max(held, sum(one.nbytes for one in group.values()))
        a_row = length * _token_bytes(subject, layers, gradients)
        size = batch or _rows_at_once(subject, a_row)
        return cls(number, size, held, size * a_row)

    def __str__(self) -> str:
        passes, rows = _counted(self.number, "pass", "es"), _counted(self.batch, "row", "s")
        return (
            f"{passes} of up to {rows} at a time, with {self.held / 2**30:.1f} GiB of statistics "
            f"and {self.flowing / 2**30:.1f} GiB of what flows at most"
        )


def that_fit(
    subject: Subject, layers: Sequence[Linear], make: Make, at_once: int | None
) -> dict[Linear, Statistic]:
    """The statistics of the first of the layers: so many as memory holds, at least one."""
    found: dict[Linear, Statistic] = {}
    room = STATISTICS_SHARE * free_bytes(subject.weights.device)
    for layer in layers:
        statistic = make(layer)
        room -= statistic.nbytes
        if found and (room < 0 if at_once is None else len(found) == at_once):
            break
        found[layer] = statistic
    return found


def without_logits(model: Any) -> dict[str, int]:
    """What a model of transformers is told so that it gives logits of one token a row alone."""
    told = "logits_to_keep"
    return {told: 1} if told in inspect.signature(model.forward).parameters else {}


def _token_bytes(subject: Subject, layers: Sequence[Linear], gradients: bool) -> int:
    """What one token takes: what flows through the layers is held until it is seen."""
    flow = sum(one.inputs + (one.outputs if gradients else 0) for one in layers)
    logits = 4 if gradients else int(not without_logits(subject.model))
    return 4 * (2 * flow + logits * vocabulary_rows(subject.model))


def _rows_at_once(subject: Subject, a_row: int) -> int:
    budget = ACTIVATIONS_SHARE * free_bytes(subject.weights.device)
    return max(1, min(MOST_ROWS, int(budget // a_row)))


def _counted(number: int, what: str, plural: str) -> str:
    return f"{number} {what}{'' if number == 1 else plural}"
