"""The angular gap, held against plain loops over what transformers gives."""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch

from safebasin.attribution import angles
from safebasin.attribution.angles import PAIRS, AngularGap, gap
from safebasin.errors import DataError, EngineError, UsageError
from safebasin.subject.hooks import hooked
from safebasin.subject.rows import Rows
from safebasin.subject.states import last_states
from safebasin.subject.subject import Subject
from support import pico
from test_subject import PLACES, ROWS, answered_otherwise, subject_of

SAFETY, UTILITY = Rows("safety", tuple(ROWS[:2])), Rows("utility", tuple(ROWS[2:]))


@pytest.fixture(scope="module", params=["llama", "gpt2", "gemma2"])
def subject(request: Any) -> Subject:
    return subject_of(pico.model(request.param))


@pytest.fixture(scope="module")
def states(subject: Subject) -> np.ndarray:
    """float64 [rows, blocks + 1, width] of the last prompt token, the whole row in the model."""
    found = []
    for encoded in subject.encode(ROWS):
        out = subject.model(torch.tensor([encoded.ids]), output_hidden_states=True)
        [at] = PLACES["last"](encoded.labels)
        found.append(np.stack([one[0, at].double().numpy() for one in out.hidden_states]))
    return np.stack(found)


def degrees(a: np.ndarray, b: np.ndarray) -> float:
    return math.degrees(math.acos(cosine(a, b)))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))


def expected(normal: np.ndarray, harmful: np.ndarray, definition: str) -> float:
    between = list(product(normal, harmful))
    within = [(normal[i], normal[j]) for i in range(len(normal)) for j in range(i)]
    if definition == "paper":
        return float(
            np.mean([degrees(*p) for p in between]) - np.mean([degrees(*p) for p in within])
        )
    means = [np.mean([cosine(*pair) for pair in pairs]) for pairs in (between, within)]
    return math.degrees(math.acos(means[0])) - math.degrees(math.acos(means[1]))


def test_states_are_the_blocks_own(subject: Subject, states: np.ndarray) -> None:
    before = subject.weights.checksum()
    hooks = [len(one._forward_hooks) for one in subject.model.modules()]
    found = last_states(subject, ROWS)
    assert found.shape == (len(ROWS), 2, 32)
    np.testing.assert_allclose(found[:, 0], states[:, 1], rtol=1e-4, atol=1e-5)
    inner = subject.model.base_model
    norm = inner.ln_f if hasattr(inner, "ln_f") else inner.norm
    np.testing.assert_allclose(
        norm(found[:, 1].float()).detach(), states[:, 2], rtol=1e-3, atol=1e-4
    )
    assert not np.allclose(found[:, 1], states[:, 2], atol=1e-2), "the norm is not in it"
    assert subject.weights.checksum() == before
    assert [len(one._forward_hooks) for one in subject.model.modules()] == hooks


@pytest.mark.parametrize("definition", ["paper", "code"])
def test_the_gap_is_that_of_all_pairs(
    subject: Subject, states: np.ndarray, definition: Any
) -> None:
    located = AngularGap(definition).locate(subject, SAFETY, UTILITY)
    assert (located.unit, len(located.values)) == ("degrees", 2)
    first = located.values[0]
    assert first.value == pytest.approx(
        expected(states[2:, 1], states[:2, 1], definition), abs=1e-3
    )
    whole = last_states(subject, ROWS).numpy()
    last = located.values[1]
    assert last.value == pytest.approx(expected(whole[2:, 1], whole[:2, 1], definition), abs=1e-6)
    assert all(one.low <= one.value <= one.high for one in located.values)
    assert located.spec()["others"]["sha256"] == UTILITY.sha256


