"""Directions of a scan are held in memory where there is room; what is measured is the same."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from safebasin.compare.preparation import prepare as prepare_comparison
from safebasin.compare.settings import CompareConfig
from safebasin.config import ScanConfig
from safebasin.directions import Adapter, Gaussian, Orthogonal, Resident, Restricted, Toward
from safebasin.directions.gaussian import Gaussian as Drawn
from safebasin.run import RunFolder
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import scan
from safebasin.study import holding
from safebasin.trajectory.preparation import prepare as prepare_trajectory
from safebasin.trajectory.settings import TrajectoryConfig
from safebasin.weights.parameters import Parameter
from support import pico


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScanConfig:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(holding, "RESIDENT_BYTES", 0)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo two\n", encoding="utf-8")
    return ScanConfig(
        model=str(pico.save(tmp_path / "model")), prompts=str(prompts), prompts_kind="harmful",
        seeds=(0, 1), axes=2, steps=2, max_new_tokens=3, device="cpu", workers=1,
    )  # fmt: skip


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The seeds and the parameters that noise was drawn for, as often as it was."""
    drawn: list[tuple[str, str]] = []
    tensor = Drawn.tensor

    def counted(self: Drawn, parameter: Parameter) -> object:
        drawn.append((self.name, parameter.name))
        return tensor(self, parameter)

    monkeypatch.setattr(Drawn, "tensor", counted)
    return drawn


def changed(config: ScanConfig, **settings: object) -> ScanConfig:
    return ScanConfig.from_json({**config.to_json(), **settings})


def room(monkeypatch: pytest.MonkeyPatch, prepared: Prepared, times: float) -> None:
    """So many times the room that two directions take."""
    size = 2 * sum(4 * math.prod(p.shape) for p in prepared.engine.weights.parameters)
    free = int(times * size / holding.HELD_SHARE)
    monkeypatch.setattr(holding, "free_bytes", lambda device: free)


def test_where_there_is_room_each_is_drawn_once_and_answers_are_the_same(
    config: ScanConfig, monkeypatch: pytest.MonkeyPatch, draws: list[tuple[str, str]]
) -> None:
    room(monkeypatch, prepare(config), 0.99)
    apart = prepare(changed(config, out="apart"))
    directions = apart.engine.directions
    assert [type(one) for one in directions.values()] == [Gaussian, Orthogonal]
    scan(apart)
    room(monkeypatch, apart, 1.01)
    draws.clear()
    held = prepare(changed(config, out="held"))
    first, second = held.engine.directions.values()
    assert isinstance(first, Resident)
    assert isinstance(second, Resident)
    assert isinstance(second.direction, Orthogonal)
    assert second.direction.first is first
    scan(held)
    tried = min(held.engine.weights.parameters, key=lambda one: math.prod(one.shape)).name
    for name in ("gaussian-0", "gaussian-1"):
        names = [of for who, of in draws if who == name]
        # Whether the two are parallel was tried on one tensor.
        assert sorted(names) == sorted(
            [p.name for p in held.engine.weights.parameters]
            + ([tried] if name == "gaussian-1" else [])
        )
    ours, theirs = RunFolder.read(held.folder), RunFolder.read(apart.folder)
    assert ours.manifest.identity == theirs.manifest.identity
    for point in held.points:
        assert ours.read_point(point) == theirs.read_point(point) != []


def test_only_the_direction_in_the_blocks_is_held(
    config: ScanConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    room(monkeypatch, prepare(config), 1.01)
    for one in prepare(changed(config, blocks="0")).engine.directions.values():
        assert isinstance(one, Resident)
        assert isinstance(one.direction, Restricted)
        assert not isinstance(one.direction.direction, Resident)


def test_small_ones_are_drawn_at_once(config: ScanConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "RESIDENT_BYTES", 2**20)
    for one in prepare(config).engine.directions.values():
        assert isinstance(one, Resident)
        assert one.missing_bytes == 0


def test_the_way_to_another_model_is_held_and_that_to_an_adapter_is_not(
    config: ScanConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "RESIDENT_BYTES", 2**20)
    other = str(pico.save(tmp_path / "other", seed=5))
    scan = changed(config, axes=1)
    [direction] = prepare_comparison(CompareConfig(other, scan=scan)).engine.directions.values()
    assert isinstance(direction, Resident)
    assert isinstance(direction.direction, Toward)
    adapter = str(pico.adapter(config.model, tmp_path / "adapter"))
    [direction] = prepare_comparison(CompareConfig(adapter, scan=scan)).engine.directions.values()
    assert isinstance(direction, Adapter)


def test_the_axes_of_a_trajectory_are_held(
    config: ScanConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "RESIDENT_BYTES", 2**20)
    others = tuple(str(pico.save(tmp_path / str(seed), seed=seed)) for seed in (5, 6))
    scan = changed(config, axes=1)
    prepared = prepare_trajectory(TrajectoryConfig(others, scan=scan))
    directions = prepared.engine.directions
    axes = {name for plane in prepared.parts[-1].planes for name in plane.directions}
    assert len(axes) == 2
    for name, direction in directions.items():
        assert isinstance(direction, Resident) == (name in axes)
