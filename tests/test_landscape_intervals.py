"""Intervals: Wilson's against known values, the clustered ones by simulated coverage."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest

from safebasin.landscape import COMPLIED, UNJUDGED, Landscape, Survey
from safebasin.landscape.intervals import (
    Estimate,
    clustered,
    share_band,
    usual_spread,
    wilson,
)
from safebasin.plane import Axis, Plane

ALPHA = np.round(np.linspace(-0.5, 0.5, 21), 12)


def scan(
    generator: np.random.Generator, directions: int, prompts: int, floor: float = 0.02
) -> NDArray[np.int8]:
    """(directions, 21, prompts): walls near 0.3 that differ by direction, side and prompt."""
    wall = (
        0.3
        + generator.normal(0, 0.03, (directions, 2, 1))
        + generator.normal(0, 0.03, prompts)
        + generator.normal(0, 0.02, (directions, 2, prompts))
    )[:, (ALPHA > 0).astype(int)]
    broken = (np.abs(ALPHA)[:, None] > wall) & (generator.random(wall.shape) > 0.1)
    broken |= generator.random(prompts) < floor
    broken[:, 10] = broken[0, 10]
    return broken.astype(np.int8)


def survey(codes: NDArray[np.int8], **options: float) -> Survey:
    names = tuple(f"p{i}" for i in range(codes.shape[-1]))
    values = tuple(float(v) for v in ALPHA)
    maps = (
        Landscape(Plane((Axis(f"d{i}", values),)), "fake", names, part)
        for i, part in enumerate(codes)
    )
    return Survey(tuple(maps), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [  # Newcombe (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_matches_published_intervals(hits: int, n: int, low: float, high: float) -> None:
    estimate = wilson(hits, n)
    assert estimate.low == pytest.approx(low, abs=5e-5)
    assert estimate.high == pytest.approx(high, abs=5e-5)


@settings(deadline=None)
@given(st.integers(1, 500), st.data(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_equals_scipy(n: int, data: st.DataObject, level: float) -> None:
    hits = data.draw(st.integers(0, n))
    ours, theirs = wilson(hits, n, level), binomtest(hits, n).proportion_ci(level, "wilson")
    assert ours.low == pytest.approx(theirs.low, abs=1e-12)
    assert ours.high == pytest.approx(theirs.high, abs=1e-12)


def test_one_direction_has_wilson_bands() -> None:
    one = survey(scan(np.random.default_rng(0), 1, 80))
    band = one.mean_asr()
    for index, cell in enumerate(one.landscapes[0].cells):
        assert band.value[index] == pytest.approx(cell.asr.value)
        assert band.low[index] == pytest.approx(cell.asr.low)
        assert band.high[index] == pytest.approx(cell.asr.high)


def test_shared_origin_counts_once() -> None:
    codes = scan(np.random.default_rng(1), 5, 80, floor=0.2)
    band, origin = survey(codes).mean_asr(), survey(codes).origin
    assert origin is not None
    assert origin.n == 80
    assert band.low[10] == pytest.approx(origin.asr.low)
    assert band.high[10] == pytest.approx(origin.asr.high)


def test_directions_that_differ_widen_the_band() -> None:
    codes = np.zeros((3, 21, 80), dtype=np.int8)
    codes[0, 0] = 1
    wide = survey(codes).mean_asr()
    codes[:, 0] = 0
    codes[:, 0, :27] = 1
    narrow = survey(codes).mean_asr()
    assert wide.value[0] == pytest.approx(narrow.value[0], abs=0.01)
    assert wide.high[0] - wide.low[0] > 2 * (narrow.high[0] - narrow.low[0])


def test_band_by_hand() -> None:
    """Two directions, four prompts, one point: variances written out answer by answer."""
    from scipy.stats import t

    hits = np.array([[1, 1, 1, 0], [1, 0, 0, 0]], dtype=bool)[:, None, :]
    band = share_band(hits, np.ones_like(hits), 0.95)
    residual = [[0.25, 0.25, 0.25, -0.75], [0.75, -0.25, -0.25, -0.25]]
    by_prompt = sum(((a + b) / 8) ** 2 for a, b in zip(*residual, strict=True))
    overlap = sum((r / 8) ** 2 for row in residual for r in row)
    # Two directions, and the usual spread of a quarter of sqrt(0.5 * 0.5) as a third one.
    by_direction = ((0.75 - 0.5) ** 2 + (0.25 - 0.5) ** 2 + 0.25**2 * 0.25) / 2 / 2
    variance = max(by_prompt + by_direction - overlap, by_direction)
    n, z = 0.25 / variance, t.ppf(0.975, 2 * variance**2 / by_direction**2)
    half = z / (1 + z**2 / n) * np.sqrt(0.25 / n + z**2 / (4 * n**2))
    assert variance > by_direction
    assert band.value[0] == 0.5
    assert band.high[0] - band.low[0] == pytest.approx(2 * half)


def test_clustered_interval_by_hand() -> None:
    """The t interval of two directions whose prompts never matter, and of prompts alone."""
    still, wide = np.tile([1.0, 3.0], (50, 1)), (-100.0, 100.0)
    low, high = clustered(np.array([1.0, 3.0]), still, 40, wide, 0.95)
    assert (low, high) == pytest.approx((2 - 12.7062, 2 + 12.7062), abs=1e-4)
    assert clustered(np.array([1.0, 3.0]), still, 40, (0.0, 5.0), 0.95) == (0.0, 5.0)

    both = np.tile([[1.0], [-1.0]], (25, 2))  # both directions move together with the prompts
    low, high = clustered(np.zeros(2), both, 40, wide, 0.95)
    assert high == -low == pytest.approx(2.0227, abs=1e-4)  # Student's t, 39 degrees of freedom


def test_a_usual_spread_counts_as_one_more_direction() -> None:
    """Smyth's moderated variance written out: (s0^2 + (D - 1) s^2) / D, with D degrees."""
    from scipy.stats import t

    values, wide = np.array([1.0, 3.0]), (-100.0, 100.0)
    low, high = clustered(values, np.tile(values, (50, 1)), 40, wide, 0.95, spread=4.0)
    half = t.ppf(0.975, 2) * np.sqrt((4.0**2 + 2.0) / 2 / 2)
    assert (low, high) == pytest.approx((2 - half, 2 + half))
    # Nothing varies: that nothing is known of others is the caller's to say.
    assert clustered(np.ones(2), np.ones((50, 2)), 40, wide, 0.95, spread=4.0) == (1.0, 1.0)
    assert usual_spread(50.0, (0.0, 100.0)) == pytest.approx(50 / 8)
    assert usual_spread(1.0, (0.0, 1.0)) == 0.0


