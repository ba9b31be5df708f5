"""Answers of a model that is steered while it writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from safebasin.defences.scans import Scans
from safebasin.defences.scans_settings import in_words
from safebasin.directions import Direction
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.subject.subject import Subject


class SteeredEngine(PlainEngine):
    """The plain engine with a steering on while it generates, and off while it scores answers.

    So how likely an answer is, which judges read, is by the model as it is. Whether rows may share
    a batch is tried out on that, too. At a displaced point the steering stays that of the
    undisplaced model. Raises DataError where the steering was found in another model.
    """

    def __init__(
        self,
        subject: Subject,
        steering: Scans,
        strength: float,
        batch_size: int | None,
        directions: Mapping[str, Direction] | None = None,
    ) -> None:
        asked = subject.model, subject.weights, directions or {}, subject.template
        super().__init__(*asked, batch_size)
        self.subject, self.steering, self.strength = subject, steering, strength
        with steering.applied(subject, strength):
            pass  # a steering of another model is refused before anything is asked

    @property
    def note(self) -> str:
        """What a reader of the numbers has to know."""
        return in_words(self._spec())

    def plan_text(self) -> str:
        return self.note

    def spec(self) -> dict[str, object]:
        return {**super().spec(), "steering": self._spec()}

    def _spec(self) -> dict[str, object]:
        return {**self.steering.spec(), "strength": self.strength}

    def _generate_batch(
        self, rows: Sequence[list[int]], sampling: Sampling, ends: Sequence[int] | None = None
    ) -> list[list[int]]:
        with self.steering.applied(self.subject, self.strength):
            return super()._generate_batch(rows, sampling, ends)
