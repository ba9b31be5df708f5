"""A line of a real model on one GPU, by every way: seconds, and verdicts held against float32's.

    PYTHONPATH=src python benchmarks/gpu_real.py MODEL --prompts advbench=FILE --out gpu_real.json

MODEL is a folder, or one with an adapter after a plus. It needs what benchmarks/gpu.py needs, and
peft for an adapter. `plain` in float32 is what all others are held against; `reference` is the
published procedure at one point, for `--reference-prompts` prompts, its time scaled to all. Unlike
the random weights of benchmarks/gpu.py, a real model's answers end, its verdicts decide early, and
drafts are taken.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gpu import Clock, Parts, free_cached, machine, reference, refuses, watched

from safebasin.checkpoint import Checkpoint
from safebasin.directions import random_direction
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.memory import free_model
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.plane import Axis, Plane
from safebasin.prompts import load
from safebasin.stopping import StopRule
from safebasin.weights import Weights

Verdicts = dict[str, list[bool]]
"""By point, whether each answer is a refusal."""


class Line:
    """One model in one dtype, and the points at which it is asked."""

    def __init__(self, given: argparse.Namespace, dtype: str, clock: Clock) -> None:
        self.given, self.clock = given, clock
        self.model, tokenizer = Checkpoint.parse(given.model).load(dtype, given.device)
        self.template = Template.of(tokenizer)
        self.prompts = list(load(given.prompts).prompts[: given.limit])
        self.weights = Weights(self.model)
        self.direction = random_direction(0, self.weights, law="counter", name="d")
        self.points = list(Plane((Axis.symmetric("d", given.radius, given.steps),)).points)

    def by(self, name: str) -> dict[str, Any]:
        """Answer the line; the fast engine's plan, with its timed passes, is counted apart."""
        sampling = Sampling(self.given.max_new_tokens)
        directions = {"d": self.direction}
        engine: Any
        if name == "plain":
            engine = PlainEngine(self.model, self.weights, directions, self.template)
        else:
            stop = StopRule(LLM_LANDSCAPE)
            engine = FastEngine(
                self.model, self.weights, directions, self.template, stop=stop, scores=False
            )
        planning, mode = 0.0, "plain"
        if name != "plain":
            plans: list[Any] = []
            planning = self.clock.of(
                lambda: plans.append(engine.plan(self.points, self.prompts, sampling))
            )
            mode = plans[0].mode
        done: list[Any] = []
        free_cached(self.given.device)
        with watched(self.given.device) as used:
            seconds = self.clock.of(
                lambda: done.extend(engine.answers(self.points, self.prompts, sampling))
            )
        return {
            "mode": mode,
            "points": len(self.points),
            "prompts": len(self.prompts),
            "planning_seconds": planning,
            "seconds": seconds,
            "answer_tokens": sum(each.new_tokens for _, found in done for each in found),
            "used_bytes": used[0],
            "notes": getattr(engine, "notes", []),
            "verdicts": {p.label: [refuses(each.response) for each in found] for p, found in done},
        }

    def by_reference(self) -> dict[str, Any]:
        """One displaced point by the published procedure."""
        return reference(
            self.model,
            self.weights,
            self.direction,
            self.template,
            self.given,
            self.prompts,
            self.clock,
        )


def differing(found: Verdicts, expected: Verdicts) -> int:
    """How many verdicts are others than those expected."""
    return sum(
        a != b for label in expected for a, b in zip(found[label], expected[label], strict=True)
    )


def measure(parts: Parts, given: argparse.Namespace, clock: Clock) -> None:
    """Both dtypes, each by every way; what is measured stands in `parts.value`."""
    for dtype in ("float32", "bfloat16"):
        line = Line(given, dtype, clock)
        works: dict[str, Callable[[], dict[str, Any]]] = {
            "plain": partial(line.by, "plain"),
            "fast": partial(line.by, "fast"),
            "reference": line.by_reference,
        }
        for name, work in works.items():
            parts.do(parts.value, f"{name}, {dtype}", work)
        free_model(line.model)


def compared(found: dict[str, Any]) -> None:
    """Replace the verdicts by how many differ from plain's in float32, and how many refuse."""
    ways = {
        name: part for name, part in found.items() if isinstance(part, dict) and "verdicts" in part
    }
    expected = ways["plain, float32"]["verdicts"]
    counts = {name: differing(part["verdicts"], expected) for name, part in ways.items()}
    for name, part in ways.items():
        part["verdicts_that_differ"] = counts[name]
        part["refused"] = {label: sum(own) for label, own in part.pop("verdicts").items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--prompts", required=True, help="a set, or NAME=FILE")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--limit", type=int, default=80)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--radius", type=float, default=0.3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--reference-prompts", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=300, help="begin no part after that")
    given = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    parts = Parts(given.out, given.seconds)
    parts.value["machine"] = machine(given.device)
    asked = ("limit", "max_new_tokens", "radius", "steps", "reference_prompts")
    parts.value["asked"] = {name: getattr(given, name) for name in asked}
    measure(parts, given, Clock(given.device))
    if not parts.failed:
        compared(parts.value)
    parts.save()
    print(json.dumps(parts.value, indent=1))
    sys.exit(1 if parts.failed else 0)


if __name__ == "__main__":
    main()
