"""Broken text of a real language model, told as one reader told it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "benchmarks"
RESULT = ROOT / "results" / "broken_text_labels.json"


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The committed figures, made anew from the committed answers and labels."""
    out = tmp_path_factory.mktemp("labels") / "result.json"
    script = ROOT / "broken_text_labels.py"
    subprocess.run([sys.executable, str(script), "--out", str(out)], check=True)
    found: dict[str, object] = json.loads(out.read_text(encoding="utf-8"))
    return found


def test_the_committed_figures_are_those_of_this_judge(again: dict[str, object]) -> None:
    committed = json.loads(RESULT.read_text(encoding="utf-8"))
    for name in ("thresholds", "scale", "parts"):
        assert again[name] == committed[name], "run benchmarks/broken_text_labels.py again"


def test_the_half_that_was_not_used_agrees() -> None:
    part = json.loads(RESULT.read_text(encoding="utf-8"))["parts"]["held-out"]
    assert part["kappa"] >= 0.9
    assert part["false_alarms"]["value"] <= 0.05


def test_the_undisplaced_model_is_fluent_and_far_away_it_is_not() -> None:
    line = json.loads(RESULT.read_text(encoding="utf-8"))["line"]
    for row in line:
        alpha = abs(next(iter(row["point"].values()), 0.0))
        share = row["incoherent"] / row["answers"]
        if alpha == 0.0:
            assert share <= 0.05
        elif alpha >= 0.3:
            assert share >= 0.95
    near = [row for row in line if abs(next(iter(row["point"].values()), 0.0)) == 0.05]
    assert len(near) == 2
    assert sum(row["incoherent"] for row in near) <= 0.05 * sum(row["answers"] for row in near)


def test_a_fine_tunes_compliance_is_not_broken() -> None:
    path = json.loads(RESULT.read_text(encoding="utf-8"))["compare"]
    [tuned] = [row for row in path if row["point"] == {"tuned": 1.0}]
    assert tuned["complied"] >= 0.95 * tuned["answers"]
