"""Checkpoints on a plane: places, what the plane leaves out, and ASR there and here."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.config import ScanConfig
from safebasin.errors import DirectionError, UsageError
from safebasin.report.studies import TRAJECTORY
from safebasin.run import verify
from safebasin.study.observer import Silent
from safebasin.trajectory.preparation import prepare
from safebasin.trajectory.settings import TrajectoryConfig, in_order
from safebasin.trajectory.study import trace
from support import pico, planted


def checkpoint(folder: Path, base: Path, along: float, aside: float = 0.0) -> Path:
    """The planted model moved along its planted direction, and along a row that says nothing."""
    made = Path(shutil.copytree(base, folder))
    tensors = load_file(base / "model.safetensors")
    step = load_file(planted.direction(base.parent / "step.safetensors"))["lm_head.weight"]
    other = torch.zeros_like(step)
    other[planted.WORDS.index("ask"), planted.WORDS.index("that")] = planted.SLOPE
    tensors["lm_head.weight"] += along * step + aside * other
    save_file(tensors, made / "model.safetensors", {"format": "pt"})
    return made


@pytest.fixture
def training(tmp_path: Path) -> tuple[Path, list[Path]]:
    base = planted.save(tmp_path / "base")
    places = [(0.1, 0.0), (0.2, 0.4), (0.8, 0.3)]
    return base, [
        checkpoint(tmp_path / f"checkpoint-{i}", base, *place) for i, place in enumerate(places, 1)
    ]


def config(tmp_path: Path, base: Path, checkpoints: list[Path], **changes: Any) -> TrajectoryConfig:
    scan = ScanConfig(
        model=str(base), prompts=str(planted.prompts(tmp_path / "planted.txt")), limit=3, steps=6,
        prompts_kind="harmful",
        radius=0.01, seeds=(0,), max_new_tokens=8, device="cpu", judges=("llm-landscape",),
        out=str(tmp_path / "trajectory"),
    )  # fmt: skip
    return TrajectoryConfig(tuple(map(str, checkpoints)), scan=scan, **changes)


def test_a_run_in_a_plane_is_drawn_where_it_is(tmp_path: Path, training: Any) -> None:
    base, checkpoints = training
    found = trace(prepare(config(tmp_path, base, checkpoints, notes=("one left out",))))
    assert found.axes == ("principal-1", "principal-2")
    assert sum(found.explained) == pytest.approx(1)
    assert [station.real.value for station in found.stations] == [0, 0, 1]
    for station in found.stations:
        assert station.projection.residual < 1e-3
        assert station.projected.value == station.real.value
        assert station.gap.rise.value == 0
    last = found.stations[-1].projection
    assert sum(c * c for c in last.coordinates) == pytest.approx(1, rel=1e-4)
    # The plane is isometric: lengths along it are those in weight space.
    for station, place in zip(found.stations, [(0.1, 0.0), (0.2, 0.4), (0.8, 0.3)], strict=True):
        x, y = station.projection.coordinates
        expected = (place[0] ** 2 + place[1] ** 2) / (0.8**2 + 0.3**2)
        assert x * x + y * y == pytest.approx(expected, rel=1e-3)
    survey = found.plane.surveys["llm-landscape"]
    assert survey.plane.origin is not None
    stored = json.loads((found.folder / TRAJECTORY).read_text(encoding="utf-8"))
    assert [one["name"] for one in stored["stations"]] == [f"checkpoint-{i}" for i in (1, 2, 3)]
    assert stored["notes"] == ["one left out"]
    for path in found.figures:
        assert path.stat().st_size > 1000
    for part in ("plane", "checkpoints", "projections"):
        assert verify(found.folder / part).problems == ()


def test_a_projection_that_lies_is_seen(tmp_path: Path, training: Any) -> None:
    """On the line to the last checkpoint the second one seems to comply; it does not."""
    base, _ = training
    turned = [
        checkpoint(tmp_path / "checkpoint-4", base, 0.0, 0.9),
        checkpoint(tmp_path / "checkpoint-5", base, 0.9, 0.9),
    ]
    found = trace(prepare(config(tmp_path, base, turned, plane="random")))
    first, last = found.stations
    assert first.projection.coordinates[0] == pytest.approx(0.5, abs=1e-3)
    assert first.projection.residual == pytest.approx(0.5**0.5, abs=1e-3)
    assert (first.real.value, first.projected.value) == (0, 1)
    assert first.gap.rise.value == -1
    assert last.projection.residual == pytest.approx(0, abs=1e-3)
    assert found.axes == ("checkpoint-2", "gaussian-0")
    assert found.explained == ()
    assert found.plane.summary.axes[1][0] == pytest.approx(-0.01, rel=1e-4)
    assert found.plane.summary.axes[1][-1] == pytest.approx(0.01, rel=1e-4)


def test_the_plane_of_two_models(tmp_path: Path, training: Any) -> None:
    """The paper's 2D interpolation: the second axis at right angles to the first, and as long."""
    base, _ = training
    corner = [
        checkpoint(tmp_path / "checkpoint-4", base, 0.5, 0.5),
        checkpoint(tmp_path / "checkpoint-5", base, 1.0, 0.0),
    ]
    found = trace(prepare(config(tmp_path, base, corner, plane="interpolation")))
    assert found.axes == ("checkpoint-2", "checkpoint-1-orthogonal")
    places = [station.projection.coordinates for station in found.stations]
    assert places[0] == pytest.approx((0.5, 0.5), abs=1e-4)
    assert places[1] == pytest.approx((1.0, 0.0), abs=1e-4)
    assert all(station.projection.residual < 1e-3 for station in found.stations)
    assert [station.real.value for station in found.stations] == [1, 1]
    assert [station.projected.value for station in found.stations] == [1, 1]


