"""Directions between models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.directions.other import OtherWeights
from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter

_KEYS = ("base", "adapter", "revision", "adapter_revision")


class Toward:
    """From the weights θ to those of another checkpoint: d = θ' - θ (Peng et al. 2024, Sec. 3).

    Not normalised: coefficient 0 is θ and 1 is θ', to one unit in the last place of the larger
    of both; other values interpolate and extrapolate. What `weights` leaves out does not move:
    select norm layers too (`exclude_norms=False`) to arrive at θ'. Tensors are read from the disk
    as they are asked for. Raises DirectionError, listing what disagrees, where the checkpoint has
    other parameters, shapes or tokens; tables of tokens of another length move where they overlap.
    """

    kind: ClassVar[str] = "toward"
    random: ClassVar[bool] = False

    def __init__(
        self,
        checkpoint: Checkpoint,
        weights: Weights,
        *,
        name: str | None = None,
        vocabulary: Mapping[str, int] | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.weights = weights
        self.name = name or f"toward-{checkpoint.name}"
        self.other = OtherWeights(checkpoint, weights, vocabulary)

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Toward:
        """The direction of a `spec()`; raises DirectionError where the checkpoint has changed.

        A spec cannot grant the leave to run a checkpoint's own code.
        """
        return cls(_checkpoint(spec), weights, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, **_spec(self.checkpoint)}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights:
            return None
        start = self.weights.pristine(parameter.name).float()
        return self.other.tensor(parameter).to(start.device) - start


class Difference:
    """From one checkpoint to another, whatever the weights it is added to: d = θ_end - θ_start.

    The difference of an aligned model and the base it was made from is the alignment direction
    of AsFT (arXiv 2506.08473, Sec. 3); that of two fine-tunes leads from one to the other.
    Not normalised. Raises DirectionError as `Toward` does.
    """

    kind: ClassVar[str] = "difference"
    random: ClassVar[bool] = False

    def __init__(
        self, start: Checkpoint, end: Checkpoint, weights: Weights, *, name: str | None = None
    ) -> None:
        self.start, self.end = start, end
        self.weights = weights
        self.name = name or f"{start.name}-to-{end.name}"
        self._start, self._end = (OtherWeights(one, weights) for one in (start, end))

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Difference:
        """The direction of a `spec()`; raises DirectionError where a checkpoint has changed."""
        start, end = (_checkpoint(spec[key]) for key in ("start", "end"))
        return cls(start, end, weights, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        ends = {"start": _spec(self.start), "end": _spec(self.end)}
        return {"kind": self.kind, "name": self.name, **ends}

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights:
            return None
        return self._end.tensor(parameter) - self._start.tensor(parameter)


def _spec(checkpoint: Checkpoint) -> dict[str, Any]:
    named = {key: getattr(checkpoint, key) for key in _KEYS}
    return {**named, "fingerprint": checkpoint.fingerprint()}


def _checkpoint(spec: Mapping[str, Any]) -> Checkpoint:
    checkpoint = Checkpoint(**{key: spec[key] for key in _KEYS})
    if checkpoint.fingerprint() != spec["fingerprint"]:
        raise DirectionError(
            f"'{checkpoint.name}' is not the checkpoint that was used.",
            f"Find the one whose fingerprint begins with {spec['fingerprint'][:12]}.",
        )
    return checkpoint
