"""Directions within masks, subspaces and ranks, held against NumPy, matrix by matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from safebasin.directions import (
    Gaussian,
    Held,
    Masked,
    Projected,
    Pruned,
    Restricted,
    Truncated,
)
from safebasin.errors import DirectionError
from safebasin.weights import Direction, Weights
from safebasin.weights.masks import Mask
from safebasin.weights.parameters import Parameter
from safebasin.weights.subspaces import HeldSubspace, Side
from support import pico
from test_stacked_matrices import mixture

MODELS = {
    "llama": lambda: pico.model("llama"),
    "gpt2": lambda: pico.model("gpt2"),
    "mixtral": lambda: mixture("mixtral"),
    "gpt_oss": lambda: mixture("gpt_oss"),
}


@pytest.fixture(scope="module", params=MODELS)
def weights(request: Any) -> Weights:
    return Weights(MODELS[request.param]())


def step_of(direction: Direction, parameter: Parameter) -> Tensor:
    found = direction.tensor(parameter)
    assert found is not None
    return found


def matrices(parameter: Parameter, tensor: Tensor) -> list[np.ndarray]:
    """Each matrix as [out, in] in float64; a vector as a row."""
    parts = [part.double().numpy() for part in parameter.split(tensor)]
    if len(parameter.matrix.shape) < 2:
        return [part[None] for part in parts]
    return [part.T if parameter.output_dim == 1 else part for part in parts]


def drawn_mask(weights: Weights, seed: int = 0) -> Mask:
    generator = torch.Generator().manual_seed(seed)
    drawn = {p.name: torch.rand(p.shape, generator=generator) < 0.3 for p in weights.parameters}
    return Mask(drawn, name="drawn")


def bases(weights: Weights, side: Side, rank: int) -> HeldSubspace:
    generator = torch.Generator().manual_seed(1)
    found = {}
    for p in weights.parameters:
        if len(p.matrix.shape) == 2:
            dim = p.matrix.shape[p.output_dim if side == "output" else 1 - p.output_dim]
            lead = () if p.stacked is None else (p.matrices,)
            found[p.name] = torch.linalg.qr(torch.randn(*lead, dim, rank, generator=generator))[0]
    return HeldSubspace("drawn", side, found)


def test_a_masked_direction_moves_what_the_mask_holds(weights: Weights) -> None:
    whole, mask = Gaussian(0, weights), drawn_mask(weights)
    inside, outside = Masked(whole, mask), Masked(whole, ~mask)
    for parameter in weights.parameters:
        step, one, two = (step_of(d, parameter) for d in (whole, inside, outside))
        assert np.array_equal(one.numpy(), step.numpy() * mask.tensors[parameter.name].numpy())
        assert torch.equal(one + two, step)


def test_pruned_weights_are_zero_at_one_and_all_others_as_they_were(weights: Weights) -> None:
    mask = drawn_mask(weights)
    before = {p.name: weights.pristine(p.name).clone() for p in weights.parameters}
    checksum = weights.checksum()
    with weights.displaced([(1.0, Pruned(mask, weights))]):
        for name, own in before.items():
            now = weights.model.get_parameter(name)
            assert np.array_equal(now.numpy(), np.where(mask.tensors[name].numpy(), 0, own.numpy()))
    empty = mask - mask
    with weights.displaced([(1.0, Pruned(empty, weights))]):
        assert weights.checksum() == checksum
    assert weights.checksum() == checksum


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_projection_is_that_of_numpy(weights: Weights, side: Side) -> None:
    whole, subspace = Gaussian(0, weights), bases(weights, side, 3)
    inside, outside = (Projected(whole, subspace, complement) for complement in (False, True))
    for parameter in weights.parameters:
        basis = subspace.basis(parameter)
        step, two = step_of(whole, parameter), step_of(outside, parameter)
        if basis is None:
            assert inside.tensor(parameter) is None
            assert torch.equal(two, step)
            continue
        one = step_of(inside, parameter)
        each = [basis] if parameter.stacked is None else list(basis)
        found = zip(*(matrices(parameter, t) for t in (step, one, two)), each, strict=True)
        for matrix, within, rest, u in found:
            projection = u.double().numpy() @ u.double().numpy().T
            expected = projection @ matrix if side == "output" else matrix @ projection
            np.testing.assert_allclose(within, expected, atol=1e-6)
            np.testing.assert_allclose(rest, matrix - expected, atol=1e-6)


@pytest.mark.parametrize("rank", [1, 4])
def test_a_truncation_leaves_the_smallest_remainder(weights: Weights, rank: int) -> None:
    whole = Gaussian(0, weights)
    for parameter in weights.parameters:
        step, found = (step_of(d, parameter) for d in (whole, Truncated(whole, rank)))
        if len(parameter.matrix.shape) < 2:
            assert torch.equal(found, step)
            continue
        for matrix, low in zip(*(matrices(parameter, t) for t in (step, found)), strict=True):
            values = np.linalg.svd(matrix, compute_uv=False)
            rest = ((matrix - low) ** 2).sum()  # Eckart and Young
            assert rest == pytest.approx((values[rank:] ** 2).sum(), rel=1e-5)
            assert np.linalg.matrix_rank(low, tol=1e-4 * values[0]) == min(rank, *matrix.shape)


def test_at_full_rank_it_is_the_direction_and_at_none_nothing(weights: Weights) -> None:
    whole = Gaussian(0, weights)
    for parameter in weights.parameters:
        step, found = (step_of(d, parameter) for d in (whole, Truncated(whole, 10_000)))
        assert torch.equal(found, step)
        assert Truncated(whole, 0).tensor(parameter) is None


class TestBadInput:
    def test_a_basis_that_is_not_orthonormal(self) -> None:
        with pytest.raises(DirectionError, match="for 'p' is not orthonormal"):
            HeldSubspace("s", "input", {"p": torch.ones(4, 2)})

    def test_a_side_that_no_matrix_has(self) -> None:
        with pytest.raises(DirectionError, match="no side 'left'"):
            HeldSubspace("s", "left", {})  # type: ignore[arg-type]

    def test_a_basis_of_another_model(self) -> None:
        parameter = Parameter("p", (4, 6))
        with pytest.raises(DirectionError, match=r"of shape \(4, 2\) for the input of 'p'"):
            HeldSubspace("s", "input", {"p": torch.eye(4, 2)}).basis(parameter)

    def test_a_negative_rank(self) -> None:
        with pytest.raises(DirectionError, match="rank -1"):
            Truncated(Held("h", {}), -1)


def test_noise_in_any_interval_of_blocks_is_as_long_as_in_all(weights: Weights) -> None:
    noise = Gaussian(3, weights)
    length = np.sqrt(sum(float(step_of(noise, p).double().norm()) ** 2 for p in weights.parameters))
    for block in {p.layer for p in weights.parameters if p.layer is not None}:
        found = Restricted(noise, block, block, weights)
        inside = [p for p in weights.parameters if p.layer == block]
        own = np.concatenate([step_of(noise, p).double().numpy().ravel() for p in inside])
        made = np.concatenate([step_of(found, p).double().numpy().ravel() for p in inside])
        assert np.linalg.norm(made) == pytest.approx(length, rel=1e-6)
        np.testing.assert_allclose(made, own * length / np.linalg.norm(own), rtol=1e-6)
        assert all(found.tensor(p) is None for p in weights.parameters if p.layer != block)
    with pytest.raises(DirectionError, match="does not move blocks 7 to 9"):
        Restricted(noise, 7, 9, weights)
    still = Held("still", {p.name: torch.zeros(p.shape) for p in weights.parameters})
    first = next(p for p in weights.parameters if p.layer == 0)
    with pytest.raises(DirectionError, match="'still' does not move blocks 0 to 0"):
        Restricted(still, 0, 0, weights).tensor(first)
