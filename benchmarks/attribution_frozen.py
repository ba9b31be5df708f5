"""The cases of benchmarks/attribution.py that fine-tune: located weights are kept as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from attribution_plan import Frozen

from safebasin.attribution.masks import top
from safebasin.attribution.random import random_like
from safebasin.attribution.study import model_of
from safebasin.engines.fast.engine import FastEngine
from safebasin.finetune.folder import RECIPE
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import Tuned, finetune
from safebasin.plane import Point
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask

if TYPE_CHECKING:
    from attribution_cases import Laboratory


def frozen(lab: Laboratory) -> Iterator[str]:
    """Harmful fine-tunes with nothing frozen, with the top of safety, with as many random weights.

    All stop after the epoch at whose end the loss of their rows is the plan's, so that they have
    learnt the same. Of a frozen one the checkpoint after as many steps as the free one took is
    asked, too.
    """
    plan = lab.plan.frozen
    if plan is None:
        return
    for seed in plan.seeds:
        for recipe in plan.recipes:
            free = f"frozen/{recipe}/nothing/0/{seed}"
            yield from lab.case(free, lambda r=recipe, s=seed: _trained(lab, plan, r, s))
            for share in plan.shares:
                for kind in ("located", "random"):

                    def kept(r: str = recipe, s: int = seed, p: float = share, k: str = kind,
                             f: str = free) -> dict[str, Any]:  # fmt: skip
                        mask = top(lab.scores(plan.method, "safety", s), p)
                        if k == "random":
                            mask = random_like(mask, s)
                        return _trained(lab, plan, r, s, mask, int(lab.known[f]["steps"]))

                    yield from lab.case(f"frozen/{recipe}/{kind}/{share:g}/{seed}", kept)


def _trained(
    lab: Laboratory,
    plan: Frozen,
    recipe: str,
    seed: int,
    mask: Mask | None = None,
    steps: int | None = None,
) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        file = None
        if mask is not None:
            file = str(
                mask.save(Path(folder, "mask.safetensors"), model_of(lab.subject.checkpoint))
            )
        config = FinetuneConfig(
            lab.plan.model, recipe, plan.rows, rate=plan.rate, decay=1.0, epochs=plan.epochs,
            until_loss=plan.loss, freeze_mask=file, seed=seed, device="cpu",
            out=str(Path(folder, "tuned")),
        )  # fmt: skip
        tuned = finetune(config)
        found: dict[str, Any] = {
            "taken": 0 if mask is None else mask.count,
            "of": sum(one.inputs * one.outputs for one in lab.subject.linear),
            "loss": tuned.loss,
            "steps": tuned.steps,
            **_asked(lab, tuned.final),
        }
        if steps is not None and steps < tuned.steps:
            at = next(one for one in tuned.checkpoints if one.name == f"checkpoint-{steps}")
            found["same_steps"] = {"loss": _loss_after(tuned, steps), **_asked(lab, at)}
        return found


def _loss_after(tuned: Tuned, steps: int) -> float:
    record = json.loads((tuned.folder / RECIPE).read_text(encoding="utf-8"))
    return float(record["loss_after_step"][str(steps)])


def _asked(lab: Laboratory, checkpoint: Path) -> dict[str, Any]:
    """What the answers of a fine-tune are, on the scale of the model that it began with."""
    judge = lab.judge
    tuned = Subject.load(str(checkpoint), device="cpu")
    engine = FastEngine(tuned.model, tuned.weights, {}, tuned.template)
    return lab.judged(lab.answers(Point(), engine), judge)
