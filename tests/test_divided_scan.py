"""`safebasin scan` of a model that is divided among processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.division import require_heads
from safebasin.config import ScanConfig
from safebasin.errors import CheckpointError, SafebasinError, UsageError
from safebasin.plane import Point
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.spread.followers import Followers
from safebasin.study.preparation import load

ASKED = ["--seeds", "1", "--steps", "4", "--limit", "8", "--max-new-tokens", "40"]
SETTINGS = ScanConfig(
    seeds=(0,), steps=4, limit=8, max_new_tokens=40, judges=("llm-landscape",), workers=1
)  # fmt: skip

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not torch.distributed.is_available(),
    reason="needs processes that meet on this machine",
)


def begun(out: Path) -> subprocess.Popen[str]:
    """The command, in two processes."""
    if not hasattr(pytest.importorskip("transformers.distributed"), "DistributedConfig"):
        pytest.skip("this version of transformers divides models in another way")
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        [
            sys.executable, "-m", "safebasin", "scan", "testbed:aligned", *ASKED,
            "--judge", "llm-landscape", "--tensor-parallel", "2", "--out", str(out),
        ],
        env={**os.environ, **alone},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def points(out: Path) -> int:
    return len(list((out / "points").glob("*.jsonl")))


def test_a_divided_scan_outlives_a_lost_process_and_is_that_of_the_whole_model(
    tmp_path: Path,
) -> None:
    out = tmp_path / "divided"
    first = begun(out)
    until = time.monotonic() + 120
    while not points(out) and first.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    children = psutil.Process(first.pid).children()
    [other] = [child for child in children if "divided" in " ".join(child.cmdline())]
    other.send_signal(signal.SIGKILL)
    said, _ = first.communicate(timeout=120)
    assert "Process 1 of those that hold a part of the model ended" in said
    assert "the same command again" in said
    assert "Traceback" not in said
    assert first.returncode == 1
    assert 0 < points(out) < 5

    again = begun(out)
    said, _ = again.communicate(timeout=240)
    assert again.returncode == 0, said
    assert "divided  among 2 processes" in said
    assert "of 40 answers are there already" in said
    assert not psutil.pid_exists(other.pid)

    whole = prepare(ScanConfig.from_json(SETTINGS.to_json() | {"out": str(tmp_path / "w")}))
    scan(whole)
    ours, theirs = RunFolder.read(out), RunFolder.read(whole.folder)
    assert ours.manifest.identity["engine"]["tensor_parallel"] == 2
    digests = [run.manifest.identity["directions"][0]["digest"] for run in (ours, theirs)]
    assert digests[0] == digests[1]
    for point in whole.points:
        found = [[e.response for e in run.read_point(point) or ()] for run in (ours, theirs)]
        assert found[0] == found[1]
        assert len(found[0]) == 8
    assert Point() in whole.points


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"engine": "plain"}, "The engine plain keeps a model on one GPU"),
        ({"workers": 2}, "--workers"),
        ({"executor": "ray"}, "--executor ray"),
        ({"capability": ("testbed:choice",)}, "--capability"),
    ],
)
def test_what_processes_cannot_take_part_in_is_refused(more: dict[str, object], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        ScanConfig.from_json(SETTINGS.to_json() | {"tensor_parallel": 2, "workers": None} | more)


def test_other_studies_divide_no_model_among_processes() -> None:
    with pytest.raises(UsageError, match="Only `safebasin scan` divides a model"):
        load(Checkpoint.parse("testbed:aligned"), ScanConfig(tensor_parallel=2))


@pytest.mark.parametrize(
    ("model", "count", "said"),
    [
        ("testbed:aligned", 3, "key-value heads, which 3 processes cannot share evenly"),
        ("testbed:harmful-10", 2, "is an adapter over a base"),
    ],
)
def test_a_model_that_cannot_be_divided_is_named(
    model: str, count: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []

    class Stand:
        def __init__(self, others: int, settings: dict[str, object]) -> None:
            told.append(others)

    monkeypatch.setattr("safebasin.scanning.preparation.Followers", Stand)
    settings = SETTINGS.to_json() | {"model": model, "tensor_parallel": count}
    with pytest.raises(CheckpointError, match=said):
        prepare(ScanConfig.from_json(settings))
    assert not told  # it is said before any process is started


def test_a_process_that_cannot_be_made_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    code = "import sys; print('no such part', file=sys.stderr); sys.exit(3)"
    monkeypatch.setattr("safebasin.spread.followers._FOLLOW", code)
    others = Followers(1, json.loads(json.dumps(SETTINGS.to_json())))
    assert others.ended(within=30)
    with pytest.raises(SafebasinError, match=r"Process 1 .* last said: no such part") as raised:
        others.tell("anything")
    assert "same command again" in raised.value.hint
    others.close()


def test_a_model_without_a_plan_is_named() -> None:
    from transformers import GPT2Config, LlamaConfig

    with pytest.raises(CheckpointError, match=r"no plan by which 'old' \(gpt2\) is divided"):
        require_heads("old", GPT2Config(), 2)
    require_heads("new", LlamaConfig(num_attention_heads=4, num_key_value_heads=2), 2)


def test_a_second_divided_model_in_one_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safebasin.spread.followers._in_group", lambda: True)
    with pytest.raises(SafebasinError, match="takes part in a group of processes") as raised:
        Followers(1, {})
    assert "in a process of its own" in raised.value.hint
