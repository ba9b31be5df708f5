"""Defences that change weights, each held against a few lines of NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from safebasin.checkpoint import Checkpoint
from safebasin.defences.lox import Lox
from safebasin.defences.resta import Resta
from safebasin.defences.restoration import RandomPerturbation, RandomRestoration
from safebasin.defences.safe_merge import SafeMerge
from safebasin.errors import DirectionError, UsageError
from safebasin.subject.subject import Subject
from support import defended, pico
from support.defended import Arrays, after, arrays, now


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defended.make(tmp_path_factory.mktemp("home"), request.param)


@pytest.fixture(scope="module")
def subject(home: Path) -> Subject:
    return Subject.load(Checkpoint(str(home / "aligned"), str(home / "adapter")))


@pytest.fixture(scope="module")
def aligned(home: Path) -> Subject:
    return Subject.load(str(home / "aligned"))


@pytest.fixture(scope="module")
def known(home: Path) -> tuple[Arrays, Arrays]:
    return arrays(home / "aligned"), arrays(home / "unaligned")


def names(home: Path) -> tuple[str, str]:
    return str(home / "aligned"), str(home / "unaligned")


def close(one: Arrays, two: Arrays, atol: float = 3e-6) -> None:
    assert one.keys() == two.keys()
    for name, values in one.items():
        np.testing.assert_allclose(values, two[name], atol=atol, err_msg=name)


def selected(subject: Subject) -> set[str]:
    return {one.name for one in subject.weights.parameters}


class TestLox:
    def extrapolated(self, start: Arrays, known: tuple[Arrays, Arrays], rank: int) -> Arrays:
        made = {}
        for name, own in start.items():
            change = known[0][name] - known[1][name]
            if change.ndim < 2:
                made[name] = own
                continue
            u, s, v = np.linalg.svd(change, full_matrices=False)
            made[name] = own + 1.5 * (u[:, :rank] * s[:rank]) @ v[:rank]
        return made

    def test_it_goes_on_where_alignment_went(
        self, home: Path, aligned: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        own = Lox(names(home)[1], rank=3, factor=1.5)
        close(after(aligned, own.direction(aligned)), self.extrapolated(known[0], known, 3), 2e-5)
        assert own.spec()["variant"] == "before-tuning"

    def test_after_a_fine_tune_it_adds_the_same(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        own = Lox(names(home)[1], names(home)[0], rank=3, factor=1.5)
        expected = self.extrapolated(now(subject), known, 3)
        close(after(subject, own.direction(subject)), expected, 2e-5)
        assert own.spec()["variant"] == "after-tuning"

    def test_rank_0_is_all_of_it(
        self, home: Path, aligned: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        moved = after(aligned, Lox(names(home)[1], rank=0).direction(aligned))
        for name, own in known[0].items():
            expected = own if own.ndim < 2 else 2 * own - known[1][name]
            np.testing.assert_allclose(moved[name], expected, atol=3e-6)

    def test_a_factor_of_0_is_the_model(self, home: Path, aligned: Subject) -> None:
        before = now(aligned)
        moved = after(aligned, Lox(names(home)[1], factor=0.0).direction(aligned))
        assert all(np.array_equal(before[name], one) for name, one in moved.items())

    def test_no_alignment(self, home: Path, aligned: Subject) -> None:
        with pytest.raises(DirectionError, match="have the same matrices"):
            Lox(names(home)[0]).direction(aligned)

    def test_settings_that_are_none(self, home: Path) -> None:
        with pytest.raises(UsageError, match="rank -1"):
            Lox(names(home)[1], rank=-1)
        with pytest.raises(UsageError, match="factor is nan"):
            Lox(names(home)[1], factor=float("nan"))


class TestResta:
    def test_it_adds_the_safety_vector(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        moved = after(subject, Resta(*names(home), factor=0.4).direction(subject))
        for name, own in now(subject).items():
            vector = known[0][name] - known[1][name]
            expected = own + 0.4 * vector if name in selected(subject) else own
            np.testing.assert_allclose(moved[name], expected, atol=3e-6)

    def test_it_drops_and_rescales_what_was_tuned(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        moved = after(subject, Resta(*names(home), factor=0.4, drop=0.25).direction(subject))
        kept, all_of = 0, 0
        for name, own in now(subject).items():
            change = own - known[0][name]
            if not change.any():
                continue
            left = moved[name] - known[0][name] - 0.4 * (known[0][name] - known[1][name])
            gone = np.abs(left) < 1e-5
            np.testing.assert_allclose(left[~gone], change[~gone] / 0.75, atol=1e-5)
            kept, all_of = kept + int((~gone).sum()), all_of + left.size
        assert kept / all_of == pytest.approx(0.75, abs=0.03)

    def test_a_factor_of_0_without_a_drop_is_the_model(self, home: Path, subject: Subject) -> None:
        before = now(subject)
        moved = after(subject, Resta(*names(home), factor=0.0).direction(subject))
        assert all(np.array_equal(before[name], one) for name, one in moved.items())

    def test_another_seed_drops_others(self, home: Path, subject: Subject) -> None:
        one, two, again = (
            after(subject, Resta(*names(home), drop=0.3, seed=seed).direction(subject))
            for seed in (0, 1, 0)
        )
        assert any(not np.array_equal(one[name], two[name]) for name in one)
        assert all(np.array_equal(one[name], again[name]) for name in one)

    @pytest.mark.parametrize("drop", [1.0, -0.1, float("nan")])
    def test_a_drop_that_is_no_share(self, home: Path, drop: float) -> None:
        with pytest.raises(UsageError, match="share to drop"):
            Resta(*names(home), drop=drop)


class TestSafeMerge:
    def cosines(self, subject: Subject, known: tuple[Arrays, Arrays]) -> dict[str, float]:
        found = {}
        for name, own in now(subject).items():
            change, v = own - known[0][name], known[0][name] - known[1][name]
            if ".c_" in name:
                change, v = change.T, v.T
            if change.any():
                inside = v @ v.T @ change / np.linalg.norm(v)
                norms = np.linalg.norm(inside) * np.linalg.norm(change)
                found[name] = float((inside * change).sum() / norms)
        return found

    def test_it_merges_the_layers_below_the_threshold(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        cosines = self.cosines(subject, known)
        threshold = float(np.median(list(cosines.values())))
        safe = Checkpoint(str(home / "aligned"), str(home / "safe"))
        own = SafeMerge(*names(home), safe, threshold, share=0.25)
        assert {one.name for one in own.merged(subject)} == {
            name for name, cosine in cosines.items() if cosine < threshold
        }
        goal = now(Subject.load(safe))
        moved = after(subject, own.direction(subject))
        changed = 0
        for name, before in now(subject).items():
            merged = name in cosines and cosines[name] < threshold
            expected = 0.75 * before + 0.25 * goal[name] if merged else before
            np.testing.assert_allclose(moved[name], expected, atol=3e-6)
            changed += merged
        assert changed == 2

    def test_without_a_safe_model_it_is_the_aligned_one(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        own = SafeMerge(*names(home), threshold=1.1, share=1.0)
        close(after(subject, own.direction(subject)), known[0])

    def test_where_alignment_left_all_as_it_was_all_is_merged(
        self, home: Path, subject: Subject
    ) -> None:
        same = names(home)[0]
        assert len(SafeMerge(same, same).merged(subject)) == 4

    def test_below_every_cosine_the_model_is_itself(self, home: Path, subject: Subject) -> None:
        before = now(subject)
        moved = after(subject, SafeMerge(*names(home), threshold=0.0).direction(subject))
        assert all(np.array_equal(before[name], one) for name, one in moved.items())

    def test_a_share_that_is_none(self, home: Path) -> None:
        with pytest.raises(UsageError, match="share of the safe model"):
            SafeMerge(*names(home), share=1.5)


class TestChance:
    def test_a_share_is_set_back(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        own = RandomRestoration(names(home)[0], share=0.3, seed=2)
        moved = after(subject, own.direction(subject))
        restored, tuned = 0, 0
        for name, before in now(subject).items():
            differs = before != known[0][name]
            back = differs & np.isclose(moved[name], known[0][name], rtol=0, atol=1e-7)
            assert np.array_equal(moved[name][~back], before[~back])
            restored, tuned = restored + int(back.sum()), tuned + int(differs.sum())
        assert restored / tuned == pytest.approx(0.3, abs=0.03)

    def test_all_of_it_is_the_aligned_model(
        self, home: Path, subject: Subject, known: tuple[Arrays, Arrays]
    ) -> None:
        own = RandomRestoration(names(home)[0], share=1.0)
        close(after(subject, own.direction(subject)), known[0], 1e-7)

    def test_none_of_it_is_the_fine_tune(self, home: Path, subject: Subject) -> None:
        before = now(subject)
        moved = after(subject, RandomRestoration(names(home)[0], share=0.0).direction(subject))
        assert all(np.array_equal(before[name], one) for name, one in moved.items())

    def test_the_aligned_model_has_nothing_to_restore(self, home: Path, aligned: Subject) -> None:
        with pytest.raises(DirectionError, match="nothing was fine-tuned"):
            RandomRestoration(names(home)[0]).direction(aligned)

    def test_noise_is_normal_and_depends_on_the_seed(self, subject: Subject) -> None:
        before = now(subject)
        one, two = (
            after(subject, RandomPerturbation(0.02, seed=seed).direction(subject))
            for seed in (0, 1)
        )
        noise = np.concatenate([(one[n] - before[n]).ravel() for n in sorted(selected(subject))])
        assert noise.std() == pytest.approx(0.02, rel=0.02)
        assert abs(noise.mean()) < 5 * 0.02 / np.sqrt(noise.size)
        assert any(not np.array_equal(one[name], two[name]) for name in one)

    def test_a_deviation_below_0(self) -> None:
        with pytest.raises(UsageError, match="deviation is -1"):
            RandomPerturbation(-1)


def test_a_model_of_another_shape(home: Path, subject: Subject, tmp_path: Path) -> None:
    other = str(pico.save(tmp_path / "other", hidden_size=64))
    base = names(home)[0]
    for own in (Lox(other), Resta(base, other), SafeMerge(base, other), RandomRestoration(other)):
        with pytest.raises(DirectionError, match="does not fit these weights"):
            own.direction(subject)


def test_the_model_is_left_as_it_was(home: Path, subject: Subject) -> None:
    before = subject.weights.checksum()
    made = SafeMerge(*names(home), threshold=1.1).direction(subject)
    with subject.weights.displaced([(1.0, made)]), torch.no_grad():
        assert subject.weights.checksum() != before
    assert subject.weights.checksum() == before
