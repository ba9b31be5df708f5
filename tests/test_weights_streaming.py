"""Large tensors displaced piece by piece: the bits of the whole tensor's displacement."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from safebasin.directions import Gaussian
from safebasin.weights import Weights, displacement, streaming, sums
from safebasin.weights.parameters import Parameter
from support import pico


class Whole:
    """A direction that can be had whole only."""

    def __init__(self, direction: Gaussian) -> None:
        self.direction, self.name = direction, direction.name

    def spec(self) -> dict[str, object]:
        return self.direction.spec()

    def tensor(self, parameter: Parameter) -> Tensor | None:
        return self.direction.tensor(parameter)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """So small that the tensors of a pico model come in many pieces, the last one short."""
    monkeypatch.setattr(sums, "BLOCK", 64)
    monkeypatch.setattr(streaming, "PIECE", 192)
    monkeypatch.setattr("safebasin.directions.gaussian.PIECE", 192)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_displaced_bits_are_those_of_whole_tensors(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = pico.model("llama", seed=1).to(dtype)
    weights = Weights(model)
    terms = [(0.3, Gaussian(1, weights, name="a")), (-0.2, Gaussian(2, weights, name="b"))]
    with weights.displaced([(value, Whole(direction)) for value, direction in terms]):
        expected = weights.checksum()
    streamed: list[int] = []
    add = displacement.add_pieces
    monkeypatch.setattr(
        displacement,
        "add_pieces",
        lambda target, origin, moves: streamed.append(target.numel()) or add(target, origin, moves),
    )
    before = weights.checksum()
    with weights.displaced(terms):
        assert weights.checksum() == expected
    assert weights.checksum() == before
    assert streamed
    assert min(streamed) > streaming.PIECE


@pytest.mark.usefixtures("small_pieces")
def test_pieces_are_the_tensor() -> None:
    weights = Weights(pico.model("llama", seed=1))
    direction, other = Gaussian(5, weights), Gaussian(5, weights)
    for parameter in weights.parameters:
        pieces = direction.pieces(parameter)
        whole = other.tensor(parameter)
        assert pieces is not None
        assert whole is not None
        drawn = list(pieces)
        assert all(len(piece) == 192 for piece in drawn[:-1])
        assert torch.equal(torch.cat(drawn), whole.reshape(-1))


def test_what_normalises_rows_is_not_streamed() -> None:
    weights = Weights(pico.model("llama", seed=1))
    matrix = next(p for p in weights.parameters if len(p.shape) == 2)
    assert Gaussian(0, weights, "row").pieces(matrix) is None


@pytest.mark.usefixtures("small_pieces")
def test_a_result_that_is_not_finite_is_seen_in_any_piece() -> None:
    target, origin = torch.zeros(400), torch.zeros(400)

    def pieces() -> Iterator[Tensor]:
        yield torch.ones(192)
        yield torch.full((192,), float("inf"))
        yield torch.ones(16)

    assert not streaming.add_pieces(target, origin, [(1.0, pieces())])
