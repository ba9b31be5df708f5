"""A model that transformers has divided among processes, displaced and asked part by part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from safebasin.errors import CheckpointError
from safebasin.weights import divided

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not torch.distributed.is_available(),
    reason="needs processes that meet on this machine",
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes and then one wrote; they take seconds to import the libraries."""
    if not hasattr(pytest.importorskip("transformers.distributed"), "DistributedConfig"):
        pytest.skip("this version of transformers divides models in another way")
    folder = tmp_path_factory.mktemp("ranks")
    tests = Path(__file__).parent
    paths = [str(tests), str(tests.parent / "src"), os.environ.get("PYTHONPATH", "")]
    alone = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        [sys.executable, "-m", "support.divided_ranks", str(folder)],
        env={**os.environ, **alone, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(params=[0, 1], ids=["first process", "second process"])
def found(request: pytest.FixtureRequest, home: Path) -> dict[str, Any]:
    text = (home / f"rank-{request.param}.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


@pytest.mark.parametrize(("model", "near"), [("untied", 1e-6), ("tied", 0.03)])
def test_every_part_is_displaced_as_the_whole_model_is(
    found: dict[str, Any], model: str, near: float
) -> None:
    one = found[model]
    assert one["divided"] == [True, False]
    assert one["share"] == pytest.approx(0.5, abs=0.01)
    assert one["undisplaced"]
    for law in ("stream", "counter"):
        for normalise in ("tensor", "row"):
            # Bit for bit: the digest, the displaced weights put together, and that they moved.
            assert one["displaced"][f"{law} {normalise}"] == [True, True, True]
    assert max(one["logits"]) < near  # sums over parts round otherwise
    assert one["restored"]


def test_both_engines_answer_as_with_the_whole_model(found: dict[str, Any]) -> None:
    answers = found["answers"]
    assert answers["PlainEngine"]
    assert answers["FastEngine"]
    assert answers["fast"]  # and not by the plain engine
    assert "asked in place and without drafts" in answers["pool"]


def test_the_example_draws_the_landscape_of_one_process(home: Path) -> None:
    two, one = (json.loads((home / f"landscape-{n}.json").read_text()) for n in (2, 1))
    assert two == one
    assert len(two["asr, low, high, n"]) == 3
    rows = two["asr, low, high, n"]
    assert all(row[3] == 4 for row in rows.values())
    assert rows["0.0"][0] < max(row[0] for row in rows.values())  # it refuses undisplaced


def test_what_is_not_divided_is_its_own_part() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert divided.own(tensor) is tensor
    assert divided.own_of(tensor, tensor) is tensor
    assert divided.whole(tensor, tensor) is tensor
    assert divided.first_element(tensor) == 0
    assert divided.least(torch.nn.Linear(2, 2), 7) == 7


def test_other_ways_of_dividing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Packed:
        placements = (type("_StridedShard", (), {})(),)

    monkeypatch.setattr(divided, "is_divided", lambda tensor: True)
    with pytest.raises(CheckpointError, match="'w' is divided among processes by _StridedShard"):
        divided.require_known_parts("w", Packed())  # type: ignore[arg-type]
