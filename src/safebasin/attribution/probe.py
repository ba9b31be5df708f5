"""Linear probes: how well what one head or neuron gives tells harmful prompts from others."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random as Draw
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from safebasin.attribution.base import NO_ROWS, Gives, made_of, require_rows
from safebasin.attribution.units import Of, Places, UnitScores
from safebasin.errors import DataError, EngineError
from safebasin.subject.gathering import positions_of
from safebasin.subject.hooks import hooked
from safebasin.subject.rows import Row, Rows
from safebasin.subject.subject import Subject

MOST_STEPS = 100
"""Newton's method needs about ten; where it needs more it has not settled."""
SETTLED = 1e-9


class Probe:
    """The accuracy of a linear probe on what each unit gives (Wei et al., Sec. 4 and App. C).

    After Li et al. (NeurIPS 2023, arXiv 2306.03341, Sec. 3.1): of every head what it gives to
    attention's output matrix at the last token of the prompt, of a neuron what it gives to the
    MLP's. A logistic regression is fitted to two thirds of the prompts of `safety` and of as many
    of `utility`, drawn by `seed`, and its accuracy on the other third is the unit's score, in
    [0, 1]: .5 is chance. What can be read from a unit need not be what refusals depend on, so the
    paper holds this baseline against sets of weights.
    """

    kind: ClassVar[str] = "probe"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 4 and App. C"
    gives: ClassVar[Gives] = "units"

    def __init__(self, of: Of = "heads", seed: int = 0) -> None:
        self.of: Of = of
        self.seed = int(seed)

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind, "of": self.of, "seed": self.seed}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> UnitScores:
        """Raises DataError for fewer than two rows of either."""
        require_rows(safety, utility, prompts=True)
        count = min(len(safety), len(utility))
        if count < 2:
            raise DataError(
                f"A probe tells {len(safety)} prompts of safety from {len(utility)} of utility.",
                "Give two rows or more of each with --safety and --utility.",
            )
        places = Places.among(subject, self.of)
        draw = Draw(f"probe {self.seed}")
        sides = [draw.sample(one.rows, count) for one in (safety, utility)]
        states = [last_inputs(subject, places, rows) for rows in sides]
        scores = {}
        for block in places.layers:
            x = torch.stack([side[block] for side in states])
            units = x.reshape(2, count, -1, places.width).movedim(2, 0)
            scores[block] = accuracies(units).float()
        others = {"name": utility.name, "sha256": utility.sha256, "n": len(utility)}
        found_by = {**made_of(self, subject, safety), "others": others}
        return UnitScores(self.kind, places, scores, found_by, once=True)


def last_inputs(subject: Subject, places: Places, rows: Sequence[Row]) -> dict[int, Tensor]:
    """By block what enters the units' output matrix at the last token of each prompt.

    float64 [rows, in]. One row at a time, so that padding plays no part. Raises EngineError where
    it is not finite.
    """
    found: dict[int, list[Tensor]] = {block: [] for block in places.layers}

    def keep(block: int) -> Any:
        def hook(_: nn.Module, given: Any, __: object) -> None:
            found[block].append(given[0][0, -1].double().cpu())

        return hook

    hooks = [(m, keep(block)) for block, one in places.layers.items() for m in one.modules]
    for row, encoded in zip(rows, subject.encode(rows), strict=True):
        at = int(positions_of(encoded, "last"))
        ids = torch.tensor([encoded.ids[: at + 1]], device=subject.model.device)
        with torch.no_grad(), hooked(hooks):
            subject.model(input_ids=ids, use_cache=False)
        if not all(bool(own[-1].isfinite().all()) for own in found.values()):
            raise EngineError(
                f"{row.where}: what the {places.of} give is not finite.",
                "Load the model in float32, or leave out the row.",
            )
    return {block: torch.stack(own) for block, own in found.items()}


def accuracies(x: Tensor) -> Tensor:
    """The accuracy of a probe of each unit on the last third of both sides: float64 [units].

    x   float64 [units, 2, rows, width], the sides being harmful and other prompts
    """
    rows = x.shape[2]
    learnt = max(1, 2 * rows // 3)
    known, asked = x[:, :, :learnt].flatten(1, 2), x[:, :, learnt:].flatten(1, 2)
    is_harmful = [torch.arange(2 * n, dtype=torch.float64) < n for n in (learnt, rows - learnt)]
    mean, spread = known.mean(1, keepdim=True), known.std(1, correction=0, keepdim=True)
    spread = torch.where(spread > 0, spread, 1.0)
    weights = logistic_regression((known - mean) / spread, is_harmful[0].double())
    told = _with_one((asked - mean) / spread) @ weights[..., None]
    return ((told[..., 0] > 0) == is_harmful[1]).double().mean(1)


def logistic_regression(x: Tensor, y: Tensor) -> Tensor:
    """argmin over (w, b) of ½‖w‖² + Σ log(1 + exp(-s·(w·x + b))), s = 2y - 1: [units, width + 1].

    The objective of scikit-learn's LogisticRegression at C = 1, for each unit by itself.

    x   float64 [units, rows, width], and y float64 [rows] of 0 and 1, of which there are both

    Raises EngineError where Newton's method does not settle.
    """
    x = _with_one(x)
    held = torch.ones(x.shape[2], dtype=x.dtype)
    held[-1] = 0  # the intercept is free
    w = x.new_zeros(x.shape[0], x.shape[2])

    def objective(w: Tensor) -> Tensor:
        told = (x @ w[..., None])[..., 0]
        losses = nn.functional.softplus(told) - y * told
        return losses.sum(1) + (held * w * w).sum(1) / 2

    for _ in range(MOST_STEPS):
        p = torch.sigmoid((x @ w[..., None])[..., 0])
        slope = ((p - y)[:, None] @ x)[:, 0] + held * w
        if float(slope.abs().max()) < SETTLED * len(y):
            return w
        curve = x.mT @ ((p * (1 - p))[..., None] * x) + torch.diag(held)
        step = torch.linalg.solve(curve, slope)
        length, now = x.new_ones(len(w)), objective(w)
        # Halved until it is no worse: a whole step may overshoot where the sides lie far apart.
        while bool((worse := objective(w - length[:, None] * step) > now).any()):
            length = torch.where(worse, length / 2, length)
            if float(length.min()) < SETTLED:
                break
        w = w - length[:, None] * step
    raise EngineError("The probe of a unit does not settle.", "Give other rows, or more of them.")


def _with_one(x: Tensor) -> Tensor:
    """The same with a last column of ones, for the intercept."""
    return torch.cat([x, x.new_ones(*x.shape[:-1], 1)], -1)
