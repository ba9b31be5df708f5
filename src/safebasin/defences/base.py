"""The three shapes that a defence can have."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Protocol

from torch import Tensor

from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.masks import Mask


class Defence(Protocol):
    """What every defence has: what it is called, and the paper that defines it."""

    kind: ClassVar[str]
    reference: ClassVar[str]

    def spec(self) -> dict[str, Any]:
        """JSON values: the kind and every setting."""
        ...


class WeightDefence(Defence, Protocol):
    """A defence that changes weights without training, such as merging and pruning."""

    def direction(self, subject: Subject) -> Direction:
        """From the model as it is, at coefficient 0, to the defended one, at 1.

        So it can be compared, put on the map and overshot as any direction.
        """
        ...


class Steering(Defence, Protocol):
    """A defence that changes what flows through a model while it answers."""

    def applied(self, subject: Subject, strength: float) -> AbstractContextManager[None]:
        """The model is defended while the context lasts: at strength 0 it is itself, bit for bit.

        1 is the method, and other strengths scale what it adds.
        """
        ...


class TrainingDefence(Defence, Protocol):
    """A defence that takes part in a fine-tune. What one does not say, it leaves as it is."""

    def rows(self, rows: Rows) -> Rows:
        """What is trained on in place of these rows."""
        return rows

    def gradients(self, subject: Subject) -> Mask | None:
        """The weights that may move, of the parameters that it speaks of; None for all of them."""
        return None

    def loss(self, logits: Tensor, batch: Mapping[str, Tensor]) -> Tensor | None:
        """The loss, float32 [], in place of the trainer's; None to leave that.

        logits  [rows, tokens, vocabulary]; `batch` holds input_ids and labels [rows, tokens]. A
        mean over the batch's answer tokens, as the trainer's is.
        """
        return None
