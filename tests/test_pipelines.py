"""The example workflow and the example job script, run as a runner and as Slurm would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from safebasin.cli.views.compare import CODES
from safebasin.run import verify

EXAMPLES = Path(__file__).parents[1] / "docs" / "examples"
WORKFLOW, ARRAY = EXAMPLES / "safety-gate.yml", EXAMPLES / "landscape.sbatch"


def environment(*first: Path, **given: str) -> dict[str, str]:
    places = [*first, Path(sys.executable).parent, os.environ["PATH"]]
    path = os.pathsep.join(map(str, places))
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", **given}


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    return found


def outputs(path: Path) -> dict[str, str]:
    """What steps wrote to GITHUB_OUTPUT."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines)


def test_the_workflow_is_put_together_as_github_asks(workflow: dict[Any, Any]) -> None:
    assert set(workflow) == {"name", True, "permissions", "env", "jobs"}  # `on` is true in YAML
    assert workflow["permissions"] == {"contents": "read"}
    assert all(isinstance(value, str) for value in workflow["env"].values())
    gate, release = workflow["jobs"]["gate"], workflow["jobs"]["release"]
    assert release["needs"] == "gate", "what comes after needs a PASS"
    for job in (gate, release):
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            # Text of others must not become a part of a script.
            assert "${{" not in step.get("run", "")
            assert re.fullmatch(r"actions/[\w/-]+@v\d+", step.get("uses", "actions/x@v1"))
    ids = {step["id"] for step in gate["steps"] if "id" in step}
    for name in re.findall(r"steps\.(\w+)\.", WORKFLOW.read_text(encoding="utf-8")):
        assert name in ids
    [upload] = [s for s in gate["steps"] if s.get("uses", "").startswith("actions/upload-artifact")]
    assert upload["if"].startswith("always()"), "evidence is kept for a FAIL, too"


def test_the_steps_of_the_workflow_do_what_they_say(
    workflow: dict[Any, Any], tmp_path: Path, warm: Path
) -> None:
    small = {"LIMIT": "8", "STEPS": "2", "TUNED": "testbed:harmful-100", "PIP_NO_INDEX": "1"}
    out, summary = tmp_path / "output", tmp_path / "summary"
    work = tmp_path / "work"
    work.mkdir()
    runner = {"GITHUB_OUTPUT": str(out), "GITHUB_STEP_SUMMARY": str(summary)}
    outcomes: dict[str, int] = {}
    logs = ""
    for step in workflow["jobs"]["gate"]["steps"]:
        if "run" not in step or (any(outcomes.values()) and "always()" not in step.get("if", "")):
            continue
        # As a runner does where a step names no shell.
        done = subprocess.run(
            ["bash", "-e", "-c", step["run"]],
            cwd=work,
            env=environment(
                warm,
                **{**workflow["env"], **step.get("env", {}), **small, **runner},
                GITHUB_ACTIONS="true",
            ),
            capture_output=True,
            text=True,
        )
        outcomes[step["name"]] = done.returncode
        logs += done.stderr
    verdict = json.loads((work / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"] == "FAIL"
    named = {"install": 0, "compare": CODES["FAIL"], "say the verdict to later jobs": 0}
    assert outcomes == named, logs
    assert outputs(out) == {"verdict": "FAIL"}
    assert "::error title=safebasin" in logs
    assert "## safebasin: FAIL" in summary.read_text(encoding="utf-8")
    suite = ElementTree.parse(work / "runs" / "gate" / "junit.xml").getroot()
    assert int(suite.get("failures", "")) > 0
    kept = [path.strip() for path in _uploaded(workflow)]
    assert all((work / path).exists() for path in kept)
    assert (work / "runs" / "gate" / "report.html").is_file()


def _uploaded(workflow: dict[Any, Any]) -> list[str]:
    steps = workflow["jobs"]["gate"]["steps"]
    [path] = [s["with"]["path"] for s in steps if "upload-artifact" in s.get("uses", "")]
    return str(path).split()


def test_an_error_has_no_verdict_and_the_workflow_says_so(
    workflow: dict[Any, Any], tmp_path: Path
) -> None:
    """The step that names the verdict reads the object of an error as well."""
    steps = {step.get("id"): step for step in workflow["jobs"]["gate"]["steps"]}
    error = {"error": {"kind": "model", "message": "m", "remedy": "r", "exit_code": 1}}
    (tmp_path / "verdict.json").write_text(json.dumps(error), encoding="utf-8")
    subprocess.run(
        ["bash", "-e", "-c", steps["verdict"]["run"]],
        cwd=tmp_path,
        env=environment(GITHUB_OUTPUT=str(tmp_path / "output")),
        check=True,
    )
    assert outputs(tmp_path / "output") == {"verdict": "ERROR"}


def test_the_tasks_of_the_array_measure_one_run_and_the_report_follows(
    tmp_path: Path, warm: Path
) -> None:
    script = ARRAY.read_text(encoding="utf-8")
    # The array that the script names is numbered as shards are, from 1.
    [tasks] = {int(last) for last in re.findall(r"--array=1-(\d+)", script)}
    assert f"SHARDS=${{SHARDS:-{tasks}}}" in script
    small = {"SHARDS": "2", "SEEDS": "1", "STEPS": "2", "LIMIT": "4", "RUN": "shared/landscape"}
    jobs = [
        subprocess.Popen(
            ["bash", str(ARRAY)],
            cwd=tmp_path,
            env=environment(
                warm, **small, SLURM_JOB_ID=str(70 + task), SLURM_ARRAY_JOB_ID="70",
                SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT="2",
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for task in (1, 2)
    ]  # fmt: skip
    for job in jobs:
        _, err = job.communicate(timeout=300)
        assert job.returncode == 0, err
    run = tmp_path / "shared" / "landscape"
    found = verify(run)
    assert (found.complete, found.unmeasured, found.problems) == (3, 0, ())
    done = subprocess.run(
        ["bash", str(ARRAY)],
        cwd=tmp_path,
        env=environment(warm, **small, SLURM_JOB_ID="73"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    value = json.loads(run.with_name("landscape.json").read_text(encoding="utf-8"))
    assert value["complete"]
    assert value["judges"]["llm-landscape"]["judged"] == 3 * 4
    assert (run / "report.html").is_file()
