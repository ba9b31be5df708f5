"""What an engine is asked, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

from safebasin.errors import UsageError
from safebasin.exchange import Exchange
from safebasin.plane import Point
from safebasin.prompts import Prompt

Progress = Callable[[Point, Sequence[Exchange]], None]
"""Called as answers of a point arrive, with those that are new."""

Wanted = Callable[[Point], bool]
"""Asked before work on a point begins and while it goes on: whether it is still wanted."""


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn: greedy, up to `max_new_tokens` tokens."""

    max_new_tokens: int

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UsageError(
                f"The limit of new tokens is {self.max_new_tokens}.",
                "Give at least 1, such as --max-new-tokens 128.",
            )

    def spec(self) -> dict[str, object]:
        return {"method": "greedy", **asdict(self)}


class Engine(Protocol):
    """Generates the answers to prompts at displaced weights.

    An engine owns a model and the directions its points refer to. It may work on several points
    at once and yields each when it is complete, in any order.
    """

    @property
    def name(self) -> str: ...

    def spec(self) -> Mapping[str, object]:
        """Everything about the engine that determines the answers, as JSON values."""
        ...

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        """Yield (point, exchanges in the order of `prompts`) once for each point.

        A point that is no longer wanted is given up; whether it is yielded is up to the engine.
        """
        ...
