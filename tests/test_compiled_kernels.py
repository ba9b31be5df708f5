"""Compiled kernels: what torch's operators compute, by any number of threads, and for no number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from safebasin.engines.fast.compiled import kernels as door
from safebasin.engines.fast.compiled.kernels import Exact, Kept, Kernels, Turns
from safebasin.engines.fast.decoder import Decoder
from safebasin.engines.fast.layout import Feed, lay_out
from safebasin.engines.fast.likeliest import likeliest
from safebasin.engines.fast.slots import CacheShape, SlotStorage
from support import pico

pytest.importorskip("numba")

DTYPES = [torch.float32, torch.bfloat16]
HEADS, SHARED, SIZE = 6, 2, 8


@pytest.fixture(params=[1, 2], autouse=True)
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    monkeypatch.setattr(door, "SMALL", 0)
    yield request.param
    torch.set_num_threads(before)


def made(dtype: torch.dtype) -> Kernels:
    found = Kernels.of(dtype, HEADS // SHARED, SIZE)
    if found is None:
        pytest.skip("torch's threads are not those of GNU's OpenMP")
    return found


def numbers(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape) + seed)
    return torch.randn(*shape, generator=generator).to(dtype)


def assert_rounded(found: Tensor, expected: Tensor) -> None:
    """The same in float32; in bfloat16 all but a few, which are the next number."""
    assert found.dtype == expected.dtype
    if found.dtype == torch.float32:
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        return
    torch.testing.assert_close(found, expected, rtol=2**-7, atol=2**-9)
    assert ((found - expected).abs() > 1e-30).float().mean() < 0.02


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [1, 7, 40])
def test_a_norm_of_a_sum_is_that_of_torch(tokens: int, dtype: torch.dtype) -> None:
    x, y, gain = (
        numbers(*shape, dtype=dtype, seed=i)
        for i, shape in enumerate([(tokens, 50), (tokens, 50), (50,)])
    )
    kernels, summed = made(dtype), x + y
    assert_rounded(kernels.norm(x, None, gain, 1e-3), rms_norm(x, (50,), gain, 1e-3))
    assert_rounded(kernels.norm(x, y, gain, 1e-3), rms_norm(summed, (50,), gain, 1e-3))
    assert torch.equal(x, summed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [1, 7, 40])
def test_a_gate_is_that_of_torch(tokens: int, dtype: torch.dtype) -> None:
    gate, up = (10 * numbers(tokens, 2 * 37, dtype=dtype)).chunk(2, dim=-1)
    gate[0, :4] = torch.tensor([0.0, 1e-30, 300, -300])
    assert_rounded(made(dtype).gated(gate, up), silu(gate) * up)


def test_what_lies_otherwise_is_taken_as_it_is_meant() -> None:
    kernels = made(torch.float32)
    x, y, gain = numbers(5, 50), numbers(50, 5).T, numbers(50)
    expected = rms_norm(x + y, (50,), gain, 1e-5)
    assert_rounded(kernels.norm(x, y, gain, 1e-5), expected)
    gate, up = numbers(50, 5).T, numbers(50, 5, seed=1).T
    assert_rounded(kernels.gated(gate, up), silu(gate) * up)


@pytest.mark.parametrize("dtype", DTYPES)
def test_heads_are_turned_and_kept_where_they_belong(dtype: torch.dtype) -> None:
    tokens, length, slots = 9, 20, 5
    whole = numbers(tokens, (HEADS + 2 * SHARED) * SIZE, dtype=dtype)
    query, key, value = whole.split([HEADS * SIZE, SHARED * SIZE, SHARED * SIZE], dim=-1)
    angles = torch.outer(torch.arange(32.0), torch.linspace(0.1, 1, SIZE // 2)).repeat(1, 2)
    cos, sin = angles.cos(), angles.sin()
    positions = torch.tensor([3, 4, 5, 0, 7, 7, 19, 1, 2])
    places = torch.tensor([3, 4, 5, 40, 47, 67, 99, 81, 82])
    storage = torch.full((slots * length, 2 * SHARED * SIZE), 9.0)
    signed = sin.clone()
    signed[:, : SIZE // 2] *= -1
    kept = Kept(storage, positions, places)
    found = made(dtype).turn((query, key, value), Turns(cos, signed), kept)

    def turned(x: Tensor) -> Tensor:
        heads = x.float().view(tokens, -1, SIZE)
        first, second = heads.chunk(2, dim=-1)
        swapped = torch.cat((-second, first), dim=-1)
        return heads * cos[positions][:, None] + swapped * sin[positions][:, None]

    assert found.dtype == torch.float32
    assert_rounded(found.to(dtype), turned(query).to(dtype))
    assert torch.equal(found, found.to(dtype).float())  # it has the model's precision
    assert_rounded(storage[places][:, : SHARED * SIZE].to(dtype), turned(key).to(dtype).flatten(1))
    assert torch.equal(storage[places][:, SHARED * SIZE :], value.float())
    others = [place for place in range(slots * length) if place not in places]
    assert bool((storage[others] == 9).all())


ROWS = [
    [(0, 5, 1)],
    [(2, 0, 1), (0, 18, 1)],
    [(slot, 3 * slot, 1) for slot in range(7)],
    [(6, 2, 12), (1, 9, 1), (3, 0, 20)],
]
"""Rows by slot, position and number of tokens."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", ROWS)
def test_attention_is_that_of_torch(rows: list[tuple[int, int, int]], dtype: torch.dtype) -> None:
    storage = SlotStorage(CacheShape(1, SHARED, SIZE, torch.float32), 8, 24, torch.device("cpu"))
    storage.data.copy_(numbers(*storage.data.shape))
    storage.data[:, :, :, :, 23] = math.nan  # no row has come so far
    feeds = [Feed(slot, start, range(count)) for slot, start, count in rows]
    layout = lay_out(feeds, storage.length, torch.float32, torch.device("cpu"))
    query = numbers(len(layout.places), HEADS, SIZE)
    layer = storage.layers[0]
    kept = Kept(layer.flat, layout.positions[0], layout.places)
    found = made(dtype).attend(query, kept, 0.3, 24)
    expected = []
    bounds = pairwise([0, *torch.tensor([count for *_, count in rows]).cumsum(0).tolist()])
    for (slot, start, count), (begin, end) in zip(rows, bounds, strict=True):
        seen = start + count
        mask = torch.arange(seen) <= torch.arange(start, seen)[:, None]
        keys, values = layer.keys[slot, :, :seen], layer.values[slot, :, :seen]
        own = query[begin:end].transpose(0, 1)
        attended = scaled_dot_product_attention(
            own[None], keys[None], values[None], attn_mask=mask, scale=0.3, enable_gqa=True
        )
        expected.append(attended[0].transpose(0, 1).flatten(1))
    assert_rounded(found, torch.cat(expected).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_does_not_become_one(value: float, dtype: torch.dtype) -> None:
    kernels = made(dtype)
    x, gain = numbers(3, 50, dtype=dtype), numbers(50, dtype=dtype)
    x[1, 7] = value
    normed = kernels.norm(x, torch.zeros_like(x), gain, 1e-5)
    assert normed.isfinite().all(1).tolist() == [True, False, True]
    gated = kernels.gated(x, torch.ones_like(x))
    assert gated.isfinite().all(1).tolist() == [True, False, True]
    storage = numbers(60, 2 * SHARED * SIZE)
    storage[25, -1] = value
    kept = Kept(storage, torch.tensor([9, 9, 9]), torch.tensor([9, 29, 49]))
    attended = kernels.attend(numbers(3, HEADS, SIZE), kept, 0.3, 20)
    assert attended.isfinite().all(1).tolist() == [True, False, True]
    storage[25] = 1
    storage[25, 0] = value  # a key: what it is worth is no number, or nothing
    attended = kernels.attend(numbers(3, HEADS, SIZE), kept, 0.3, 20)
    assert not attended[1].isfinite().all()


@pytest.mark.parametrize("vocabulary", [5, 256, 1000])
def test_the_likeliest_of_logits_in_bfloat16_are_those_of_torch(vocabulary: int) -> None:
    logits = numbers(6, vocabulary, dtype=torch.bfloat16)
    logits[0] = 0
    logits[1, 3] = -math.inf
    logits[2, 4] = math.inf
    logits[3, 2:4] = math.nan
    logits[4] = -math.inf
    logits[5, 1] = logits[5].max()
    found, expected = made(torch.bfloat16).choose(logits), likeliest(logits)
    assert found[:, [0, 1, 2, 3, 5]].tolist() == expected[:, [0, 1, 2, 3, 5]].tolist()


def test_near_logits_lead_to_the_exact_likeliest() -> None:
    """Also where bfloat16 cannot tell two of them apart, or takes the wrong one."""
    hidden, weight = numbers(50, 96), numbers(3000, 96)
    best = (hidden @ weight.T).argmax(1)
    rivals = weight[best] * (1 + 2**-12)  # larger by less than bfloat16 can hold
    weight = torch.cat([rivals, weight])
    exact = likeliest(hidden @ weight.T)
    assert exact[0].max() < 50
    near = hidden.bfloat16() @ weight.bfloat16().T
    assert (near.argmax(1) != exact[0]).any()
    norms = torch.linalg.vector_norm(weight, dim=1)
    kernels = made(torch.float32)
    assert torch.equal(kernels.choose(near, Exact(hidden, weight, norms)), exact)
    near[3, 40] = math.nan
    assert kernels.choose(near, Exact(hidden, weight, norms))[:, 3].tolist() == [40, 0]


def test_an_output_layer_is_screened_to_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    from safebasin.engines.fast import decoder_layers, packed
    from safebasin.engines.fast.forward import Forward

    made(torch.float32)
    monkeypatch.setattr(decoder_layers, "LARGE_HEAD", 0)
    monkeypatch.setattr(decoder_layers, "bfloat16_gain", lambda: 2.0)
    monkeypatch.setattr(packed, "SMALL", 0)
    forward = Forward(pico.model("llama", seed=3))
    own = forward.decoder
    assert own is not None
    assert own._screened is not None
    own.copies.modules = list(own.copies.modules or [own._screened])
    storage = SlotStorage(CacheShape.of(forward.model), 9, 40, forward.device)
    feeds = [Feed(i, 0, range(5 + i, 15 + i), 2) for i in range(9)]
    for _ in range(2):  # by the weights as they are, and by the copy in bfloat16
        with forward.attached():
            expected = likeliest(forward.logits(storage, feeds)).tolist()
            tokens, finite = forward.predictions(storage, feeds)
        assert tokens == expected[0]
        assert all(finite)
        if not own._screened.is_copied():
            own._screened.copy()


def test_a_decoder_goes_without_them_where_there_is_no_numba(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(door, "_functions", lambda *_: None)
    own = Decoder.of(pico.model("llama", seed=3))
    assert own is not None
    assert own.kernels is None


def test_no_team_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    door._functions.cache_clear()
    monkeypatch.setattr(door.Team, "of_torch", lambda: None)
    assert Kernels.of(torch.float32, 5, 16) is None
    door._functions.cache_clear()


def test_a_kernel_that_cannot_be_compiled_is_gone_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from safebasin.engines.fast.compiled import functions

    def fails(*given: object) -> None:
        raise RuntimeError("cannot cache function: no locator available")

    door._functions.cache_clear()
    monkeypatch.setattr(functions, "functions", fails)
    assert Kernels.of(torch.float32, 5, 16) is None
    door._functions.cache_clear()
