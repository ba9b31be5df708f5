"""Copies of weights in oneDNN's order: torch's own numbers, and copies that are never stale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from safebasin.engines.fast import packed, products
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.packed import Packed, may_pack
from safebasin.engines.fast.products import Weights
from support import pico
from test_decoder import passes

COUNTS = [1, 7, 16, 33, 600]


@pytest.fixture(autouse=True)
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(packed, "SMALL", 0)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def weights(out: int, biased: bool) -> Weights:
    return numbers(out, 24), numbers(out) if biased else None


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("tokens", COUNTS)
def test_products_are_those_of_torch(tokens: int, biased: bool, copied: bool) -> None:
    x, residual = numbers(tokens, 24), numbers(tokens, 40)
    before = residual.clone()
    each = [weights(40, biased), weights(40, biased)]
    one, both = Packed(each[0]), Packed(*each)
    if copied:
        one.refresh()
        both.refresh()
    first, second = (linear(x, *pair) for pair in each)
    with torch.inference_mode():
        torch.testing.assert_close(one.product(x), first)
        torch.testing.assert_close(both.product(x), torch.cat([first, second], dim=-1))
        torch.testing.assert_close(one.added(x, residual), first + residual)
        torch.testing.assert_close(both.gated(x), silu(first) * second)
    assert torch.equal(residual, before)


@pytest.mark.parametrize("tensor", [0, 1])
def test_a_copy_follows_what_is_written(tensor: int) -> None:
    pair = (nn.Parameter(numbers(40, 24)), nn.Parameter(numbers(40)))
    one, x = Packed(pair), numbers(5, 24)
    for _ in range(2):
        one.refresh()
        with torch.inference_mode():
            torch.testing.assert_close(one.product(x), linear(x, *pair))
        with torch.no_grad():
            pair[tensor].mul_(3)


def test_a_copy_is_made_only_where_something_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    one = Packed(weights(40, True))
    own = Packed._make
    monkeypatch.setattr(Packed, "_make", lambda self: made.append(self) or own(self))
    one.refresh()
    one.refresh()
    assert len(made) == 1
    one.forget()
    one.refresh()
    assert len(made) == 2


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_model_is_answered_by_the_weights_of_the_moment(family: str) -> None:
    forward = Forward(pico.model(family, seed=3))
    assert forward.decoder is not None
    assert len(forward.decoder._packed) == 4 * len(forward.model.model.layers) + 1
    passes(forward)
    forward.model.model.layers[0].mlp.up_proj.weight.data.mul_(3)  # which torch does not count
    forward.forget()
    found = passes(forward)
    forward.decoder = None
    torch.testing.assert_close(found, passes(forward), rtol=1e-4, atol=1e-4)


def test_what_is_large_or_different_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Packed(weights(40, True))
    assert may_pack([one])
    assert not may_pack([one, Packed(weights(40, True), weights(40, False))])
    assert not may_pack([Packed((numbers(40, 24).bfloat16(), None))])
    monkeypatch.setattr(packed, "MOST", one.elements - 1)
    assert not may_pack([one])
    monkeypatch.setattr(packed, "MOST", one.elements)
    monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    assert not may_pack([one])
