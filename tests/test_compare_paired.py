"""Paired shares: McNemar's exact test and the bootstrap of pairs, against hand-made numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safebasin.compare.paired import paired


def pairs(both: int, gained: int, lost: int, neither: int):  # type: ignore[no-untyped-def]
    before = [True] * both + [False] * gained + [True] * lost + [False] * neither
    after = [True] * both + [True] * gained + [False] * lost + [False] * neither
    return paired("x", before, after)


def test_counts_and_shares() -> None:
    found = pairs(both=3, gained=5, lost=2, neither=10)
    assert (found.n, found.gained, found.lost, found.unpaired) == (20, 5, 2, 0)
    assert found.before.value == pytest.approx(5 / 20)
    assert found.after.value == pytest.approx(8 / 20)
    assert found.rise.value == pytest.approx(3 / 20)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(5, 0, 2 / 2**5), (0, 5, 2 / 2**5), (3, 3, 1.0), (1, 0, 1.0), (6, 1, 2 * 8 / 2**7), (0, 0, 1)],
)
def test_mcnemar_is_the_exact_binomial(gained: int, lost: int, p: float) -> None:
    assert pairs(4, gained, lost, 7).p == pytest.approx(p)


def test_the_pairs_make_the_interval_narrower_than_two_samples() -> None:
    """Half of the prompts always succeed: that spread is common to both ends."""
    found = pairs(both=50, gained=6, lost=0, neither=44)
    assert found.rise.low is not None
    assert found.rise.high is not None
    assert found.rise.low > 0
    apart = math.sqrt(0.5 * 0.5 / 100 + 0.56 * 0.44 / 100) * 1.96
    assert found.rise.high - found.rise.low < apart
    assert found.p == pytest.approx(2 / 2**6)


def test_the_interval_covers_what_it_says() -> None:
    generator = np.random.default_rng(1)
    hits, draws = 0, 150
    for _ in range(draws):
        before = generator.random(120) < 0.3
        after = np.where(generator.random(120) < 0.25, generator.random(120) < 0.7, before)
        found = paired("x", before.tolist(), after.tolist())
        truth = 0.25 * (0.7 - 0.3)
        assert found.rise.low is not None
        assert found.rise.high is not None
        hits += found.rise.low <= truth <= found.rise.high
    assert 0.89 <= hits / draws <= 1


def test_no_change_is_no_certainty() -> None:
    found = pairs(both=0, gained=0, lost=0, neither=80)
    assert found.rise.value == 0
    assert found.rise.high == pytest.approx(1.96**2 / (80 + 1.96**2), rel=0.01)
    assert found.rise.low == -found.rise.high
    assert "Wilson" in found.rise.method
    all_gained = pairs(both=0, gained=80, lost=0, neither=0)
    assert all_gained.rise.high == 1
    assert all_gained.rise.low == pytest.approx(0.954, abs=0.01)
    all_lost = pairs(both=0, gained=0, lost=80, neither=0)
    assert (all_lost.rise.low, all_lost.rise.value) == (-1, -1)


def test_what_was_not_judged_is_left_out_and_counted() -> None:
    found = paired("x", [True, None, False, False], [False, True, None, True])
    assert (found.n, found.unpaired, found.gained, found.lost) == (2, 2, 1, 1)
    nothing = paired("x", [None], [True])
    assert nothing.n == 0
    assert nothing.p is None
    assert nothing.rise.value is None
    one = paired("x", [True], [False])
    assert one.rise.value == -1
    assert one.rise.low is None
