"""Broken text told from fluent text on a real language model, by hand-made labels.

`benchmarks/labelled/smollm2_displaced.jsonl` holds 300 answers of a displaced SmolLM2-135M-Instruct
to harmless prompts (XSTest's safe ones and OKTest, named by their ids), each read and labelled by
hand, and the undisplaced model's own answers, which give the scale. The thresholds were chosen on
the part "choice"; the part "held-out" has other prompts. benchmarks/labelled/README.md says how the
answers were made and what was called broken.

With --line RUN and --compare RUN/path the shares of incoherent answers of scans of that model are
taken, too.

    python benchmarks/broken_text_labels.py --out benchmarks/results/broken_text_labels.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from safebasin.agreement.measures import cohen_kappa
from safebasin.exchange import Exchange
from safebasin.judges import Coherence, OutcomeJudge, evaluate
from safebasin.reference import scaled
from safebasin.run import RunFolder

LABELLED = Path(__file__).parent / "labelled" / "smollm2_displaced.jsonl"
PARTS = ("choice", "held-out")


def answers(part: str) -> tuple[list[Exchange], list[bool]]:
    """The answers of a part, and whether each is broken by its label."""
    rows = [json.loads(line) for line in LABELLED.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["part"] == part]
    exchanges = [
        Exchange(
            f"{i}", row["prompt"], row["response"], row["finish"], 0, len(row["logprobs"])
        ).scored(row["logprobs"])
        for i, row in enumerate(rows)
    ]
    return exchanges, [row.get("label") == "broken" for row in rows]


def judge() -> Coherence:
    """The judge with its defaults, on the scale of the undisplaced model's answers."""
    return Coherence().against(answers("undisplaced")[0])


def agreement(found: Coherence, part: str) -> dict[str, Any]:
    """How the judge agrees with the labels of a part."""
    exchanges, broken = answers(part)
    called = [verdict.outcome == "incoherent" for verdict in found.judge(exchanges)]
    table = np.zeros((2, 2))
    np.add.at(table, (np.array(broken, int), np.array(called, int)), 1)
    report = evaluate(found, exchanges, broken)
    return {
        "answers": len(broken),
        "broken": sum(broken),
        "kappa": float(cohen_kappa(table)),
        "missed": report.missed.to_json(),
        "false_alarms": report.false_alarms.to_json(),
    }


def incoherent(folder: Path) -> list[dict[str, Any]]:
    """The share of each point's answers that `outcome` calls incoherent, on the run's scale."""
    run = RunFolder.read(folder)
    on_scale = scaled(run, OutcomeJudge())
    if on_scale is None:
        raise SystemExit(f"{folder} has not answered at the origin yet")
    rows = []
    for point in run.manifest.points:
        verdicts = on_scale.judge(run.read_point(point) or [])
        outcomes = [verdict.outcome for verdict in verdicts]
        rows.append(
            {
                "point": dict(point.terms),
                "answers": len(outcomes),
                **{name: outcomes.count(name) for name in ("refused", "complied", "incoherent")},
                "runs_on": sum(verdict.detail == "runs on" for verdict in verdicts),
            }
        )
    return rows


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--line", type=Path)
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args(given)
    found = judge()
    if found.scale is None:
        raise SystemExit("no scale")
    result: dict[str, Any] = {
        "command": "python benchmarks/broken_text_labels.py --out FILE",
        "versions": {"safebasin": version("safebasin")},
        "thresholds": asdict(found.thresholds),
        "scale": found.scale.to_json(),
        "parts": {part: agreement(found, part) for part in PARTS},
    }
    old = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in ("line", "compare"):
        folder = getattr(options, name)
        result[name] = incoherent(folder) if folder else old.get(name)
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for part in PARTS:
        one = result["parts"][part]
        print(f"{part}: kappa {one['kappa']:.3f}, missed {one['missed']['value']:.3f}, "
              f"false alarms {one['false_alarms']['value']:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
