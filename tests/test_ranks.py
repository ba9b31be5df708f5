"""ActSVD, held against NumPy's singular values of W·X with X itself at hand."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from safebasin.attribution.actsvd import ActSvd, Order, sequential
from safebasin.attribution.ranks import isolated, kept, random_subspace_like, removed, similarity
from safebasin.directions import Projected, rebuild
from safebasin.errors import DirectionError, UsageError
from safebasin.subject.rows import Rows, load_rows
from safebasin.subject.subject import Subject
from safebasin.testbed.evaluation import Shares, measure
from safebasin.testbed.prompt_files import build_prompts
from safebasin.weights import Direction
from safebasin.weights.subspaces import HeldSubspace
from support import pico
from test_subject import ROWS, entering, subject_of, wide

EVERY = Rows("every", tuple(ROWS))
SAFETY, UTILITY = Rows("safety", tuple(ROWS[:2])), Rows("utility", tuple(ROWS[2:]))
TOLERANCE = 2e-6
"""Of singular values and entries of W·X, relative to the largest singular value."""


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def subject(request: Any) -> Subject:
    return subject_of(pico.model(request.param))


@pytest.fixture(scope="module")
def products(subject: Subject) -> dict[str, np.ndarray]:
    """W·X [out, tokens] of every linear layer at the tokens of answers, float64."""
    inputs = entering(subject, "answer")
    found = {}
    for layer in subject.linear:
        weight = layer.of(subject.weights.pristine(layer.parameter.name)).double().numpy()
        found[layer.name] = weight @ inputs[layer.parameter.name].T
    return found


def basis(subspace: HeldSubspace, subject: Subject, name: str) -> np.ndarray:
    [parameter] = [one for one in subject.weights.parameters if one.name == name]
    found = subspace.basis(parameter)
    assert found is not None
    assert found.dtype == torch.float32
    return found.double().numpy()


def displaced(subject: Subject, direction: Direction) -> dict[str, np.ndarray]:
    """Each W [out, in] with the direction at 1."""
    with subject.weights.displaced([(1.0, direction)]):
        named = dict(subject.model.named_parameters())
        return {
            one.name: one.of(named[one.parameter.name].detach()).double().numpy().copy()
            for one in subject.linear
        }


def own(subject: Subject) -> dict[str, np.ndarray]:
    return {
        one.name: one.of(subject.weights.pristine(one.parameter.name)).double().numpy()
        for one in subject.linear
    }


def test_it_is_the_svd_of_what_the_matrix_gives(
    subject: Subject, products: dict[str, np.ndarray]
) -> None:
    shapes = set()
    for layer, found in ActSvd().decompositions(subject, EVERY):
        u, s, _ = np.linalg.svd(products[layer.name], full_matrices=False)
        values, vectors = found.values.numpy(), found.vectors.numpy()
        shapes.add((layer.outputs > layer.inputs) - (layer.outputs < layer.inputs))
        np.testing.assert_allclose(values[: len(s)], s, rtol=0, atol=TOLERANCE * s[0])
        assert np.all(values[len(s) :] < TOLERANCE * s[0])
        assert found.rank == np.linalg.matrix_rank(products[layer.name].astype(np.float32))
        for r in np.flatnonzero(s[:-1] - s[1:] > 0.02 * s[0]) + 1:
            one, two = (vectors[:, :r] @ vectors[:, :r].T, u[:, :r] @ u[:, :r].T)
            np.testing.assert_allclose(one, two, atol=1e-4)
    assert shapes == {-1, 0, 1}


@pytest.mark.parametrize("rank", [1, 4])
def test_what_is_lost_are_the_other_singular_values(
    subject: Subject, products: dict[str, np.ndarray], rank: int
) -> None:
    found = ActSvd(rank).locate(subject, EVERY)
    assert [one.name for one in found.parameters] == list(found.bases)
    for name, product in products.items():
        u = basis(found, subject, name)
        squares = np.linalg.svd(product, compute_uv=False) ** 2
        lost = np.linalg.norm(product - u @ (u.T @ product)) ** 2
        assert lost == pytest.approx(squares[rank:].sum(), rel=1e-5)
        assert found.shares[name] == pytest.approx(squares[:rank].sum() / squares.sum(), rel=1e-5)


def test_directions_are_the_paper_s_products(subject: Subject) -> None:
    safety, utility = ActSvd(2).locate(subject, SAFETY), ActSvd(3).locate(subject, UTILITY)
    weights = own(subject)
    without = displaced(subject, removed(safety, subject.weights))
    only = displaced(subject, kept(safety, subject.weights))
    apart = displaced(subject, isolated(safety, utility, subject.weights))
    reverse = displaced(subject, isolated(utility, safety, subject.weights))
    for name, w in weights.items():
        one, two = (basis(found, subject, name) for found in (safety, utility))
        p, q, i = one @ one.T, two @ two.T, np.eye(len(w))
        for got, expected in (
            (without, w - p @ w),
            (only, p @ w),
            (apart, w - (i - q) @ p @ w),
            (reverse, w - (i - p) @ q @ w),
        ):
            np.testing.assert_allclose(got[name], expected, rtol=0, atol=2e-7 * np.abs(w).max())
        np.testing.assert_allclose(q @ apart[name], q @ w, rtol=0, atol=1e-6)
        assert np.linalg.matrix_rank((w - apart[name]).astype(np.float32), tol=1e-4) <= 2
        assert np.linalg.norm(w - apart[name]) > 0.01 * np.linalg.norm(w)


def test_the_same_rows_and_rank_leave_nothing(subject: Subject) -> None:
    found = ActSvd(2).locate(subject, SAFETY)
    made = displaced(subject, isolated(found, found, subject.weights))
    for name, w in own(subject).items():
        np.testing.assert_allclose(made[name], w, rtol=0, atol=1e-7)


def test_rank_zero_is_the_model_bit_for_bit(subject: Subject) -> None:
    found, before = ActSvd(0).locate(subject, EVERY), subject.weights.checksum()
    assert set(found.shares.values()) == {0.0}
    for direction in (
        removed(found, subject.weights),
        isolated(found, found, subject.weights),
    ):
        with subject.weights.displaced([(1.0, direction)]):
            assert subject.weights.checksum() == before


def test_a_negative_rank_leaves_out_so_many() -> None:
    found = ActSvd(-31).locate(subject_of(pico.model("gpt2")), EVERY)
    assert {one.shape[-1] for one in found.bases.values()} == {1}
    few = subject_of(pico.model("llama"))
    with pytest.raises(UsageError, match=r"All but 31 of the 16 ranks of .*k_proj"):
        ActSvd(-31).locate(few, EVERY)


def test_directions_are_rebuilt_with_where_they_come_from(subject: Subject) -> None:
    found = ActSvd(2).locate(subject, SAFETY)
    direction = removed(found, subject.weights)
    again = rebuild(json.loads(json.dumps(direction.spec())), subject.weights)
    assert again.spec() == direction.spec()
    told = again.spec()["subspace"]
    assert (told["kind"], told["rank"], told["rows"]["sha256"]) == ("actsvd", 2, SAFETY.sha256)


def test_each_expert_has_a_subspace_of_its_own() -> None:
    subject = subject_of(wide("mixtral"))
    method = ActSvd(1)
    located = method.locate(subject, EVERY)
    for layer, found in method.decompositions(subject, EVERY):
        own = located.bases[layer.parameter.name]
        one = own if layer.expert is None else own[layer.expert]
        torch.testing.assert_close(one, found.vectors[:, :1].float())
    before = displaced(subject, kept(ActSvd(0).locate(subject, EVERY), subject.weights))
    assert not any(one.any() for one in before.values())
    without = displaced(subject, removed(located, subject.weights))
    for layer in subject.linear:
        u = located.bases[layer.parameter.name]
        u = (u if layer.expert is None else u[layer.expert]).double().numpy()
        assert np.abs(u.T @ without[layer.name]).max() < 1e-6


def test_refusals_go_with_the_top_ranks_and_not_with_random_ones() -> None:
    """What is left is mostly broken text: without them this model neither refuses nor complies."""
    subject = Subject.load("testbed:aligned")
    found = ActSvd(1).locate(subject, load_rows("testbed:refusing").first(8))
    prompts = build_prompts("harmful", "test")[:16]

    def shares(subspace: HeldSubspace) -> Shares:
        with subject.weights.displaced([(1.0, removed(subspace, subject.weights))]):
            return measure(subject.model, subject.tokenizer, prompts)

    top, random = shares(found), shares(random_subspace_like(found))
    assert top.refusal <= 0.1 < 0.8 <= random.refusal
    assert top.broken >= 0.5 > random.broken


def ortho(*columns: int) -> Tensor:
    return torch.eye(6)[:, list(columns)]


def test_how_much_subspaces_share() -> None:
    one = HeldSubspace("a", "output", {"p": ortho(0, 1), "q": ortho(), "r": ortho(2)})
    two = HeldSubspace("b", "output", {"p": ortho(1, 2, 3), "q": ortho(0)})
    assert similarity(one, two) == {"p": 0.5, "q": None}
    assert similarity(one, one)["p"] == 1


def test_a_random_one_has_the_same_ranks_and_no_direction() -> None:
    like = HeldSubspace(
        "a", "output", {"p": torch.eye(40, 10), "e": torch.eye(9, 2).expand(3, 9, 2)}
    )
    drawn = [random_subspace_like(like, seed) for seed in range(20)]
    assert {one.bases["p"].shape for one in drawn} == {(40, 10)}
    assert torch.equal(random_subspace_like(like, 7).bases["e"], drawn[7].bases["e"])
    shared = np.mean([similarity(like, one)["p"] for one in drawn])
    assert shared == pytest.approx(10 / 40, abs=0.03)
    assert not torch.equal(drawn[0].bases["e"][0], drawn[0].bases["e"][1])


class TestBadInput:
    def test_more_ranks_than_there_are(self) -> None:
        subject = subject_of(pico.model("llama"))
        [row] = subject.encode(ROWS[:1])
        distinct = len({label for label in row.labels if label >= 0})
        with pytest.raises(DirectionError, match=rf"q_proj.* gives {distinct} independent"):
            ActSvd(distinct + 1).locate(subject, Rows("one", tuple(ROWS[:1])))
        ActSvd(distinct).locate(subject, Rows("one", tuple(ROWS[:1])))

    def test_a_matrix_that_gives_nothing(self) -> None:
        subject = subject_of(pico.model("llama"))
        with torch.no_grad():
            subject.model.get_parameter("model.layers.0.self_attn.q_proj.weight").zero_()
        with pytest.raises(DirectionError, match=r"q_proj.* gives 0 .* more rows, or others\.$"):
            ActSvd(1).locate(subject, SAFETY)

    def test_subspaces_of_other_parameters(self, subject: Subject) -> None:
        found = ActSvd(1).locate(subject, SAFETY)
        less = HeldSubspace("less", "output", dict(list(found.bases.items())[1:]))
        with pytest.raises(DirectionError, match="'less' has no basis"):
            isolated(found, less, subject.weights)


class TestSequential:
    def test_each_block_sees_the_model_that_is_changed_before_it(self) -> None:
        """By hand: the weights of one block after another written into a copy of the model."""
        model, other = (pico.model("llama") for _ in range(2))
        subject, copy = subject_of(model), subject_of(other)
        before = subject.weights.checksum()
        found = ActSvd(1, "sequential").locate(subject, EVERY)
        assert subject.weights.checksum() == before
        assert found.spec()["order"] == "sequential"
        for block in (0, 1):
            part = [one for one in copy.linear if one.parameter.layer == block]
            copy = subject_of(other)  # the weights as they are now are its pristine ones
            intact = ActSvd(1).locate(copy, EVERY)
            with torch.no_grad():
                for layer in part:
                    own, by_hand = (one.bases[layer.parameter.name] for one in (found, intact))
                    np.testing.assert_allclose(
                        (own @ own.T).numpy(), (by_hand @ by_hand.T).numpy(), atol=1e-4
                    )
                    weight = other.get_parameter(layer.parameter.name)
                    weight -= own @ (own.T @ weight)

    def test_the_first_block_is_as_in_the_intact_model_and_later_ones_are_not(
        self, subject: Subject
    ) -> None:
        intact, changed = (ActSvd(2, order).locate(subject, EVERY) for order in ORDERS)
        shared = similarity(intact, changed)
        for parameter in intact.parameters:
            value = shared[parameter.name]
            assert value is not None
            if parameter.layer == 0:
                assert value == pytest.approx(1, abs=1e-5)
            else:
                assert value < 0.9999

    def test_safety_without_utility_in_order(self, subject: Subject) -> None:
        methods, rows = (ActSvd(2), ActSvd(3)), (SAFETY, UTILITY)

        def change(safety: HeldSubspace, utility: HeldSubspace) -> Projected:
            return isolated(safety, utility, subject.weights)

        one, two = sequential(subject, methods, rows, change)
        direction = isolated(one, two, subject.weights)
        made = displaced(subject, direction)
        for name, w in own(subject).items():
            q = basis(two, subject, name)
            np.testing.assert_allclose(q.T @ made[name], q.T @ w, rtol=0, atol=1e-6)

    def test_an_order_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="no order 'reverse'"):
            ActSvd(1, "reverse")  # type: ignore[arg-type]


ORDERS: tuple[Order, ...] = ("intact", "sequential")