class Stop(Silent):
    def __init__(self, after: int) -> None:
        self.left = after

    def finished(self, point: Any) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_an_interrupted_trajectory_goes_on(tmp_path: Path, training: Any) -> None:
    base, checkpoints = training
    asked = config(tmp_path, base, checkpoints)
    whole = trace(prepare(asked)).to_json()
    again = replace(asked, scan=replace(asked.scan, out=str(tmp_path / "again")))
    with pytest.raises(KeyboardInterrupt):
        trace(prepare(again), Stop(8))
    assert trace(prepare(again)).to_json() == whole


def test_adapters_of_a_run_stay_low_rank(tmp_path: Path) -> None:
    from safebasin.directions import Adapter

    base = pico.save(tmp_path / "base")
    adapters = [pico.adapter(base, tmp_path / f"checkpoint-{s}", seed=s) for s in (1, 2)]
    prepared = prepare(config(tmp_path, base, adapters))
    kinds = [type(d) for n, d in prepared.engine.directions.items() if n.startswith("checkpoint")]
    assert kinds == [Adapter, Adapter]


def test_the_order_of_training() -> None:
    names = ["run/checkpoint-100", "run/checkpoint-20", "run/checkpoint-3/"]
    assert in_order(names) == ("run/checkpoint-3/", "run/checkpoint-20", "run/checkpoint-100")
    assert in_order(["b-2", "a-1"]) == ("b-2", "a-1")
    assert in_order(["last", "first"]) == ("last", "first")


def test_bad_input_is_one_sentence(tmp_path: Path, training: Any) -> None:
    base, checkpoints = training
    with pytest.raises(UsageError, match="takes 2 checkpoints"):
        config(tmp_path, base, checkpoints[:1])
    with pytest.raises(DirectionError, match="span fewer than 2"):
        prepare(config(tmp_path, base, [checkpoints[0], checkpoints[0]]))
    with pytest.raises(DirectionError, match="has the weights of 'base'"):
        prepare(config(tmp_path, base, [base], plane="random"))
    with pytest.raises(UsageError, match="has 0 steps"):
        replace(config(tmp_path, base, checkpoints), scan=ScanConfig(steps=0))
    with pytest.raises(UsageError, match="more than 100000 points"):
        replace(config(tmp_path, base, checkpoints), scan=ScanConfig(steps=400))
    for radius in (0.0, -0.5, float("nan")):
        with pytest.raises(UsageError, match=f"radius is {radius}"):
            replace(config(tmp_path, base, checkpoints), scan=ScanConfig(radius=radius))
    assert not (tmp_path / "trajectory").exists()


def test_on_the_command_line(tmp_path: Path, training: Any, command: Any) -> None:
    base, checkpoints = training
    arguments = [
        "trajectory", str(base), *map(str, checkpoints), "--steps", "4", "--max-new-tokens", "8",
        "--prompts", str(planted.prompts(tmp_path / "p.txt")), "--prompts-kind", "harmful",
        "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    code, out, err = command(*arguments)
    assert code == 0, err
    assert "3   checkpoint-3 at (" in out
    assert "is not in the plane" in out
    code, _, err = command(*arguments, "--plane", "flat")
    assert code == 2
    assert "--plane was given 'flat'" in err
