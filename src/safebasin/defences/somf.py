"""SOMF: of what fine-tunes changed, the part that a learnt mask keeps."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.defences.concrete import Export, Rescale, exported, logistic, masked, relaxed
from safebasin.defences.dpo import dpo_loss, log_probabilities
from safebasin.defences.fusion import WEIGHTS, Fusion, fused
from safebasin.defences.models import (
    held,
    named,
    require_changed,
    require_finite,
    require_known,
    require_made_for,
    told,
)
from safebasin.defences.preferences import Preferences, load_preferences
from safebasin.directions import Difference, Toward
from safebasin.errors import DirectionError, TrainingError, UsageError
from safebasin.subject.encoding import Encoded
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter

LOG = logging.getLogger(__name__)

Reference = Literal["fine-tune", "safe"]
Loss = Callable[[Mapping[str, Tensor], int], Tensor]
"""Of the fused changes by parameter name, and the number of the step: float32 []."""


@dataclass(frozen=True)
class Learning:
    """How the logits are learnt: Adam with a cosine schedule to zero, one sample of masks a step.

    The rate is that of the code for several tasks; 1e-3 and 5e-3 are those for one.
    """

    steps: int
    rate: float = 1e-2
    temperature: float = 0.5
    rescale: Rescale = "mean"
    fusion: Fusion = "average"
    weight: float = 1.0
    seed: int = 0


def learn(
    vectors: Mapping[str, Sequence[Tensor]], loss: Loss, how: Learning
) -> tuple[dict[str, Tensor], tuple[float, ...]]:
    """The logits of one mask a parameter, shared by all fine-tunes, and the loss of each step.

    vectors  by parameter name what each fine-tune changed, all of one shape; logits begin at 0
    loss     is shown Merge(τ ⊙ m / mean(m)), through which gradients reach the logits alone

    Raises TrainingError where a loss is not finite.
    """
    logits = {name: torch.zeros_like(own[0]).requires_grad_() for name, own in vectors.items()}
    optimiser = torch.optim.Adam(logits.values(), lr=how.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, how.steps))
    generator = torch.Generator().manual_seed(how.seed)
    losses = []
    for step in range(how.steps):
        drawn = {
            name: relaxed(own, logistic(own.shape, generator).to(own), how.temperature)
            for name, own in logits.items()
        }
        now = loss(fused_by(vectors, drawn, how), step)
        if not bool(now.isfinite()):
            raise TrainingError(
                f"The loss of the masks is {now.detach().item()} at step {step + 1}.",
                "Give a smaller --rate, or other pairs.",
            )
        optimiser.zero_grad()
        now.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(float(now.detach()))
        LOG.info("step %d of %d: loss %.4f", step + 1, how.steps, losses[-1])
    return {name: own.detach() for name, own in logits.items()}, tuple(losses)


def fused_by(
    vectors: Mapping[str, Sequence[Tensor]], masks: Mapping[str, Tensor], how: Learning
) -> dict[str, Tensor]:
    """Merge of what the masks keep of each fine-tune."""
    kept = {
        name: [masked(one, masks[name], how.rescale) for one in own]
        for name, own in vectors.items()
    }
    return fused(kept, how.fusion, how.weight, how.seed)


class Somf:
    """θ_safe + Merge(τ_t ⊙ m / mean(m)) with τ_t = θ_t - θ_safe, and m learnt by DPO.

    Subspace-oriented model fusion (Yi et al., arXiv 2405.09055, Sec. 3): one logit for every
    weight, shared by all fine-tunes, learnt with everything else frozen so that the fused model
    prefers safe answers more than the reference does. The subject is θ_1, `others` are further
    fine-tunes of the aligned model θ_safe.

    reference  of DPO: "fine-tune", all of what the fine-tunes changed, or "safe", θ_safe. The
               authors' code takes another untrained mask model, drawn anew each time
    rescale    "mean" divides by the mean of each tensor's mask, "none" does not: only so can a
               tensor be switched off by degrees
    fusion     average, task-arithmetic, ties or dare, with `weight` λ, else that of the paper
    export     the mask that the model is made with: binary (σ(ℓ) > 1/2, the same every time),
               sampled (the authors', a draw of which binary is the likeliest) or soft
    pairs      of answers in a step; `epochs` passes over all of them, in the order of the seed
    mask       a file that an earlier run wrote, in place of learning; no preferences then. One that
               says what it was made for has to be of `aligned`, or of the subject

    ΔW is masked itself, where the code masks the factors of LoRA apart. What is not selected stays
    the fine-tune's. Raises UsageError for a setting that is none, DirectionError where a model or a
    mask does not fit, or nothing was tuned, and TrainingError where a loss is not finite.
    """

    kind: ClassVar[str] = "somf"
    reference: ClassVar[str] = "Yi et al., Knowledge-Based Systems 2025, arXiv 2405.09055, Sec. 3"

    def __init__(
        self,
        aligned: Checkpoint | str,
        preferences: Preferences | str | None = None,
        others: Sequence[Checkpoint | str] = (),
        fusion: Fusion = "average",
        weight: float | None = None,
        rescale: Rescale = "mean",
        dpo_reference: Reference = "fine-tune",
        export: Export = "binary",
        rate: float = 1e-2,
        epochs: int = 3,
        pairs: int = 16,
        beta: float = 0.1,
        temperature: float = 0.5,
        seed: int = 0,
        mask: str | None = None,
    ) -> None:
        for what, given, kinds in (
            ("fusion", fusion, Fusion),
            ("rescaling", rescale, Rescale),
            ("reference", dpo_reference, Reference),
            ("export", export, Export),
        ):
            if given not in get_args(kinds):
                raise UsageError(
                    f"There is no {what} '{given}'.", f"Give one of {', '.join(get_args(kinds))}."
                )
        require_finite(rate=rate, beta=beta, temperature=temperature)
        if min(rate, beta, temperature) <= 0 or epochs < 0 or pairs < 1:
            raise UsageError(
                "Rate, beta, temperature and pairs are above 0, and epochs at least 0.",
                "Give such numbers.",
            )
        if (preferences is None) == (mask is None):
            raise UsageError(
                "A mask is learnt from preferences, or read from a file.",
                "Give --preferences or --mask, one of both.",
            )
        self.aligned, self.others = named(aligned), tuple(named(one) for one in others)
        self.preferences = (
            load_preferences(preferences) if isinstance(preferences, str) else preferences
        )
        self.dpo_reference, self.export = dpo_reference, export
        self.epochs, self.pairs, self.beta = epochs, pairs, beta
        self.mask_file = None if mask is None else Mask.read(mask)
        count = 0 if self.preferences is None else len(self.preferences)
        self.how = Learning(
            steps=epochs * math.ceil(count / pairs),
            rate=rate,
            temperature=temperature,
            rescale=rescale,
            fusion=fusion,
            weight=WEIGHTS[fusion] if weight is None else weight,
            seed=seed,
        )
        require_finite(weight=self.how.weight)
        self.losses: tuple[float, ...] = ()
        self.mask: Mask | None = self.mask_file

    def spec(self) -> dict[str, Any]:
        """The models by name and fingerprint, the pairs by digest, and every setting."""
        pairs = self.preferences
        rows = pairs and {"name": pairs.name, "sha256": pairs.sha256, "n": len(pairs)}
        learnt = {"rate": self.how.rate, "epochs": self.epochs, "pairs": self.pairs}
        return {
            "kind": self.kind,
            **told(aligned=self.aligned),
            "others": [told(model=one)["model"] for one in self.others],
            "fusion": self.how.fusion,
            "weight": self.how.weight,
            "rescale": self.how.rescale,
            "export": self.export,
            "seed": self.how.seed,
            "mask": None if self.mask_file is None else self.mask_file.spec(),
            "preferences": rows,
            **({} if pairs is None else learnt),
            "dpo_reference": None if pairs is None else self.dpo_reference,
            "beta": self.beta,
            "temperature": self.how.temperature,
        }

    def found(self) -> dict[str, Any]:
        """The loss of each step, and what share of the weights that were tuned the mask keeps."""
        kept = None
        if self.mask is not None and self.mask.numel:
            kept = self.mask.count / self.mask.numel
        return {"losses": list(self.losses), "kept": kept}

    def save(self, folder: Path) -> Path | None:
        """Write the mask, for `mask` of another; None where it is soft."""
        if self.mask is None:
            return None
        return self.mask.save(folder / "mask.safetensors", told(model=self.aligned)["model"])

    def direction(self, subject: Subject) -> Direction:
        """θ - θ_1 of the fused model θ, float32."""
        if self.mask_file is not None:
            hint = "Give a mask that was made with this --aligned, or for this model."
            require_made_for(self.mask_file, [self.aligned, subject.checkpoint], hint)
        vectors = self.vectors(subject)
        masks = self._masks(subject, vectors)
        with torch.no_grad():
            made = fused_by(vectors, masks, self.how)

        def step(parameter: Parameter) -> Tensor | None:
            if parameter.name not in made:
                return None
            return (made[parameter.name] - vectors[parameter.name][0]).float()

        return held(f"{self.kind}-{self.how.fusion}", subject, step)

    def vectors(self, subject: Subject) -> dict[str, list[Tensor]]:
        """τ_1, τ_2, ... of each parameter that one of the fine-tunes changed, float32."""
        weights = subject.weights
        back = Toward(self.aligned, weights)
        require_changed(subject, self.aligned, back)
        further = [Difference(self.aligned, one, weights) for one in self.others]
        found = {}
        for parameter in weights.parameters:
            own = back.tensor(parameter)
            if own is None:
                continue
            steps = [-own]
            for one in further:
                step = one.tensor(parameter)
                steps.append(torch.zeros_like(own) if step is None else step.to(own))
            if any(bool(step.any()) for step in steps):
                found[parameter.name] = steps
        return found

    def _masks(
        self, subject: Subject, vectors: Mapping[str, Sequence[Tensor]]
    ) -> dict[str, Tensor]:
        if self.mask_file is not None:
            return _read(self.mask_file, subject, vectors)
        logits = self._learnt(subject, vectors)
        generator = torch.Generator().manual_seed(self.how.seed + 1)
        masks = {
            name: exported(
                own, self.export, logistic(own.shape, generator).to(own), self.how.temperature
            )
            for name, own in logits.items()
        }
        hard = self.export != "soft"
        self.mask = Mask({n: m.bool().cpu() for n, m in masks.items()}) if hard else None
        return masks

    def _learnt(
        self, subject: Subject, vectors: Mapping[str, Sequence[Tensor]]
    ) -> dict[str, Tensor]:
        encoded = self._encoded(subject)
        safe = {
            name: subject.weights.pristine(name).float() - own[0] for name, own in vectors.items()
        }
        whole = fused(vectors, self.how.fusion, self.how.weight, self.how.seed)
        nothing = {name: torch.zeros_like(own) for name, own in safe.items()}
        start = whole if self.dpo_reference == "fine-tune" else nothing
        with torch.no_grad():
            known = log_probabilities(subject, encoded, _moved(subject, safe, start))
        order = torch.Generator().manual_seed(self.how.seed)
        chosen = [
            part
            for _ in range(self.epochs)
            for part in torch.split(torch.randperm(len(encoded) // 2, generator=order), self.pairs)
        ]

        def loss(change: Mapping[str, Tensor], step: int) -> Tensor:
            at = torch.stack((2 * chosen[step], 2 * chosen[step] + 1), dim=1).flatten()
            rows = [encoded[int(i)] for i in at]
            policy = log_probabilities(subject, rows, _moved(subject, safe, change))
            return dpo_loss(policy, known[at.to(known.device)], self.beta)

        logits, self.losses = learn(vectors, loss, self.how)
        return logits

    def _encoded(self, subject: Subject) -> list[Encoded]:
        """Chosen and rejected answers in turn."""
        if self.preferences is None:
            raise ValueError("a mask is learnt from preferences")
        rows = [row for pair in self.preferences.pairs for row in pair.rows()]
        return list(subject.encode(rows))


def _moved(
    subject: Subject, safe: Mapping[str, Tensor], change: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """θ_safe + a change, in the dtype of the model."""
    dtypes = {name: subject.weights.pristine(name).dtype for name in safe}
    return {name: (own + change[name]).to(dtypes[name]) for name, own in safe.items()}


def _read(
    mask: Mask, subject: Subject, vectors: Mapping[str, Sequence[Tensor]]
) -> dict[str, Tensor]:
    """The mask of each parameter; DirectionError where it was made for another model."""
    found = {}
    for parameter in subject.weights.parameters:
        if parameter.name not in vectors:
            continue
        own = mask.tensor(parameter)
        if own is None:
            raise DirectionError(
                f"The mask '{mask.name}' says nothing of '{parameter.name}', which was tuned.",
                "Give a mask that was made for this model and these fine-tunes.",
            )
        found[parameter.name] = own.to(vectors[parameter.name][0])
    require_known(mask, subject)
    return found
