"""What a defence is asked to do."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import Any

from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.setting import described, required, setting

_OTHERS = {
    "method", "model", "scan", "strength", "out", "measure", "benign", "questions", "reach",
    "steps", "refine",
}  # fmt: skip
"""What is said to `defend` itself; all else is a setting of some methods."""


@described
@dataclass(frozen=True)
class DefendConfig:
    """Everything that `defend` can be told; None leaves the method's own value."""

    method: str = field(
        metadata=required("The defence, as `safebasin list defences` names it.", argument=True)
    )
    model: str = field(metadata=required("The model to defend: as for scan.", argument=True))
    aligned: str | None = setting(None, "The aligned model that it was tuned from.")
    unaligned: str | None = setting(
        None, "That one from before its alignment, or without its safety."
    )
    safe: str | None = setting(
        None, "A model tuned for safety from the aligned one. [default: that]"
    )
    base: str | None = setting(
        None, "Of ablation: the model that --scale goes from. [default: none]"
    )
    scale: float | None = setting(None, "How far from the base, 1 being the model. [default: 1]")
    harmful: str | None = setting(None, "Of ablation: rows with refusals, as for attribute.")
    harmless: str | None = setting(None, "Of ablation: rows of other requests.")
    block: int | None = setting(None, "Take the direction of this block. [default: chosen]")
    tokens: int | None = setting(
        None, "Last tokens of a prompt that are looked at. [default: those all have in common]"
    )
    rank: int | None = setting(None, "Singular values that are kept; 0 for all. [default: 6]")
    factor: float | None = setting(None, "By what is multiplied what is added.")
    threshold: float | None = setting(None, "Layers whose cosine is below it are changed.")
    share: float | None = setting(None, "Of random restoration and of the safe model in a merge.")
    drop: float | None = setting(None, "The share of the fine-tune's change that DARE drops.")
    deviation: float | None = setting(None, "Of random perturbation: the deviation of the noise.")
    preferences: str | None = setting(
        None, "Of somf: JSONL with prompt, chosen and rejected, or testbed:preferences."
    )
    mask: str | None = setting(
        None, "Of somf: the mask of an earlier run, in place of preferences.", path=True
    )
    others: tuple[str, ...] = setting(
        (), "Of somf: a further fine-tune of the aligned model, to fuse; repeatable."
    )
    fusion: str | None = setting(
        None, "average, task-arithmetic, ties or dare, of several. [default: average]"
    )
    weight: float | None = setting(None, "By what a fusion is multiplied. [default: the paper's]")
    rescale: str | None = setting(
        None, "mean or none: divide what is kept by the mask's mean. [default: mean]"
    )
    dpo_reference: str | None = setting(
        None, "fine-tune or safe: what is preferred less. [default: fine-tune]"
    )
    export: str | None = setting(
        None, "The mask that is used: binary, sampled or soft. [default: binary]"
    )
    rate: float | None = setting(None, "Of somf's logits: the learning rate. [default: 0.01]")
    epochs: int | None = setting(None, "Passes over the pairs. [default: 3]")
    pairs: int | None = setting(None, "Pairs a step. [default: 16]")
    beta: float | None = setting(None, "Of DPO. [default: 0.1]")
    temperature: float | None = setting(None, "Of the masks' samples. [default: 0.5]")
    seed: int | None = setting(None, "Of what is drawn. [default: 0]")
    strength: float = setting(1.0, "How far the model goes: 0 stays, 1 is the method.")
    measure: bool = setting(
        True, "Compare with the model as it was.", name="--measure/--no-measure"
    )
    benign: str | None = setting(None, "Requests to be helped with: as for compare.")
    questions: str | None = setting(
        None, "Questions with an `expected` column: as compare's --capability."
    )
    reach: float = setting(1.0, "How far the path of the comparison goes; 1 is the defended model.")
    steps: int = setting(4, "Even steps along that path.")
    refine: int = setting(4, "The most places that are asked to find the basin's edge.")
    out: str | None = setting(
        None, "The folder of the defended model. [default: one under runs/]", path=True
    )
    scan: ScanConfig = field(default_factory=ScanConfig)

    def __post_init__(self) -> None:
        if not math.isfinite(self.strength):
            raise UsageError(f"The strength is {self.strength}.", "Give a finite number.")

    @property
    def given(self) -> dict[str, Any]:
        """The settings of the method that were given, by the names of its own arguments."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OTHERS}
        return {name: value for name, value in own.items() if value not in (None, ())}

    def measured_in(self, folder: str) -> ScanConfig:
        """How both models are asked."""
        return replace(self.scan, model=self.model, out=folder)
