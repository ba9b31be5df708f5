"""Copies of weights in oneDNN's order: torch's own numbers, and copies that are never stale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from safebasin.engines.fast import copies, packed, products
from safebasin.engines.fast.copies import FEW_STEP, PATIENCE, SURE, Copies, may_copy
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.packed import Packed
from safebasin.engines.fast.products import Weights
from support import pico
from test_decoder import passes

COUNTS = [1, 7, 16, 33, 600]


@pytest.fixture(autouse=True)
def onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    for module in (products, copies):
        monkeypatch.setattr(module, "onednn_is_faster", lambda: True)
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
        one.copy()
        both.copy()
    first, second = (linear(x, *pair) for pair in each)
    with torch.inference_mode():
        torch.testing.assert_close(one.product(x), first)
        torch.testing.assert_close(both.product(x), torch.cat([first, second], dim=-1))
        torch.testing.assert_close(one.added(x, residual), first + residual)
        torch.testing.assert_close(both.gated(x), silu(first) * second)
    assert torch.equal(residual, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("tensor", [0, 1])
def test_a_copy_follows_what_is_written(tensor: int, dtype: torch.dtype) -> None:
    pair = (nn.Parameter(numbers(40, 24).to(dtype)), nn.Parameter(numbers(40).to(dtype)))
    one, x = Packed(pair), numbers(5, 24).to(dtype)
    for _ in range(2):
        assert one.look()
        assert not one.is_copied()
        one.copy()
        assert not one.look()
        with torch.inference_mode():
            torch.testing.assert_close(one.product(x), linear(x, *pair))
        with torch.no_grad():
            pair[tensor].mul_(3)


def made(monkeypatch: pytest.MonkeyPatch) -> list[Packed]:
    """What is copied from now on."""
    found: list[Packed] = []
    own = Packed.copy
    monkeypatch.setattr(Packed, "copy", lambda self: found.append(self) or own(self))
    return found


def test_a_copy_is_made_only_where_something_was_written(monkeypatch: pytest.MonkeyPatch) -> None:
    found = made(monkeypatch)
    every = Copies([Packed(weights(40, True)), Packed(weights(32, True))])
    assert every.seconds == 0
    every.refresh()
    every.refresh()
    assert len(found) == 2
    assert every.seconds > 0
    with torch.no_grad():
        every.modules[1].weights[0][0].mul_(3)
    every.refresh()
    assert found[2:] == every.modules[1:]
    every.forget()
    every.refresh()
    assert len(found) == 5


@pytest.mark.parametrize("faster", [True, False])
def test_a_larger_model_is_copied_where_its_passes_pay_for_it(
    monkeypatch: pytest.MonkeyPatch, faster: bool
) -> None:
    monkeypatch.setattr(copies, "MOST", 0)
    monkeypatch.setattr(copies, "are_faster", lambda modules: faster)
    found = made(monkeypatch)
    every = Copies([Packed(weights(40, True))])
    for _ in range(2):
        every.forget()
        for _ in range(PATIENCE - 1):
            every.refresh()
            every.passed()
        assert not found
    every.passed()
    every.refresh()
    assert len(found) == faster
    assert every.bytes == (faster and found[0].bytes)
    every.forget()
    every.refresh()
    assert not any(one.is_copied() for one in every.modules)
    for _ in range(2 * PATIENCE):
        every.passed()
    assert len(found) == 2 * faster


def larger(monkeypatch: pytest.MonkeyPatch) -> tuple[Copies, list[Packed]]:
    """The copies of a model that counts as a larger one, and which were made."""
    monkeypatch.setattr(copies, "MOST", 0)
    monkeypatch.setattr(copies, "are_faster", lambda modules: True)
    found = made(monkeypatch)
    return Copies([Packed(weights(40, True))]), found


def test_after_a_long_point_the_next_one_is_copied_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every, found = larger(monkeypatch)

    def point(passes: int) -> None:
        every.forget()
        for _ in range(passes):
            every.refresh()
            every.passed()

    point(SURE - 1)
    assert len(found) == 1
    point(1)
    assert len(found) == 1, "it was not long enough to be sure of the next one"
    point(SURE)
    assert len(found) == 2
    every.held = True
    point(3)  # as answers are scored between two points
    assert len(found) == 2
    every.held = False
    point(1)
    assert len(found) == 3
    point(1)
    assert len(found) == 3


def test_where_many_passes_are_expected_it_is_copied_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every, found = larger(monkeypatch)
    every.refresh()
    every.passed()
    every.expect(SURE - 1)
    every.refresh()
    assert not found
    every.expect(SURE)
    every.refresh()
    assert len(found) == 1
    every.expect(SURE)  # of the same weights, of which there is a copy already
    every.refresh()
    assert len(found) == 1
    every.forget()
    every.held = True
    every.refresh()
    assert len(found) == 1


def test_where_memory_runs_out_passes_go_by_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Packed) -> None:
        raise MemoryError

    every = Copies([Packed(weights(40, True)), Packed(weights(32, True))])
    monkeypatch.setattr(Packed, "copy", fail)
    every.refresh()
    assert every.modules == []
    assert every.bytes == 0


def test_what_is_faster_is_measured_on_the_models_own_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = [Packed(weights(40, biased)) for biased in (False, True)]
    times = iter([1.0, 0.5, 1.0, 0.9])
    monkeypatch.setattr(
        copies, "seconds", lambda compute, tries: compute() is not None and next(times)
    )
    assert copies.are_faster(every)
    assert not copies.are_faster(every)


def test_the_tokens_of_a_larger_model_are_filled_up_to_few(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Copies([Packed(weights(40, True))])
    monkeypatch.setattr(copies, "MOST", 0)
    larger = Copies([Packed(weights(40, True))])
    monkeypatch.setattr(copies, "SHARE_OF_FREE", 0.0)
    without = Copies([Packed(weights(40, True))])
    assert [one.step(40) for one in (small, larger, without)] == [16, FEW_STEP, 16]
    assert larger.step(400) == 16
    monkeypatch.setattr(copies, "onednn_is_faster", lambda: False)
    assert without.step(40) == 1


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_a_model_is_answered_by_the_weights_of_the_moment(family: str) -> None:
    forward = Forward(pico.model(family, seed=3))
    assert forward.decoder is not None
    assert len(forward.decoder.copies.modules) == 4 * len(forward.model.model.layers) + 1
    passes(forward)
    forward.model.model.layers[0].mlp.up_proj.weight.data.mul_(3)  # which torch does not count
    forward.forget()
    found = passes(forward)
    forward.decoder = None
    torch.testing.assert_close(found, passes(forward), rtol=1e-4, atol=1e-4)


def test_where_nobody_writes_to_the_weights_no_copy_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = Forward(pico.model("llama", seed=3))
    passes(forward)
    found = made(monkeypatch)
    with forward.unwritten():
        with forward.unwritten():
            forward.forget()
        forward.forget()
        passes(forward)
    assert not found
    forward.forget()
    passes(forward)
    assert forward.decoder is not None
    assert len(found) == len(forward.decoder.copies.modules)


def test_what_finds_no_room_or_is_different_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Packed(weights(40, True))
    assert may_copy([one])
    assert not may_copy([one, Packed(weights(40, True), weights(40, False))])
    assert not may_copy([one, Packed((numbers(40, 24).bfloat16(), None))])
    small = Packed((numbers(40, 24).bfloat16(), None))
    assert not may_copy([small])
    monkeypatch.setattr(copies, "onednn_is_faster", lambda: False)
    assert not may_copy([one])
    monkeypatch.setattr(copies, "MOST", one.elements - 1)
    assert may_copy([one])
    assert may_copy([small])
    monkeypatch.setattr(copies, "free_bytes", lambda device: 9 * one.bytes)
    assert not may_copy([one])


def test_a_model_that_is_copied_on_the_way_answers_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = Forward(pico.model("llama", seed=3))
    before = passes(forward)
    monkeypatch.setattr(copies, "MOST", 0)
    monkeypatch.setattr(copies, "PATIENCE", 1)
    monkeypatch.setattr(copies, "are_faster", lambda modules: True)
    forward = Forward(forward.model)
    assert forward.decoder is not None
    with forward.hurried():
        with forward.hurried():
            passes(forward)
        passes(forward)
    assert not any(one.is_copied() for one in forward.decoder.copies.modules)
    found = passes(forward)
    assert all(one.is_copied() for one in forward.decoder.copies.modules)
    torch.testing.assert_close(found, before, rtol=1e-4, atol=1e-4)
