"""Scores and masks, held against NumPy, against autograd and against removing a weight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from safebasin.attribution.base import HeldScores
from safebasin.attribution.masks import (
    count_of,
    jaccard,
    largest,
    largest_of,
    least_share,
    overlap,
    top,
)
from safebasin.attribution.random import Random, random_like, uniform
from safebasin.attribution.snip import Snip
from safebasin.attribution.wanda import Wanda
from safebasin.errors import DataError, DirectionError, UsageError
from safebasin.subject import gathering
from safebasin.subject.encoding import IGNORED
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter
from support import pico
from test_subject import ROWS, entering, gradients, subject_of, wide

SAFETY, UTILITY = Rows("safety", tuple(ROWS[:3])), Rows("utility", tuple(ROWS[3:]))
EVERY = Rows("every", tuple(ROWS))


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_of(pico.model("gpt2"))


def of(scores: HeldScores, subject: Subject) -> dict[str, Tensor]:
    return {one.name: one.of(scores.tensors[one.parameter.name]) for one in subject.linear}


@pytest.mark.parametrize("kind", ["gpt2", "mixtral"])
@pytest.mark.parametrize("definition", ["paper", "code"])
def test_snip_is_the_mean_of_absolute_products(kind: str, definition: Any) -> None:
    subject = subject_of(pico.model("gpt2") if kind == "gpt2" else wide(kind))
    found = Snip(definition).locate(subject, EVERY)
    by_row = gradients(subject, mean=definition == "code")
    for parameter in found.parameters:
        weight = subject.model.get_parameter(parameter.name)
        total = sum((weight * row[parameter.name]).abs() for row in by_row)
        expected = total / len(ROWS) if definition == "paper" else total
        assert (expected > 0).any()
        torch.testing.assert_close(found.tensor(parameter), expected, rtol=1e-3, atol=1e-5)


def test_snip_foretells_what_removing_a_small_weight_does(subject: Subject) -> None:
    [row] = rows = Rows("one", (ROWS[1],)).rows
    scores = of(Snip("paper").locate(subject, Rows("one", rows)), subject)
    [encoded] = subject.encode([row])

    def loss() -> float:
        logits = subject.model(torch.tensor([encoded.ids])).logits[0].double().log_softmax(-1)
        return -sum(
            float(logits[i - 1, label])
            for i, label in enumerate(encoded.labels)
            if label != IGNORED
        )

    before = loss()
    layer = subject.linear[-1]
    weight = layer.of(subject.model.get_parameter(layer.parameter.name))
    small = (scores[layer.name].abs() > 1e-3) & (weight.abs() < 0.03)
    for i, j in small.nonzero()[:5].tolist():
        own = weight[i, j].clone()
        weight[i, j] = 0
        assert abs(loss() - before) == pytest.approx(float(scores[layer.name][i, j]), rel=0.1)
        weight[i, j] = own
    assert small.sum() >= 5
    assert loss() == before


def test_wanda_is_the_weight_times_the_norm_of_its_input(subject: Subject) -> None:
    found = of(Wanda().locate(subject, EVERY), subject)
    inputs = entering(subject, "answer")
    for layer in subject.linear:
        weight = layer.of(subject.weights.pristine(layer.parameter.name)).double().numpy()
        expected = np.abs(weight) * np.sqrt((inputs[layer.parameter.name] ** 2).sum(0))[None]
        np.testing.assert_allclose(found[layer.name], expected, rtol=1e-4, atol=1e-7)


def test_random_scores_are_a_seed(subject: Subject) -> None:
    one, two, other = (of(Random(seed).locate(subject), subject) for seed in (0, 0, 1))
    whole = torch.cat([tensor.flatten() for tensor in one.values()])
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any(torch.equal(one[name], other[name]) for name in one)
    assert float(whole.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(whole.std()) == pytest.approx(12**-0.5, abs=0.01)


def held(parameter: Parameter, values: Tensor) -> HeldScores:
    return HeldScores("made", (parameter,), {parameter.name: values}, {})


LAYOUTS = [
    Parameter("h.0.w", (4, 6)),
    Parameter("h.0.w", (6, 4), output_dim=1),
    Parameter("h.0.w", (3, 4, 6), stacked=(4, 6)),
    Parameter("h.0.w", (3, 6, 4), output_dim=1, stacked=(6, 4)),
]


@pytest.mark.parametrize("parameter", LAYOUTS, ids=str)
@pytest.mark.parametrize("by", ["tensor", "row", "model"])
@given(st.integers(0, 2**20), st.sampled_from([0.0, 1 / 6, 0.34, 0.5, 1.0]), st.booleans())
@settings(max_examples=15, deadline=None)
def test_the_top_is_that_of_a_sorted_list(
    parameter: Parameter, by: Any, seed: int, share: float, ties: bool
) -> None:
    drawn = np.random.default_rng(seed).random(parameter.shape, np.float32)
    drawn = np.round(drawn, 1) if ties else drawn
    found = top(held(parameter, torch.tensor(drawn)), share, by).tensor(parameter)
    assert found is not None
    matrices = [np.asarray(one) for one in parameter.split(torch.tensor(drawn))]
    chosen = [np.asarray(one) for one in parameter.split(found)]
    if parameter.output_dim == 1:
        matrices, chosen = ([one.T for one in many] for many in (matrices, chosen))
    groups = {
        "tensor": [one.ravel() for one in matrices],
        "row": [row for one in matrices for row in one],
        "model": [drawn.ravel()],
    }[by]
    taken = {
        "tensor": [one.ravel() for one in chosen],
        "row": [row for one in chosen for row in one],
        "model": [found.numpy().ravel()],
    }[by]
    for values, yes in zip(groups, taken, strict=True):
        order = sorted(range(len(values)), key=lambda i: (-values[i], i))
        expected = set(order[: int(share * len(values) + 1e-9)])
        assert set(np.flatnonzero(yes)) == expected


@pytest.mark.parametrize("n", [100, 3 * 10**8, 7 * 10**9, 10**11])
def test_a_share_in_hundredths_is_exact_at_every_size(n: int) -> None:
    assert [count_of(k / 100, n) for k in range(101)] == [k * n // 100 for k in range(101)]
    assert [count_of(1 / d, 3 * d) for d in range(1, 200)] == [3] * 199
    assert count_of(0.999 / n, n) == 0


def test_the_top_of_several_tensors_is_of_the_model() -> None:
    one, two = Parameter("a", (2, 2)), Parameter("b", (2, 3))
    values = {"a": torch.arange(4.0).reshape(2, 2), "b": torch.arange(6.0).reshape(2, 3)}
    mask = top(HeldScores("made", (one, two), values, {}), 0.3, "model")
    assert {name: int(tensor.sum()) for name, tensor in mask.tensors.items()} == {"a": 1, "b": 2}
    assert mask.count == 3
    assert mask.numel == 10


VALUES = st.sampled_from([-2.5, -1e-38, -0.0, 0.0, 1e-45, 1.0, 1.0000001, 3e38])


@given(st.lists(st.lists(VALUES, min_size=1, max_size=6), min_size=1, max_size=4), st.data())
@settings(max_examples=60, deadline=None)
def test_the_largest_of_several_tensors_are_those_of_them_put_together(
    drawn: list[list[float]], data: st.DataObject
) -> None:
    tensors = [torch.tensor(one) for one in drawn]
    whole = torch.cat(tensors)
    count = data.draw(st.integers(1, len(whole)))
    found = largest_of([one.reshape(1, -1) for one in tensors], count)
    assert torch.equal(torch.cat([one[0] for one in found]), largest(whole[None], count)[0])


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_passes_over_few_layers_find_the_same_set(
    subject: Subject, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = (Snip("paper"), Snip("code"), Wanda())
    masks = [top(one.locate(subject, EVERY), share, "model") for one in methods]
    own, taken = gathering.that_fit, []

    def three(subject: Subject, layers: Any, make: Any, at_once: Any) -> Any:
        taken.append(own(subject, layers, make, 3))
        return taken[-1]

    monkeypatch.setattr(gathering, "that_fit", three)
    for method, mask in zip(methods, masks, strict=True):
        other = top(method.locate(subject, EVERY), share, "model")
        assert all(torch.equal(other.tensors[name], one) for name, one in mask.tensors.items())
    assert {len(one) for one in taken} == {3, len(subject.linear) % 3 or 3}
    assert len(taken) == 3 * -(-len(subject.linear) // 3)


class TestMasks:
    A = Mask({"p": torch.tensor([True, True, False, False]), "q": torch.tensor([True])}, name="a")
    B = Mask({"p": torch.tensor([True, False, True, False])}, name="b")
    P, Q = Parameter("p", (4,)), Parameter("q", (1,))

    def test_their_algebra_is_that_of_sets(self) -> None:
        found = {
            "and": (self.A & self.B).tensor(self.P),
            "minus": (self.A - self.B).tensor(self.P),
            "not": (~self.A).tensor(self.P),
        }
        assert {key: one.tolist() for key, one in found.items() if one is not None} == {
            "and": [True, False, False, False],
            "minus": [False, True, False, False],
            "not": [False, False, True, True],
        }

    def test_what_a_mask_does_not_speak_of(self) -> None:
        assert (self.A & self.B).tensor(self.Q) is None
        assert (~self.B).tensor(self.Q) is None
        own = (self.A - self.B).tensor(self.Q)
        assert own is not None
        assert own.tolist() == [True]

    def test_how_much_they_share(self) -> None:
        empty = Mask({"p": torch.zeros(4, dtype=torch.bool)})
        assert jaccard(self.A, self.B) == 1 / 3
        assert overlap(self.A, self.B) == 1 / 2
        assert jaccard(empty, empty) is None
        assert overlap(self.A, empty) is None

    @pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 4, 8)])
    def test_a_specification_is_the_mask(self, shape: tuple[int, ...], tmp_path: Path) -> None:
        drawn = torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.5
        mask = Mask({"p": drawn}, name="drawn")
        stored = Mask.read(mask.save(tmp_path / "m.safetensors"))
        for one in (mask, stored):
            again = Mask.rebuild(json.loads(json.dumps(one.spec())))
            assert (again.name, again.spec()) == (one.name, one.spec())
            assert torch.equal(again.tensors["p"], drawn)
        (~mask).save(tmp_path / "m.safetensors")
        with pytest.raises(DirectionError, match="is not the mask"):
            Mask.rebuild(stored.spec())

    def test_a_random_one_has_as_many_of_each_tensor(self) -> None:
        parameter = Parameter("w", (20, 30))
        mask = top(held(parameter, torch.rand(20, 30)), 0.1)
        like = [random_like(mask, seed) for seed in range(2)]
        order = uniform(1, "w", (mask.numel,)).numpy().argsort(kind="stable")[: mask.count]
        assert set(like[1].tensors["w"].flatten().nonzero().flatten().tolist()) == set(order)
        assert [one.count for one in like] == [60, 60]
        assert not torch.equal(like[0].tensors["w"], like[1].tensors["w"])
        assert torch.equal(random_like(mask, 1).tensors["w"], like[1].tensors["w"])


class TestBadInput:
    def test_a_share_below_one_weight_of_a_row(self) -> None:
        scores = held(LAYOUTS[0], torch.rand(4, 6))
        with pytest.raises(UsageError, match=r"0\.1 is less than one of 6 weights in 'h\.0\.w'"):
            top(scores, 0.1, "row")
        assert top(scores, 0.1, "tensor").count == 2
        with pytest.raises(UsageError, match=r"in the model\. Give 0\.042 or more\.$"):
            top(scores, 0.01, "model")

    @pytest.mark.parametrize("n", [3, 6, 7, 16, 300, 106_168_320])
    def test_the_share_that_is_advised_is_one_weight(self, n: int) -> None:
        share = float(least_share(n))
        assert 1 <= share * n < 1.12

    @pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
    def test_a_share_that_is_none(self, share: float) -> None:
        with pytest.raises(UsageError, match="is none"):
            top(held(LAYOUTS[0], torch.rand(4, 6)), share)

    def test_sets_that_overlap(self, subject: Subject) -> None:
        with pytest.raises(DataError, match="share rows: row 3"):
            Wanda().locate(subject, EVERY, UTILITY)

    def test_no_rows_of_safety(self, subject: Subject) -> None:
        with pytest.raises(DataError, match="'nothing' holds no rows"):
            Snip().locate(subject, Rows("nothing", ()))

    def test_a_mask_of_another_model(self) -> None:
        with pytest.raises(DirectionError, match=r"of shape \(1,\) at 'p'"):
            Mask({"p": torch.tensor([True])}).tensor(Parameter("p", (4,)))

    def test_an_unknown_definition(self) -> None:
        with pytest.raises(UsageError, match="no definition 'both'"):
            Snip("both")  # type: ignore[arg-type]

    def test_a_file_that_is_no_mask(self, tmp_path: Path) -> None:
        (tmp_path / "m.safetensors").write_bytes(b"nothing")
        with pytest.raises(DirectionError, match="cannot be read"):
            Mask.read(tmp_path / "m.safetensors")
