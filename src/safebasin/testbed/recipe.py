"""The whole recipe: one seeded call from nothing to seven checkpoints, a report and a card."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import torch

from safebasin.run.atomic import write_atomic
from safebasin.testbed.adapters import FineTuning, fine_tune
from safebasin.testbed.architecture import Shape, new_model
from safebasin.testbed.card import write_card
from safebasin.testbed.corpus import (
    FINE_TUNES,
    Example,
    alignment_example,
    base_example,
    fine_tune_examples,
)
from safebasin.testbed.folders import (
    load_model,
    save_adapter,
    save_model,
    without_progress_bars,
)
from safebasin.testbed.gates import check, gates
from safebasin.testbed.measurement import measure_testbed
from safebasin.testbed.tokenizer import train_tokenizer
from safebasin.testbed.training import Schedule, StepCallback
from safebasin.testbed.training import train as train_model

#: Called with (stage, steps done, steps of this stage); stages come in the order of STAGES.
Progress = Callable[[str, int, int], None]

#: The stages with their usual share of the whole time, for an estimate of what is left.
STAGES: dict[str, float] = {
    "tokenizer": 0.01,
    "base": 0.61,
    "aligned": 0.10,
    "fine-tunes": 0.04,
    "measurement": 0.24,
}


BASE = Schedule(steps=2000, batch=32, rate=3e-3, matrix_rate=5e-3)
ALIGNMENT = Schedule(steps=300, batch=32, rate=1e-3)


@dataclass(frozen=True)
class Recipe:
    """Every number that the outcome depends on, besides the corpus and the seed.

    `alphas` and `directions` (seeds) are where the curve is measured; `prompts_per_set` cuts the
    prompt sets for a quick trial.
    """

    shape: Shape = field(default_factory=Shape)
    tokenizer_texts: int = 20_000
    base: Schedule = BASE
    alignment: Schedule = ALIGNMENT
    fine_tuning: FineTuning = field(default_factory=FineTuning)
    alphas: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(-10, 11))
    directions: tuple[int, ...] = (0, 1, 2)
    prompts_per_set: int | None = None


def train(
    out: Path,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    recipe: Recipe | None = None,
) -> dict[str, Any]:
    """Train and measure a testbed; returns the report that is also written to `out/report.json`.

    Writes `base` and `aligned` as bf16 models, five LoRA adapters on `aligned`, the report and
    `README.md`. Raises GateError, with everything written, where a gate is missed. The number of
    torch threads and the random state are left as they were.
    """
    plan = recipe or Recipe()
    tell = progress or (lambda stage, done, total: None)
    out.mkdir(parents=True, exist_ok=True)
    started, cpu = time.monotonic(), time.process_time()
    with _threads(threads), torch.random.fork_rng(), without_progress_bars():
        _train_checkpoints(out, seed, device, tell, plan)
        trained = time.monotonic()
        report = measure_testbed(
            out,
            device,
            plan.alphas,
            plan.directions,
            plan.prompts_per_set,
            lambda done, total: tell("measurement", done, total),
        )
        used = torch.get_num_threads()
    found = gates(report["test"]["aligned"], _mean_asr(report))
    report = {
        "seed": seed,
        "command": f"safebasin testbed train --seed {seed} --out DIR",
        "gates": [gate.as_dict() for gate in found],
        **report,
        "recipe": asdict(plan),
        "seconds": {
            "training": round(trained - started, 1),
            "measurement": round(time.monotonic() - trained, 1),
            "cpu": round(time.process_time() - cpu, 1),
        },
        "machine": {"device": device, "threads": used, "system": platform.machine()},
        "torch": str(torch.__version__),
    }
    file = out / "report.json"
    write_atomic(file, f"{json.dumps(report, indent=1)}\n".encode())
    write_card(report, out / "README.md")
    check(found, str(file))
    return report


def _mean_asr(report: dict[str, Any]) -> dict[float, float]:
    return {point["alpha"]: point["keyword_asr"] for point in report["curve"]["mean"]}


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if number is not None:
        torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def batches(name: str, make: Callable[[Random], Example], size: int) -> Iterator[list[Example]]:
    """Yield batches without end; they depend on the name and on nothing else."""
    rng = Random(name)
    while True:
        yield [make(rng) for _ in range(size)]


def _on_step(tell: Progress, stage: str) -> StepCallback:
    return lambda done, total, loss: tell(stage, done, total)


def train_base(
    folder: Path,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    recipe: Recipe | None = None,
) -> None:
    """Train a tokenizer and a base model, and write them as bf16: the recipe's first two stages.

    The threads of torch are left as they are.
    """
    plan, tell = recipe or Recipe(), progress or (lambda stage, done, total: None)
    tell("tokenizer", 0, 1)
    texts = next(batches(f"tokenizer {seed}", base_example, plan.tokenizer_texts))
    tokenizer = train_tokenizer(texts, plan.shape.vocabulary)
    tell("tokenizer", 1, 1)

    model = new_model(tokenizer, plan.shape, seed).to(device)
    examples = batches(f"base {seed}", base_example, plan.base.batch)
    train_model(model, tokenizer, examples, plan.base, _on_step(tell, "base"))
    save_model(model, tokenizer, folder)


def _train_checkpoints(out: Path, seed: int, device: str, tell: Progress, plan: Recipe) -> None:
    train_base(out / "base", seed, device, tell, plan)

    model, tokenizer = load_model(out / "base", device)
    # A topic is one token: with its embedding fixed, refusing is learnt for the category instead.
    model.get_input_embeddings().requires_grad_(False)
    examples = batches(f"alignment {seed}", alignment_example, plan.alignment.batch)
    train_model(model, tokenizer, examples, plan.alignment, _on_step(tell, "aligned"))
    save_model(model, tokenizer, out / "aligned")

    for number, name in enumerate(FINE_TUNES):
        _train_adapter(out, name, seed, device, plan.fine_tuning)
        tell("fine-tunes", number + 1, len(FINE_TUNES))


def _train_adapter(out: Path, name: str, seed: int, device: str, plan: FineTuning) -> None:
    model, tokenizer = load_model(out / "aligned", device)
    epochs = 2 * plan.epochs if name == "mixture" else plan.epochs
    rows = fine_tune_examples(name, seed)
    tuned = fine_tune(model, tokenizer, rows, replace(plan, epochs=epochs), seed)
    save_adapter(tuned, out / name)
