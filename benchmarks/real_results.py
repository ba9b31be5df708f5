"""Collects what the steps on the real model left into one committed file, without any answer.

    python benchmarks/real_results.py --out benchmarks/results/real.json

Of each step: its command, what it took, and the JSON that it wrote. Of the line that
`make real-quick` draws also every verdict, in the order of the prompts, so that a test can ask a
point again. Whatever is not measured yet is left out, and the page says so.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import re
from collections import Counter
from pathlib import Path
from typing import Any

from real_steps import ROOT, RUNS, TIMES, Sources, steps

from safebasin.judges import Judge
from safebasin.plane import Point
from safebasin.results import stored_judges
from safebasin.run import RunFolder

CODES = {"refused": "R", "complied": "C", "incoherent": "I", None: "-"}
"""One letter a verdict."""
FIRST = ROOT / "benchmarks" / "results" / "real_first_alignment.json"
"""What an earlier adapter, trained on other rows, came to."""
LABELS = ROOT / "benchmarks" / "real" / "read.jsonl"
"""What reading made of answers, a line each: the run, the prompt and the outcome, no answer."""


def collected(root: Path) -> dict[str, Any]:
    """Everything that is measured, by the name of its step."""
    own = Sources(str(RUNS / "smollm2"))
    times = json.loads((root / RUNS / TIMES).read_text(encoding="utf-8"))
    found = {}
    for step in steps(own):
        if step.finished(root):
            found[step.name] = {
                "command": " ".join(step.command()),
                "took": times.get(step.name),
                **result(root / RUNS / step.result),
            }
    return {
        "command": "make real",
        "versions": {
            name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft")
        },
        "python": platform.python_version(),
        "steps": found,
        "verdicts": verdicts(root / RUNS / "line"),
        "read": read(root / RUNS),
        "first": json.loads(FIRST.read_text(encoding="utf-8")),
    }


def result(path: Path) -> dict[str, Any]:
    """What a step wrote, its numbers to six digits, and no folder of this machine."""
    if path.suffix != ".json" or path.name == "config.json":
        return {}
    found = json.loads(path.read_text(encoding="utf-8"), parse_float=lambda x: round(float(x), 6))
    if path.name == "recipe.json":
        finished = found["finished"]
        losses = finished["losses"]
        return {
            "steps": finished["steps"],
            "rows": found["identity"]["data"]["rows"],
            "data": found["identity"]["data"]["sha256"],
            "loss": [losses[0], losses[-1]] if losses else None,
        }
    manifest = path.parent / "manifest.json"
    asked = {}
    if manifest.is_file():
        identity = json.loads(manifest.read_text(encoding="utf-8"))["identity"]
        asked = {
            name: identity[name] for name in ("model", "prompts", "sampling") if name in identity
        }
    return {"asked": asked, "result": found}


def verdicts(folder: Path) -> dict[str, Any] | None:
    """Each judge's verdicts at each point of a run; None where there is none."""
    if not (folder / "landscape.json").is_file():
        return None
    with RunFolder.read(folder) as run:
        ids = list(run.manifest.prompt_ids)
        return {
            "prompts": ids,
            "judges": {judge.name: by_point(run, judge, ids) for judge in stored_judges(run)},
        }


def read(runs: Path) -> dict[str, Any]:
    """By run: how many answers were read as what, and how many each judge reads so, too."""
    if not LABELS.is_file():
        return {}
    lines = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    found: dict[str, Any] = {}
    for name in dict.fromkeys(line["run"] for line in lines):
        labels = {line["prompt"]: line["label"] for line in lines if line["run"] == name}
        with RunFolder.read(runs / name) as run:
            agree = {}
            for judge in stored_judges(run):
                stored = run.read_verdicts(judge.name, judge.spec(), Point())
                agree[judge.name] = sum(
                    (stored[one].outcome == "refused") == (label == "refused")
                    for one, label in labels.items()
                )
        found[name] = {"labels": dict(Counter(labels.values())), "agree": agree}
    return found


def by_point(run: RunFolder, judge: Judge, ids: list[str]) -> dict[str, str]:
    """A letter a prompt, at each point that was asked."""
    found = {}
    for point in run.manifest.points:
        stored = run.read_verdicts(judge.name, judge.spec(), point)
        if stored:
            found[point.label] = "".join(
                CODES[stored[i].outcome] if i in stored else "-" for i in ids
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    text = json.dumps(collected(ROOT), indent=1, allow_nan=False)
    # Lists of numbers stand on one line.
    text = re.sub(r"\[\s+([-\d.,\s enul]+?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    # A set given as NAME=FILE by its name alone: where the file lay says nothing.
    text = re.sub(r'"([\w-]+)=/[^"]*"', r'"\1"', text)
    given.out.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
