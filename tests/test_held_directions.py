"""Directions of a scan are held in memory where there is room; what is measured is the same."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from safebasin.config import ScanConfig
from safebasin.directions import Gaussian, Orthogonal, Resident, Restricted
from safebasin.directions.gaussian import Gaussian as Drawn
from safebasin.run import RunFolder
from safebasin.scanning.preparation import Prepared, prepare
from safebasin.scanning.scan import scan
from safebasin.study import engine
from safebasin.weights.parameters import Parameter
from support import pico


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScanConfig:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "RESIDENT_BYTES", 0)
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
    free = int(times * size / engine.HELD_SHARE)
    monkeypatch.setattr(engine, "free_bytes", lambda device: free)


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
    monkeypatch.setattr(engine, "RESIDENT_BYTES", 2**20)
    for one in prepare(config).engine.directions.values():
        assert isinstance(one, Resident)
        assert one.missing_bytes == 0
