"""Paired shares: McNemar's exact test and the score interval of pairs, by other ways."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safebasin.study.paired import paired
from safebasin.study.paired_interval import prompts_needed, score_interval


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
    assert found.rise.low == pytest.approx(-found.rise.high)
    assert "Tango" in found.rise.method
    all_gained = pairs(both=0, gained=80, lost=0, neither=0)
    assert all_gained.rise.high == 1
    assert all_gained.rise.low == pytest.approx(0.908, abs=0.001), "some may be lost"
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


@pytest.mark.parametrize(
    ("gained", "lost", "n"), [(1, 7, 21), (0, 0, 30), (3, 0, 40), (0, 9, 9), (12, 5, 60)]
)
def test_the_interval_holds_what_the_likelihood_does_not_refuse(
    gained: int, lost: int, n: int
) -> None:
    """By brute force: the score test with the likelihood maximised over a grid of shares."""

    def refused(delta: float) -> bool:
        share = np.linspace(max(0.0, -delta), (1 - delta) / 2, 200_001)[1:-1]
        chances = np.array([share + delta, share, 1 - 2 * share - delta])
        with np.errstate(divide="ignore", invalid="ignore"):
            likelihood = sum(
                count * np.log(chance) if count else 0.0 * chance
                for count, chance in zip((gained, lost, n - gained - lost), chances, strict=True)
            )
        best = share[np.nanargmax(likelihood)]
        variance = n * (2 * best + delta - delta**2)
        return bool(abs(gained - lost - n * delta) > 1.959964 * math.sqrt(variance))

    low, high = score_interval(gained, lost, n, 0.95)
    for end, outward in ((low, -1), (high, 1)):
        if abs(end) < 1:
            assert refused(end + outward * 2e-3)
            assert not refused(end - outward * 2e-3)


def test_a_published_interval() -> None:
    """Airway responsiveness before and after a transplantation, 21 children (Fagerland 2014)."""
    assert score_interval(1, 7, 21, 0.95) == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_each_prompt_that_changes_raises_the_upper_end() -> None:
    """A bootstrap ends at 0.038 with one of eighty changed, and at 0.046 with none."""
    ends = [score_interval(gained, 0, 80, 0.95)[1] for gained in range(81)]
    assert ends == sorted(ends)
    assert ends[0] == pytest.approx(0.0458, abs=1e-4)
    assert ends[1] == pytest.approx(0.0675, abs=1e-4)
    assert ends[-1] == 1


def test_so_many_prompts_are_needed() -> None:
    def kept(n: float) -> bool:
        return score_interval(0, 0, n, 0.95)[1] <= 0.05

    assert prompts_needed(kept, 60) == 73
    assert kept(73)
    assert not kept(72)
    assert prompts_needed(kept, 200) == 200
    assert prompts_needed(lambda n: False, 3) is None