def test_two_directions_that_are_alike_by_chance_do_not_narrow_the_interval() -> None:
    """The lengths of 60 scans of two directions; t with one degree of freedom swings 17-fold."""
    generator = np.random.default_rng(8)
    for name in ("auc", "width"):
        lengths = []
        for _ in range(60):
            line = survey(scan(generator, 2, 40, floor=0.0), replicates=100)
            found = line.auc() if name == "auc" else line.basin().width
            assert found.low is not None
            assert found.high is not None
            lengths.append(found.high - found.low)
        assert np.quantile(lengths, 0.9) < 3 * np.quantile(lengths, 0.1)


def test_percentiles_widen_a_skewed_interval() -> None:
    skewed = np.full((100, 1), 10.0)
    skewed[:10] = 0.0  # a standard deviation of 3: the t interval alone ends near 4
    low, high = clustered(np.array([10.0]), skewed, 80, (0.0, 100.0), 0.95)
    assert low == 0.0
    assert high == pytest.approx(10 + 1.9905 * 3, abs=1e-3)


def test_prompts_that_were_never_judged_carry_no_weight() -> None:
    codes = np.full((1, 21, 8), UNJUDGED, dtype=np.int8)
    codes[..., :2] = COMPLIED
    estimate = survey(codes).auc()
    assert estimate.value == estimate.low == 0.0
    assert estimate.high == wilson(0, 2).high
    codes[..., 1] = UNJUDGED
    assert survey(codes).auc().low is None


def test_same_seed_same_interval_and_another_seed_another() -> None:
    codes = scan(np.random.default_rng(2), 3, 40)
    first, again, other = (survey(codes, seed=s).visage() for s in (0, 0, 1))
    assert first == again
    assert first.value == other.value
    assert first.low != other.low
    assert "seed 0" in first.method
    assert "directions and prompts" in first.method
    assert "one direction" in survey(codes[:1]).visage().method


def test_one_prompt_has_no_interval() -> None:
    estimate = survey(scan(np.random.default_rng(3), 2, 1)).auc()
    assert estimate.value is not None
    assert estimate.low is None
    assert "one judged prompt" in estimate.note


def test_default_replicates_are_quick() -> None:
    codes = scan(np.random.default_rng(4), 3, 80)
    whole = survey(codes)
    start = time.process_time()
    whole.visage()
    whole.basin()
    whole.auc()
    assert time.process_time() - start < 1.0


def test_intervals_cover_the_truth() -> None:
    """200 synthetic scans of 3 directions and 40 prompts; the truth is the mean of 500 others.

    The binomial error of a coverage of 0.95 is 0.015 here. Three directions are few, so that the
    usual spread, which is larger than theirs, makes intervals longer than they had to be; the
    lengths say how much.
    """
    generator = np.random.default_rng(6)

    names = ("visage", "auc", "width")

    def estimates(of: Survey) -> tuple[Estimate, ...]:
        return of.visage(), of.auc(), of.basin().width

    many = [estimates(survey(scan(generator, 3, 40), replicates=2)) for _ in range(500)]
    truth = np.array([[e.value for e in row] for row in many]).mean(0)
    covered = np.zeros(3)
    lengths = []
    for _ in range(200):
        row = estimates(survey(scan(generator, 3, 40), replicates=300))
        lengths.append([(e.high or np.inf) - (e.low or 0) for e in row])
        pairs = zip(row, truth, strict=True)
        covered += [(e.low or 0) <= t <= (e.high or np.inf) for e, t in pairs]
    coverage = dict(zip(names, covered / 200, strict=True))
    assert coverage["visage"] >= 0.93
    assert coverage["auc"] >= 0.93
    assert coverage["width"] >= 0.93
    # Twice 1.96 standard deviations of the estimates themselves, with directions of sd 0.03.
    known = np.array([[e.value for e in row] for row in many]).std(0) * 2 * 1.96
    assert (np.median(lengths, axis=0) < 2 * known).all()
