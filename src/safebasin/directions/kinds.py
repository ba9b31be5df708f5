"""The kinds of direction, and a direction of any kind from what a manifest says of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from safebasin.errors import DirectionError
from safebasin.terminal import shorten
from safebasin.weights import Direction, Weights


class Rebuilt(Direction, Protocol):
    """A class of directions that can be made again from their specification.

    `kind` is what the specification calls it. A `random` one is drawn, and as long as the weights:
    the coefficients along it are relative to their norm.
    """

    kind: ClassVar[str]
    random: ClassVar[bool]

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Direction:
        """The direction of a `spec()`; raises DirectionError where it cannot be had any more."""
        ...


KINDS: dict[str, type[Rebuilt]] = {}
"""Every kind by its name: `safebasin.directions` lists them."""


def rebuild(spec: Mapping[str, Any], weights: Weights) -> Direction:
    """The direction that `spec()` describes; raises DirectionError where it describes none."""
    try:
        kind = spec["kind"]
        if kind not in KINDS:
            raise DirectionError(
                f"There is no kind of direction '{shorten(str(kind))}'.",
                "Take the description from the manifest of a run, and use the version of "
                "safebasin that wrote it.",
            )
        return KINDS[kind].rebuild(spec, weights)
    except (KeyError, TypeError) as error:
        raise DirectionError(
            f"The description of a direction lacks or misstates {error}.",
            "Take it from the manifest of a run.",
        ) from error
