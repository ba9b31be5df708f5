"""The benchmark of a GPU, at tiny shapes on the CPU: every part runs, and says what it measured."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.exit_codes import exit_code

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("gpu") / "gpu.json"
    arguments = {
        "--device": "cpu",
        "--shapes": "tiny",
        "--equality-shape": "tiny",
        "--prompts": "6",
        "--points": "3",
        "--max-new-tokens": "10",
        "--reference-prompts": "4",
        "--equality-prompts": "2",
        "--equality-tokens": "10",
        "--out": str(out),
    }
    flat = [word for pair in arguments.items() for word in pair]
    # What a bare machine with a GPU lacks is not there to be imported either.
    bare = (
        "import runpy, sys\n"
        "for name in ('rich', 'plotly', 'typer'): sys.modules[name] = None\n"
        f"sys.path.insert(0, {str(SCRIPT.parent)!r})\n"
        f"sys.argv = [{str(SCRIPT)!r}, *{flat!r}]\n"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def test_every_way_gives_the_plain_verdicts(found: dict[str, Any]) -> None:
    assert found["left_out"] == []
    for model in ("testbed:aligned", "tiny"):
        ways = found["equality"][model]
        assert len(ways) == 9
        for way in ways.values():
            assert way["verdicts"] == 10
            assert way["verdicts_that_differ"] == way["answers_that_begin_otherwise"] == 0


def test_each_figure_stands_beside_what_the_machine_can_do(found: dict[str, Any]) -> None:
    assert found["ceilings"]["copy_bytes_per_second"] > 0
    shape = found["tiny"]
    for name in ("one point, in place", "line, pool", "line, in place", "line, as chosen"):
        part = shape[name]
        assert part["answer_tokens"] == 6 * 10 * part["points"]
        assert part["times_the_reference"] > 0
        assert part["least_bytes_per_second"] > 0
        assert part["planned_bytes"] > 0
    assert shape["one point, the reference"]["answer_tokens"] == 4 * 10


def test_directions_are_timed_by_how_they_come_to_the_device(found: dict[str, Any]) -> None:
    displacing = found["tiny"]["displacing"]
    assert displacing["weights"] > 100_000
    times = [way["seconds_there_and_back"] for way in displacing.values() if isinstance(way, dict)]
    assert times
    assert all(seconds > 0 for seconds in times)


def test_a_real_models_verdicts_are_held_against_those_of_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gpu_real.json"
    given = (
        "testbed:aligned --prompts testbed:harmful --limit 4 --steps 2 --max-new-tokens 8 "
        f"--reference-prompts 4 --device cpu --out {out}"
    )
    script = str(SCRIPT.with_name("gpu_real.py"))
    monkeypatch.syspath_prepend(SCRIPT.parent)
    monkeypatch.setattr(sys, "argv", [script, *given.split()])
    assert exit_code(lambda: runpy.run_path(script, run_name="__main__")) == 0
    result = json.loads(out.read_text(encoding="utf-8"))
    assert result["left_out"] == []
    for name in ("plain, float32", "fast, float32"):
        assert result[name]["verdicts_that_differ"] == 0
        assert set(result[name]["refused"]) == {"d=-0.3", "origin", "d=+0.3"}
    assert result["fast, bfloat16"]["verdicts_that_differ"] <= 1
    assert result["reference, bfloat16"]["answer_tokens"] > 0
