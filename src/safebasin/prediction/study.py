"""Runs a study: one record a checkpoint on the disk, so that the same call goes on after a stop."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from safebasin.errors import RunError
from safebasin.prediction.alignment import AlignmentPlan, align
from safebasin.prediction.design import Base, Study
from safebasin.prediction.measuring import after, before, without_tuning
from safebasin.run.atomic import write_atomic
from safebasin.testbed import model_path
from safebasin.testbed.folders import load_model, save_model, without_progress_bars
from safebasin.testbed.recipe import train_base

Progress = Callable[[str], None]
"""Called with a line for people: what was done, how far the study is, and how long it will take."""


def run(study: Study, folder: Path, tell: Progress) -> list[dict[str, Any]]:
    """Train, measure and tune what `folder` has no record of yet; returns all records in order.

    A record is written atomically once a checkpoint is complete, and its weights are deleted.
    Raises RunError where the folder belongs to a study of another design.
    """
    (folder / "records").mkdir(parents=True, exist_ok=True)
    _claim(study, folder)
    wanted = study.checkpoints()
    absent = [one for one in wanted if not _record(folder, one[0]).exists()]
    if len(absent) < len(wanted):
        tell(f"resuming: {len(wanted) - len(absent)} of {len(wanted)} checkpoints are there")
    begun = time.monotonic()
    with without_progress_bars(), torch.random.fork_rng():
        bases = {base.name: _base(base, folder, tell) for base in study.bases}
        trained = time.monotonic()
        for done, (name, base, plan) in enumerate(absent, start=1):
            record = _checkpoint(study, name, base, bases[base.name], plan, folder)
            write_atomic(_record(folder, name), f"{json.dumps(record, indent=1)}\n".encode())
            left = (time.monotonic() - trained) / done * (len(absent) - done)
            tell(
                f"{name}: {len(wanted) - len(absent) + done} of {len(wanted)} checkpoints, "
                f"{(time.monotonic() - begun) / 60:.0f} min, about {left / 60:.0f} min left"
            )
    return records(study, folder)


def records(study: Study, folder: Path) -> list[dict[str, Any]]:
    """The records that are there, in the order of the design."""
    files = [_record(folder, name) for name, _, _ in study.checkpoints()]
    return [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]


def _record(folder: Path, name: str) -> Path:
    return folder / "records" / f"{name}.json"


def _claim(study: Study, folder: Path) -> None:
    file = folder / "design.json"
    design = f"{json.dumps(study.to_json(), indent=1)}\n"
    if file.exists() and file.read_text(encoding="utf-8") != design:
        raise RunError(
            f"'{folder}' holds a study of another design.", "Give another folder, or remove it."
        )
    write_atomic(file, design.encode())


def _base(base: Base, folder: Path, tell: Progress) -> Path:
    """The folder of a base model, trained unless it is there."""
    if base.packaged:
        return model_path("base")
    target = folder / "bases" / base.name
    if target.exists():
        return target
    begun = time.monotonic()

    def on_step(stage: str, done: int, total: int) -> None:
        if stage == "base" and done % 100 == 0:
            left = (time.monotonic() - begun) / done * (total - done)
            tell(f"base {base.name}: {done} of {total} steps, about {left / 60:.0f} min left")

    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    train_base(unfinished, base.seed, progress=on_step, recipe=base.recipe())
    target.parent.mkdir(exist_ok=True)
    os.replace(unfinished, target)  # noqa: PTH105 (whole or not at all)
    return target


def _checkpoint(
    study: Study, name: str, base: Base, source: Path, plan: AlignmentPlan, folder: Path
) -> dict[str, Any]:
    target = folder / "checkpoint"
    shutil.rmtree(target, ignore_errors=True)
    times = [time.process_time()]
    model, tokenizer = load_model(source)
    align(model, tokenizer, plan, study.batch)
    save_model(model, tokenizer, target)
    times.append(time.process_time())
    known = before(target, study.before)
    times.append(time.process_time())
    untuned = without_tuning(target, study.test_prompts)
    tuned = {tune.name: after(target, tune, study.test_prompts) for tune in study.tunes}
    times.append(time.process_time())
    shutil.rmtree(target)
    seconds = [round(end - start, 1) for start, end in pairwise(times)]
    return {
        "name": name,
        "base": base.name,
        "alignment": plan.to_json(),
        "before": known,
        "untuned": untuned,
        "after": tuned,
        "cpu_seconds": dict(zip(("alignment", "before", "after"), seconds, strict=True)),
    }
