"""Directions of LoRA adapters, as low-rank factors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from safebasin.checkpoint.adapters import adapter_digest
from safebasin.directions.lora import Lora, NotLowRank, read_lora
from safebasin.directions.merged_adapter import merged_steps
from safebasin.errors import CheckpointError, DirectionError
from safebasin.terminal import listed
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import fp32

_LISTED = 6


class Adapter:
    """What a LoRA adapter adds to its base: d = (lora_alpha / r)·B·A (Hu et al., arXiv 2106.09685).

    Coefficient 1 is the adapted model; the adapter is never merged, and any other coefficient,
    also beyond 1, scales it. Products are formed in float64 one tensor at a time and rounded once,
    so that a path costs one base model in memory. Rank-stabilised scaling, ranks and alphas by
    pattern, transposed layers, embeddings, and parameters that the adapter replaces whole (biases,
    `modules_to_save`) are followed; of tables of tokens the overlap moves.

    An adapter that is no plain LoRA (as DoRA or PiSSA), or whose names are older than the model's,
    is merged by PEFT on a copy of the model, and d is what that changes: `merged` says so. With
    `merge=False` NotLowRank is raised instead. Raises DirectionError where it changes tied
    weights or was trained for another base, and CheckpointError where PEFT cannot merge it.
    """

    kind: ClassVar[str] = "adapter"
    random: ClassVar[bool] = False

    def __init__(
        self,
        folder: str | Path,
        weights: Weights,
        *,
        name: str | None = None,
        merge: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.weights = weights
        self.name = name or f"adapter-{self.folder.resolve().name}"
        self._steps: dict[str, Tensor] = {}
        try:
            self._lora: Lora = read_lora(self.folder)
            self._require_fit()
            self.merged = False
        except NotLowRank as error:
            if not merge:
                raise
            self.merged = True
            self._lora = Lora({}, {}, "", 0)
            self._whole: dict[str, Tensor] = {}
            self._steps = self._merge(error)
            return
        self._lora = self._on_our_tables()
        # PEFT saves embeddings beside their factors, and mostly as the base has them.
        self._whole = {
            name: tensor
            for name, tensor in self._lora.whole.items()
            if not torch.equal(tensor.float(), weights.pristine(name).to("cpu", torch.float32))
        }

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Adapter:
        """The direction of a `spec()`; raises DirectionError where the adapter has changed."""
        made = cls(spec["path"], weights, name=spec["name"])
        if made.sha256 != spec["sha256"]:
            raise DirectionError(
                f"'{made.folder}' is not the adapter that was used.",
                f"Find the one whose SHA-256 begins with {spec['sha256'][:12]}.",
            )
        return made

    @property
    def rank(self) -> int:
        """The largest rank among its factors; 0 where it was merged."""
        return self._lora.rank

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) over the adapter's config and weights."""
        return adapter_digest(self.folder)

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "path": str(self.folder),
            "sha256": self.sha256,
        }

    def factors(self, parameter: Parameter) -> tuple[Tensor, Tensor] | None:
        """float32 (up [out, rank], down [rank, in]) whose product is the displacement, or None.

        None too where the adapter replaces the parameter whole. Where `output_dim` is 1 the
        displacement is the transpose of the product.
        """
        found = self._lora.factors.get(parameter.name)
        if found is None or parameter.name in self._whole or parameter.name not in self.weights:
            return None
        return found.up.float() * fp32(found.scaling), found.down.float()

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self.weights:
            return None
        if self.merged:
            step = next((self._steps[n] for n in parameter.names if n in self._steps), None)
            return None if step is None else step.clone()
        step = self._replacement(parameter) if parameter.name in self._whole else None
        found = self._lora.factors.get(parameter.name)
        if found is None:
            return step
        product = (found.up.double() @ found.down.double()).mul_(found.scaling).float()
        product = product.t().contiguous() if parameter.output_dim == 1 else product
        return product if step is None else step.add_(product)

    def _merge(self, reason: NotLowRank) -> dict[str, Tensor]:
        """What PEFT changes; `reason` is why there are no factors, and stands where it fails."""
        try:
            return merged_steps(self.folder, self.weights)
        except CheckpointError:
            # Merging fails, too: then the names that are not there are the plainer reason.
            if "another base" in reason.message:
                raise reason from None
            raise

    def _replacement(self, parameter: Parameter) -> Tensor:
        start = self.weights.pristine(parameter.name).to("cpu", torch.float32)
        goal = self._whole[parameter.name].float()
        step = torch.zeros_like(start)
        shared = min(len(start), len(goal))
        step[:shared] = goal[:shared] - start[:shared]
        return step

    def _on_our_tables(self) -> Lora:
        """Factors of tables of tokens with our number of rows: the overlap moves, no other row."""
        fitted = dict(self._lora.factors)
        for parameter in self.weights.parameters:
            found = fitted.get(parameter.name)
            if found is None or parameter.name not in self.weights.tables:
                continue
            rows = parameter.shape[0]
            up = found.up.new_zeros(rows, found.up.shape[1])
            up[: len(found.up)] = found.up[:rows]
            fitted[parameter.name] = replace(found, up=up)
        return replace(self._lora, factors=fitted)

    def _require_fit(self) -> None:
        known = self.weights.names
        brought = {name: _product(f.up, f.down) for name, f in self._lora.factors.items()}
        brought |= {name: tuple(tensor.shape) for name, tensor in self._lora.whole.items()}
        absent = [f"'{name}' is not there" for name in brought if name not in known]
        wrong: list[str] = []
        every = self.weights.select(exclude_norms=False).parameters
        own = {name: parameter for parameter in every for name in parameter.names}
        for name, shape in brought.items():
            if name not in own:
                continue
            parameter = own[name]
            if name in self._lora.factors and parameter.output_dim == 1:
                shape = shape[::-1]
            table = name in self.weights.tables
            if shape != parameter.shape and not (table and shape[1:] == parameter.shape[1:]):
                wrong.append(f"'{name}' is {parameter.shape} there, {shape} here")
        if absent or wrong:
            base, kind = self._lora.base, DirectionError if wrong else NotLowRank
            hint = f"Give the base that it was trained on{f', {base}' if base else ''}."
            if not wrong:
                hint += (
                    " Where names alone differ, give BASE+ADAPTER as a checkpoint: it is merged."
                )
            raise kind(
                f"The adapter '{self.folder}' was trained for another base: "
                f"{listed(absent + wrong, _LISTED)}.",
                hint,
            )
        tied = [name for name in brought if own[name].aliases]
        if tied:
            # What comes of it depends on how PEFT ties what it adds, which merging tells.
            raise NotLowRank(
                f"The adapter '{self.folder}' changes tied weights: {listed(tied, _LISTED)}.",
                "Give BASE+ADAPTER as a checkpoint; it is then merged.",
            )
        for name, tensor in self._lora.whole.items():
            if not tensor.isfinite().all():
                raise self._not_finite(name)
        for name, factors in self._lora.factors.items():
            if not (factors.up.isfinite().all() and factors.down.isfinite().all()):
                raise self._not_finite(name)

    def _not_finite(self, name: str) -> DirectionError:
        return DirectionError(
            f"The adapter '{self.folder}' holds values for '{name}' that are not finite.",
            "Give an earlier checkpoint of its training.",
        )


def _product(up: Tensor, down: Tensor) -> tuple[int, ...]:
    return (int(up.shape[0]), int(down.shape[1]))
