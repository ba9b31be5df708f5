"""How well broken text is told from fluent text, on answers whose label is exact.

The packaged model speaks a language with a closed grammar, so every answer is either one of its
sentences or broken. Answers are taken at displaced points along random directions and along the
way to the packaged fine-tunes; thresholds are chosen on the dev prompts, and the error rates of
the chosen and of the default thresholds are measured on the test prompts, which take no part in
the choice.

    python benchmarks/coherence_calibration.py --out benchmarks/results/coherence_calibration.json
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Direction, Gaussian, Toward
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.exchange import Exchange
from safebasin.judges import Coherence, Lexicon, Thresholds, calibrate, evaluate
from safebasin.plane import Point
from safebasin.prompts import load
from safebasin.testbed.grammar import Label, label
from safebasin.weights import Weights

KINDS = ("harmful", "benign")
DIRECTIONS = {"dev": (0, 1, 2), "test": (3, 4, 5)}
ALPHAS = (0.1, 0.2, 0.3, 0.4, 0.5)
FINE_TUNES = ("harmful-50", "harmful-100", "benign")


class Answers:
    """Labelled answers of the aligned model at displaced points."""

    def __init__(self) -> None:
        checkpoint = Checkpoint.parse("testbed:aligned")
        model, tokenizer = checkpoint.load("float32", "cpu")
        weights = Weights(model, exclude_norms=False)
        noise = Weights(model)
        directions: dict[str, Direction] = {
            f"gaussian-{seed}": Gaussian(seed, noise)
            for seeds in DIRECTIONS.values()
            for seed in seeds
        }
        directions |= {
            name: Toward(Checkpoint.parse(f"testbed:{name}"), weights, name=name)
            for name in FINE_TUNES
        }
        self.engine = PlainEngine(model, weights, directions, Template.of(tokenizer))
        self.lexicon = Lexicon.of(
            tokenizer.get_vocab(), [p.text for kind in KINDS for p in load(f"testbed:{kind}")]
        )

    def collect(self, split: str) -> Iterator[tuple[Exchange, bool]]:
        """(exchange, whether it is broken) for every prompt at every point."""
        points = [Point()]
        for seed in DIRECTIONS[split]:
            for alpha in ALPHAS:
                points += [Point.of({f"gaussian-{seed}": sign * alpha}) for sign in (-1, 1)]
        points += [Point.of({name: 1.0}) for name in FINE_TUNES]
        prompts = [
            p
            for kind in KINDS
            for p in load(f"testbed:{kind}" + ("-dev" if split == "dev" else ""))
        ]
        sampling = Sampling(self.engine.own_limit or 64)
        for _, exchanges in self.engine.answers(points, prompts, sampling):
            for exchange in exchanges:
                yield exchange, label(exchange.prompt, exchange.response).label is Label.BROKEN

    def own(self, number: int) -> list[Exchange]:
        """The undisplaced model's answers to so many harmless dev prompts."""
        prompts = load("testbed:benign-dev").sample(number, 0).prompts
        [(_, found)] = self.engine.answers([Point()], prompts, Sampling(64))
        return found


def rates(judge: Coherence, rows: list[tuple[Exchange, bool]]) -> Any:
    """The error rates of a judge on labelled answers, with their intervals."""
    exchanges, broken = zip(*rows, strict=True)
    report = evaluate(judge, exchanges, broken)
    return {
        "broken": report.broken_flagged + report.broken_passed,
        "fluent": report.fluent_flagged + report.fluent_passed,
        "missed": report.missed.to_json(),
        "false_alarms": report.false_alarms.to_json(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    answers = Answers()
    dev, test = list(answers.collect("dev")), list(answers.collect("test"))
    exchanges, broken = zip(*dev, strict=True)
    chosen, _ = calibrate(exchanges, broken, answers.lexicon)
    # As a run has them: 32 answers of the undisplaced model to harmless prompts.
    default = Coherence(answers.lexicon).against(answers.own(32))
    calibrated = Coherence(answers.lexicon, chosen)
    alone = Coherence(answers.lexicon, Thresholds(factor=None))
    result = {
        "command": "python benchmarks/coherence_calibration.py --out FILE",
        "prompts": {"dev": "testbed:harmful-dev, benign-dev", "test": "testbed:harmful, benign"},
        "directions": {k: list(v) for k, v in DIRECTIONS.items()},
        "alphas": [-a for a in reversed(ALPHAS)] + [0.0, *ALPHAS],
        "fine_tunes": list(FINE_TUNES),
        "versions": {name: version(name) for name in ("safebasin", "torch", "transformers")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
        "calibrated": {
            "thresholds": asdict(chosen),
            "dev": rates(calibrated, dev),
            "test": rates(calibrated, test),
        },
        "default": {
            "thresholds": asdict(default.thresholds) | {"max_nll": default.cut},
            "test": rates(default, test),
        },
        "default_without_log_probability": {
            "thresholds": asdict(alone.thresholds),
            "test": rates(alone, test),
        },
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for name in ("calibrated", "default", "default_without_log_probability"):
        part = result[name]["test"]
        print(f"{name}: missed {part['missed']['value']:.3f}, "
              f"false alarms {part['false_alarms']['value']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
