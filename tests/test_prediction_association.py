"""Rank correlation within bases: known values, coverage of the interval, level of the test."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kstest, spearmanr

from safebasin.prediction import association
from safebasin.prediction.association import (
    associate,
    holm,
    partial_within,
    permutation_p,
    resampled,
    spearman_within,
)

RNG = np.random.default_rng


def correlated(rng, rho: float, groups: int, size: int):  # type: ignore[no-untyped-def]
    x = rng.standard_normal(groups * size)
    y = rho * x + math.sqrt(1 - rho**2) * rng.standard_normal(groups * size)
    return x, y, np.repeat(np.arange(groups), size)


def test_one_group_is_spearmans_coefficient_ties_included() -> None:
    x = np.array([1.0, 2, 2, 3, 5, 5, 7])
    y = np.array([3.0, 1, 4, 1, 5, 9, 2])
    one = np.zeros(7)
    assert spearman_within(x, y, one) == pytest.approx(spearmanr(x, y).statistic)


def test_a_difference_between_groups_is_no_association() -> None:
    rng = RNG(0)
    x, y, group = correlated(rng, 0.0, 4, 200)
    shift = 100.0 * group
    assert spearmanr(x + shift, y + shift).statistic > 0.9
    assert spearman_within(x + shift, y + shift, group) == spearman_within(x, y, group)
    assert abs(spearman_within(x, y, group)) < 0.1


def test_monotone_within_groups_is_one_whatever_happens_between_them() -> None:
    x = np.array([1.0, 2, 3, 1, 2, 3])
    y = np.array([7.0, 8, 9, 1, 2, 3])
    group = np.array(list("aaabbb"))
    assert spearman_within(x, y, group) == pytest.approx(1.0)
    assert spearman_within(x, -y, group) == pytest.approx(-1.0)


def test_what_does_not_vary_has_no_coefficient() -> None:
    x, group = np.array([1.0, 1, 2, 2]), np.array([0, 0, 1, 1])
    found = associate(x, np.arange(4.0), group)
    assert (found.value, found.low, found.p, found.n) == (None, None, None, 4)


def test_partial_is_the_first_order_formula_and_sees_what_is_left() -> None:
    rng = RNG(1)
    given = rng.standard_normal(60)
    x, y = given + rng.standard_normal(60), given + rng.standard_normal(60)
    one = np.zeros(60)
    a, b, c = (spearmanr(*pair).statistic for pair in ((x, y), (x, given), (y, given)))
    expected = (a - b * c) / math.sqrt((1 - b**2) * (1 - c**2))
    assert partial_within(x, y, given, one) == pytest.approx(expected)
    assert np.isnan(partial_within(given, y, given, one))


def test_p_is_uniform_under_the_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "PERMUTATIONS", 199)
    rng = RNG(2)
    ps = []
    for number in range(400):
        x, y, group = correlated(rng, 0.0, 4, 11)
        # Groups differ in level: shuffling across them would find something.
        ps.append(permutation_p(x + 3 * group, y + 3 * group, group, seed=number))
    assert kstest(ps, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(np.array(ps) <= 0.05) <= 0.085


def test_the_partial_test_keeps_its_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "PERMUTATIONS", 199)
    rng = RNG(7)
    small = 0
    for number in range(400):
        given, noise, group = correlated(rng, 0.0, 4, 11)
        x, y = given + noise, 2 * given + rng.standard_normal(44)
        small += permutation_p(x, y, group, seed=number, given=given) <= 0.05
    assert 0.02 <= small / 400 <= 0.09


def test_p_of_a_strong_association_is_the_smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "PERMUTATIONS", 999)
    x, y, group = correlated(RNG(3), -0.9, 4, 11)
    assert permutation_p(x, y, group) == 1 / 1000
    assert permutation_p(x, y, group, given=RNG(4).standard_normal(44)) == 1 / 1000


@pytest.mark.parametrize("rho", [0.0, -0.4, -0.8])
def test_intervals_cover_roughly(rho: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "REPLICATES", 300)
    monkeypatch.setattr(association, "PERMUTATIONS", 1)
    rng = RNG(5)
    truth = 6 / math.pi * math.asin(rho / 2)
    covered = 0
    for number in range(200):
        found = associate(*correlated(rng, rho, 4, 11), seed=number)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered >= 180


def test_the_same_seed_gives_the_same_numbers() -> None:
    x, y, group = correlated(RNG(6), -0.5, 2, 8)
    assert associate(x, y, group, seed=1) == associate(x, y, group, seed=1)
    found = associate(x, y, group, seed=1)
    assert found.low is not None
    assert found.high is not None
    assert found.value is not None
    assert found.low <= found.value <= found.high


def test_blocks_are_drawn_and_shuffled_alike_in_every_group() -> None:
    rng = RNG(8)
    group, block = np.repeat(np.arange(4), 6), np.tile(np.arange(6), 4)
    drawn = resampled(group, block=block).reshape(-1, 4, 6) % 6
    assert (drawn == drawn[:, :1]).all()
    # An effect of the block alone on both sides: four bases are no more evidence than one.
    x, y = rng.standard_normal((2, 6))
    ps = [permutation_p(np.tile(x, 4), np.tile(y, 4), group, block=b) for b in (None, block)]
    assert ps[0] < ps[1]
    assert ps[1] == pytest.approx(permutation_p(x, y, np.zeros(6)), abs=0.02)
    with pytest.raises(ValueError, match="every block once"):
        resampled(group, block=group)


def test_a_bootstrap_sample_stays_within_its_group() -> None:
    group = np.array(list("abab"))
    assert (group[resampled(group)] == group).all()


def test_holm_steps_down_and_leaves_what_was_not_tested() -> None:
    assert holm([0.01, None, 0.04, 0.03]) == [pytest.approx(0.03), None, 0.06, 0.06]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