def test_the_mean_cosines_are_those_of_all_pairs(subject: Subject) -> None:
    located = AngularGap().locate(subject, SAFETY, UTILITY)
    whole = last_states(subject, ROWS).numpy()
    harmful, normal = whole[:2], whole[2:]
    assert list(located.curves) == list(PAIRS)
    for block in range(2):
        pairs = {
            "two normal": combinations(normal[:, block], 2),
            "harmful, normal": product(harmful[:, block], normal[:, block]),
            "two harmful": combinations(harmful[:, block], 2),
        }
        for name, own in pairs.items():
            one = located.curves[name][block]
            assert one.value == pytest.approx(np.mean([cosine(*pair) for pair in own]), abs=1e-9)
            assert one.low <= one.value <= one.high <= 1


def test_the_definitions_differ_and_agree_where_all_pairs_are_alike() -> None:
    drawn = np.random.default_rng(0).normal(size=(9, 5))
    assert abs(gap(drawn[:5], drawn[5:]).value - gap(drawn[:5], drawn[5:], "code").value) > 0.1
    axes = np.eye(3)[[0, 0, 0, 1, 1]]
    for definition in ("paper", "code"):
        found = gap(axes[:3], axes[3:], definition)
        assert found.value == pytest.approx(90, abs=1e-4)
        assert (found.low, found.high) == pytest.approx((90, 90), abs=1e-4)


def test_a_row_drawn_twice_is_no_pair_with_itself() -> None:
    n, m = np.random.default_rng(1).normal(size=(2, 3, 4))
    units = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (n, m)]
    within, between = (np.degrees(np.arccos(np.clip(units[0] @ o.T, -1, 1))) for o in units)
    counts = np.array([[2.0, 1.0, 0.0]]), np.array([[0.0, 1.0, 2.0]])
    [found] = angles._apart(*counts, between) - angles._among(counts[0], within)
    apart = [degrees(n[i], m[j]) for i in (0, 0, 1) for j in (1, 2, 2)]
    assert found == pytest.approx(np.mean(apart) - degrees(n[0], n[1]))
    [none] = angles._among(np.array([[3.0, 0, 0]]), within)
    assert math.isnan(none)


@pytest.mark.parametrize("definition", ["paper", "code"])
def test_intervals_hold_the_gap_of_all_prompts(definition: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(angles, "REPLICATES", 300)
    generator = np.random.default_rng(2)
    shift = np.array([1.5, 0, 0, 0, 0, 0])

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        normal, harmful = generator.normal(size=(2, count, 6))
        return normal + np.array([0, 1.5, 0, 0, 0, 0]), harmful + shift

    truth = gap(*draw(2000), definition).value
    found = [gap(*draw(15), definition) for _ in range(120)]
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.89 <= held <= 1.0
    assert np.median([one.high - one.low for one in found]) < 40


class TestBadInput:
    @pytest.mark.parametrize(("safety", "utility"), [(2, 0), (2, 1), (1, 2)])
    def test_too_few_rows(self, subject: Subject, safety: int, utility: int) -> None:
        rows = Rows("s", tuple(ROWS[:safety])), Rows("u", tuple(ROWS[2 : 2 + utility]))
        with pytest.raises(DataError, match="two rows of"):
            AngularGap().locate(subject, *rows)

    def test_prompts_that_are_in_both_sets(self, subject: Subject) -> None:
        rows = Rows("s", tuple(ROWS[:2]))
        with pytest.raises(DataError, match="'s' and 'others' share prompts: row 0"):
            AngularGap().locate(subject, rows, answered_otherwise(rows))

    def test_an_unknown_definition(self) -> None:
        with pytest.raises(UsageError, match="no definition 'both'"):
            AngularGap("both")  # type: ignore[arg-type]

    def test_states_that_are_not_finite(self) -> None:
        subject = subject_of(pico.model("llama"))
        block = subject.model.model.layers[0].mlp
        with (
            hooked([(block, lambda module, given, out: out * math.nan)]),
            pytest.raises(EngineError, match="row 0: what the blocks give is not finite"),
        ):
            last_states(subject, ROWS)
