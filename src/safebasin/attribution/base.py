"""What a method of attribution is, and what it can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from torch import Tensor

from safebasin.errors import DataError, DirectionError
from safebasin.landscape import Estimate
from safebasin.subject.linear import Linear, assembled
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.terminal import listed
from safebasin.weights.parameters import Parameter
from safebasin.weights.tensor_files import write_tensors

Gives = Literal["scores", "subspace", "layers", "interval", "units"]
"""What a method can give: of scores, of weights or of units, a share makes a set."""

NO_ROWS = Rows("none", ())


class Finding(Protocol):
    """What a method gives: Scores, a Subspace, LayerScores, an Interval or UnitScores."""

    def spec(self) -> dict[str, Any]:
        """JSON values: the method, and what it was found with."""
        ...


class Scores(Protocol):
    """How much each weight matters, the more the higher."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that have scores, in the model's order."""
        ...

    def spec(self) -> dict[str, Any]:
        """JSON values: the method, and the digests of the model and of the rows."""
        ...

    def tensor(self, parameter: Parameter) -> Tensor | None:
        """float32 of the parameter's shape; None where it has no scores."""
        ...


class Subspace(Protocol):
    """For some parameters W [out, in] a subspace of what enters W, or of what it gives."""

    @property
    def name(self) -> str: ...

    @property
    def side(self) -> str:
        """ "input" or "output"."""
        ...

    def spec(self) -> dict[str, Any]: ...

    def basis(self, parameter: Parameter) -> Tensor | None:
        """Orthonormal columns, float32 [dim, rank], of matrices stacked [matrices, dim, rank]."""
        ...


@dataclass(frozen=True)
class LayerScores:
    """How much each block matters: one estimate with its interval a block, from the first on.

    `unit` is what the values are in, and `found_by` are JSON values of where they come from.
    `curves` are by their name what the values were made of, if that is kept: as many of each.
    """

    name: str
    values: tuple[Estimate, ...]
    unit: str = ""
    found_by: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, tuple[Estimate, ...]] = field(default_factory=dict)

    def spec(self) -> dict[str, Any]:
        return dict(self.found_by)

    def to_json(self) -> dict[str, Any]:
        told = {"unit": self.unit, "layers": [one.to_json() for one in self.values]}
        if not self.curves:
            return told
        return {**told, "curves": {k: [e.to_json() for e in row] for k, row in self.curves.items()}}


class Attribution(Protocol):
    """A method that locates safety in a model.

    `kind` is what it is called, `reference` the paper that defines it, with its section, and
    `gives` what `locate` returns.
    """

    kind: ClassVar[str]
    reference: ClassVar[str]
    gives: ClassVar[Gives]

    def spec(self) -> dict[str, Any]:
        """JSON values: the kind and every setting."""
        ...

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> Finding:
        """Locate what the answers of `safety` depend on.

        `utility` are rows of other requests, for methods that hold one against the other; the
        others do not look at it. The model is left as it was, bit for bit.
        """
        ...


class HeldScores:
    """Scores in memory, by parameter name."""

    def __init__(
        self,
        name: str,
        parameters: tuple[Parameter, ...],
        tensors: Mapping[str, Tensor],
        spec: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.parameters = parameters
        self.tensors = dict(tensors)
        self._spec = dict(spec)

    def spec(self) -> dict[str, Any]:
        return dict(self._spec)

    def tensor(self, parameter: Parameter) -> Tensor | None:
        return next((self.tensors[n] for n in parameter.names if n in self.tensors), None)

    def save(self, path: Path) -> Path:
        """Write them as safetensors; RunError where that cannot be."""
        return write_tensors(path, self.tensors)


def scores_of(
    method: Attribution, subject: Subject, rows: Rows, parts: Mapping[Linear, Tensor]
) -> HeldScores:
    """Scores of the tensors [out, in] of linear layers; DirectionError where one is not finite."""
    by_parameter: dict[Parameter, dict[int | None, Tensor]] = {}
    for layer, values in parts.items():
        if not bool(values.isfinite().all()):
            raise DirectionError(
                f"The scores of '{layer.name}' are not finite.", "Load the model in float32."
            )
        by_parameter.setdefault(layer.parameter, {})[layer.expert] = values
    return HeldScores(
        method.kind,
        tuple(by_parameter),
        {one.name: assembled(one, found) for one, found in by_parameter.items()},
        made_of(method, subject, rows),
    )


def made_of(method: Attribution, subject: Subject, rows: Rows) -> dict[str, Any]:
    """JSON values: the method with every setting, the model and the rows."""
    told = {"name": rows.name, "sha256": rows.sha256, "n": len(rows)}
    return {**method.spec(), "model": subject.checkpoint.name, "rows": told}


def require_rows(safety: Rows, utility: Rows = NO_ROWS, *, prompts: bool = False) -> None:
    """Raise DataError where there are no rows of safety, or where both sets share some.

    prompts   whether answers play no part, so that rows of one prompt are the same
    """
    if not len(safety):
        raise DataError(f"'{safety.name}' holds no rows.", "Give at least one.")
    told = slice(-1) if prompts else slice(None)
    asked = {row.messages[told]: row.where for row in safety.rows}
    common = [asked[row.messages[told]] for row in utility.rows if row.messages[told] in asked]
    if common:
        what = "prompts" if prompts else "rows"
        raise DataError(
            f"'{safety.name}' and '{utility.name}' share {what}: {listed(common)}.",
            "Give sets that are disjoint.",
        )
