"""Walking outward until the plateau: which points are left out, and what that changes."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.landscape import ASSUMED, Landscape, Survey
from safebasin.plane import Axis, Plane, Point
from safebasin.results import review
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.scanning.walk import Walk
from support import pico, planted

LINE = Plane((Axis.symmetric("a", 0.5, 10),))
OTHER = Plane((Axis.symmetric("b", 0.5, 10),))


def at(value: float, name: str = "a") -> Point:
    return Point.of({name: value})


def test_each_side_ends_after_consecutive_points_on_the_plateau() -> None:
    walk = Walk([LINE, OTHER])
    for value, asr in ((0.0, 0.0), (0.1, 1.0), (0.2, 0.5), (0.3, 0.99), (-0.1, 1.0)):
        walk.record(at(value), asr)
    assert walk.assumed == ()
    walk.record(at(0.4), 1.0)
    assert walk.assumed == (at(0.5),)
    walk.record(at(-0.2), 1.0)
    assert set(walk.assumed) == {at(0.5), at(-0.3), at(-0.4), at(-0.5)}
    assert not walk.wanted(at(-0.3))
    assert walk.wanted(at(0.5, "b"))


def test_a_point_that_could_not_be_judged_is_not_on_the_plateau() -> None:
    walk = Walk([LINE], consecutive=1)
    walk.record(at(0.1), None)
    walk.record(at(0.2), 0.98)
    assert walk.assumed == ()


def test_the_order_in_which_points_finish_does_not_matter() -> None:
    asr = {point: min(1.0, (4 * point.distance) ** 3) for point in LINE.points}
    ends = set()
    for seed in range(30):
        walk, order = Walk([LINE]), list(LINE.points)
        random.Random(seed).shuffle(order)
        while todo := [point for point in order if walk.wanted(point) and point not in walk._asr]:
            walk.record(todo[0], asr[todo[0]])
        ends.add(walk.assumed)
    assert ends == {(at(-0.5), at(0.5))}


def test_planes_cannot_be_walked() -> None:
    with pytest.raises(UsageError, match="Only lines"):
        Walk([Plane((Axis.symmetric("a", 1, 2), Axis.symmetric("b", 1, 2)))])
    with pytest.raises(UsageError, match="Only lines"):
        ScanConfig(axes=2, stop_at_plateau=True)
    with pytest.raises(UsageError, match="at least 1"):
        ScanConfig(plateau_points=0)
    with pytest.raises(UsageError, match="make a plateau"):
        ScanConfig(plateau_points=3)


def landscapes(assumed: bool) -> Survey:
    """Two lines whose outer points are fully broken, measured or assumed to be."""
    rng = np.random.default_rng(0)
    parts = []
    for plane in (LINE, OTHER):
        [axis] = plane.axes
        outcomes = np.stack(
            [
                np.full(12, 2 if abs(v) > 0.35 else int(abs(v) > 0.15), dtype=np.int8)
                for v in axis.values
            ]
        )
        outcomes[3:8, :3] = rng.integers(0, 2, (5, 1)) * outcomes[3:8, :3]
        if assumed:
            outcomes[[0, -1]] = ASSUMED
        parts.append(Landscape(plane, "j", tuple(map(str, range(12))), outcomes))
    return Survey(tuple(parts), replicates=50)


def test_measures_are_unchanged_where_the_assumption_holds() -> None:
    whole, short = landscapes(False).summary(), landscapes(True).summary()
    for name in ("visage", "visage_reference", "auc"):
        ours, theirs = getattr(short, name), getattr(whole, name)
        assert (ours.value, ours.low, ours.high) == (theirs.value, theirs.low, theirs.high)
        assert "4 of 22 points lie beyond the plateau" in ours.note
        assert "beyond" not in theirs.note
    assert short.basin is not None
    assert whole.basin is not None
    assert short.basin.width.value == whole.basin.width.value
    assert short.basin.positive.plateaus == whole.basin.positive.plateaus == 2
    assert (short.assumed, whole.assumed) == (4, 0)
    assert short.judged == whole.judged - 4 * 12
    assert short.unjudged == 0


def test_shares_and_intervals_claim_nothing_where_nothing_was_asked() -> None:
    survey = landscapes(True)
    for band in survey.shares().values():
        assert np.isnan(band.value[[0, -1]]).all()
        assert np.isfinite(band.value[1:-1]).all()
    mean = survey.mean_asr()
    assert mean.value[0] == mean.value[-1] == 1.0
    assert np.isnan(mean.low[[0, -1]]).all()
    assert np.isnan(survey.landscapes[0].rate("compliance")[0])
    cells = survey.landscapes[0].cells
    assert [cell.assumed for cell in cells] == [True, *[False] * 9, True]
    assert cells[0].asr.value is None


def test_a_scan_stops_at_the_plateau_and_can_be_completed_later(tmp_path: Path) -> None:
    config = ScanConfig(
        model=str(planted.save(tmp_path / "model")),
        prompts=str(planted.prompts(tmp_path / "planted.txt")),
        prompts_kind="harmful",
        directions=(str(planted.direction(tmp_path / "toward.safetensors")),),
        include=("lm_head.weight",),
        steps=20,
        max_new_tokens=8,
        judges=("llm-landscape",),
        device="cpu",
        out=str(tmp_path / "run"),
    )
    whole = scan(prepare(replace(config, out=str(tmp_path / "whole"))))
    beyond = [v for v in whole.summary.axes[0] if v > planted.FLIP]
    assert len(beyond) > 2
    outcomes = []
    for engine, mode in (("plain", "auto"), ("fast", "pool"), ("fast", "in-place")):
        out = str(tmp_path / f"{engine}-{mode}")
        short = scan(
            prepare(replace(config, stop_at_plateau=True, out=out, engine=engine, mode=mode))  # type: ignore[arg-type]
        )
        assert short.complete
        assert short.summary.assumed > 0
        assert short.summary.visage.value == whole.summary.visage.value
        assert short.summary.auc.value == whole.summary.auc.value
        outcomes.append([cell.to_json() for cell in short.summary.cells[0]])
        assert review(short.folder).summary.assumed == short.summary.assumed
    for one, other in itertools.pairwise(outcomes):
        assert one == other
    completed = scan(prepare(replace(config, out=str(tmp_path / "fast-pool"))))
    assert completed.summary.assumed == 0
    assert completed.summary.cells == whole.summary.cells


def test_points_in_work_are_given_up_when_they_are_no_longer_wanted(tmp_path: Path) -> None:
    config = ScanConfig(
        model=str(pico.save(tmp_path / "model")), steps=8, seeds=(0,), limit=3, max_new_tokens=6,
        mode="pool", batch=4, device="cpu", out=str(tmp_path / "run"),
    )  # fmt: skip
    prepared = prepare(config)
    points = prepared.points
    asked = prepared.prompts.prompts
    expected = dict(prepared.engine.answers(points, asked, prepared.sampling))
    finished: list[Point] = []
    for point, exchanges in prepared.engine.answers(
        points, asked, prepared.sampling, None, lambda p: not finished or p in points[:3]
    ):
        finished.append(point)
        assert [e.response for e in exchanges] == [e.response for e in expected[point]]
    assert set(points[:3]) <= set(finished)
    assert len(finished) < len(points)
