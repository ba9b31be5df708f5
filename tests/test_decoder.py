"""Layers in few operators: the logits of the model's own forward, and a step aside for hooks."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from safebasin.directions import Gaussian
from safebasin.engines.fast import attention, decoder, packed, products
from safebasin.engines.fast.compiled import kernels
from safebasin.engines.fast.compiled.kernels import Kernels
from safebasin.engines.fast.decoder import Decoder
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.slots import CacheShape, SlotStorage
from safebasin.engines.fast.support import mismatch, pool_mismatch
from safebasin.weights import Weights
from support import pico

FAMILIES = ["llama", "llama-mha", "mistral", "qwen2"]
OTHERS = ["qwen3", "gemma", "phi", "phi3", "gpt2"]


def passes(forward: Forward) -> Tensor:
    """The logits of rows that begin, go on, and are of one token, in two passes."""
    storage = SlotStorage(CacheShape.of(forward.model), 24, 40, forward.device)
    prompts = [[7 + i, *range(30, 31 + i % 5)] for i in range(24)]
    feeds = [Feed(i, 0, prompt, min(2, len(prompt))) for i, prompt in enumerate(prompts)]
    with forward.attached():
        first = forward.logits(storage, feeds)
        more = [
            Feed(i, len(prompt), [40 + i] * (3 if i == 5 else 1), 1)
            for i, prompt in enumerate(prompts)
        ]
        return torch.cat([first, forward.logits(storage, more)])


@pytest.fixture(params=[False, True])
def compiled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With the compiled kernels, and as it is where there are none."""
    if not request.param:
        monkeypatch.setattr(kernels, "_functions", lambda *shape: None)
    elif Kernels.of(torch.float32, 2, 8) is None:
        pytest.skip("Numba is not installed, or torch's threads are not those of GNU's OpenMP")
    return bool(request.param)


@pytest.mark.parametrize("by_onednn", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_are_those_of_the_models_own_forward(
    monkeypatch: pytest.MonkeyPatch, family: str, tied: bool, by_onednn: bool, compiled: bool
) -> None:
    if by_onednn and not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: by_onednn)
    for module in (products, packed):
        monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(attention, "products_are_faster", lambda *shape: by_onednn)
    forward = Forward(pico.model(family, seed=3, tied=tied))
    assert forward.decoder is not None
    assert (forward.decoder.kernels is not None) == compiled
    calls = 0
    own = Decoder.logits

    def counted(*args: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return own(*args)

    monkeypatch.setattr(Decoder, "logits", counted)
    found = passes(forward)
    assert calls == 2
    forward.decoder = None
    torch.testing.assert_close(found, passes(forward), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_where_a_gpu_would_run_it_the_logits_are_close_in_every_dtype(
    monkeypatch: pytest.MonkeyPatch, family: str, dtype: torch.dtype
) -> None:
    """Nothing of it is for a CPU alone; it is held against the model's own forward."""
    monkeypatch.setattr(decoder, "suits", lambda weight: True)
    monkeypatch.setattr(kernels, "_functions", lambda *shape: None)
    model = pico.model(family, seed=3).to(dtype)
    forward = Forward(model)
    assert forward.decoder is not None
    assert mismatch(forward, list(range(7, 40))) is None
    weights = Weights(model)
    drawn = Gaussian(0, weights)
    assert pool_mismatch(forward, weights, drawn, 0.2, list(range(7, 27))) is None


@pytest.mark.parametrize("by_products", [False, True])
@pytest.mark.parametrize("decodes", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_in_bfloat16_on_a_cpu_keys_are_kept_in_float32(
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    decodes: bool,
    by_products: bool,
    compiled: bool,
) -> None:
    """Which is no farther from the same weights in float32 than the model's own forward is."""
    monkeypatch.setattr(attention, "products_are_faster", lambda *shape: by_products)
    model = pico.model(family, seed=3).bfloat16()
    forward = Forward(model)
    assert CacheShape.of(model).dtype == torch.float32
    assert forward.decoder is not None
    if not decodes:
        forward.decoder = None
    assert mismatch(forward, list(range(7, 40))) is None
    found = passes(forward)
    assert found.dtype == torch.bfloat16
    expected = passes(Forward(copy.deepcopy(model).float()))
    error = (found.float() - expected).norm() / expected.norm()
    assert error < 0.02


def test_cosines_that_a_recorded_pass_reads_outlast_longer_rows() -> None:
    own = Forward(pico.model("llama", seed=3)).decoder
    assert own is not None
    short = own._turns(20)
    own._turns(90)
    assert all(a is b for a, b in zip(short, own._turns(30), strict=True))


@pytest.mark.parametrize("family", OTHERS)
def test_other_layers_are_left_to_their_models(family: str) -> None:
    assert Decoder.of(pico.model(family, seed=3)) is None


def test_other_dtypes_and_activations_are_left_to_their_models() -> None:
    assert Decoder.of(pico.model("llama", seed=3).half()) is None
    assert Decoder.of(pico.model("llama", seed=3, hidden_act="gelu")) is None


def halve(module: nn.Module, args: Any, output: Any) -> Any:
    return output / 2


def hook_a_layer(model: Any) -> None:
    model.model.layers[0].mlp.register_forward_hook(halve)


def give_a_module_another_forward(model: Any) -> None:
    module = model.model.layers[1].self_attn.q_proj
    module.forward = lambda x: 2 * nn.functional.linear(x, module.weight)


def replace_a_module(model: Any) -> None:
    attention = model.model.layers[1].self_attn
    attention.o_proj = nn.Sequential(attention.o_proj, nn.Tanh())


def replace_a_weight(model: Any) -> None:
    module = model.model.layers[0].mlp.down_proj
    module.weight = nn.Parameter(module.weight.detach() * 3)


def write_into_a_weight(model: Any) -> None:
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(3)


@pytest.mark.parametrize(
    ("change", "whole"),
    [
        (hook_a_layer, False),
        (give_a_module_another_forward, False),
        (replace_a_module, False),
        (replace_a_weight, False),
        (write_into_a_weight, True),
    ],
)
def test_what_is_changed_in_the_model_has_its_effect(
    change: Callable[[Any], None], whole: bool
) -> None:
    forward = Forward(pico.model("llama", seed=3))
    before = passes(forward)
    change(forward.model)
    found = passes(forward)
    assert forward.decoder is not None
    assert forward.decoder.is_whole() == whole
    forward.decoder = None
    expected = passes(forward)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert (before - expected).abs().max() > 1e-2


def test_what_is_read_ahead_is_what_attention_reads() -> None:
    storage = SlotStorage(CacheShape(2, 3, 8, torch.float32), 5, 11, torch.device("cpu"))
    storage.data.copy_(torch.randn(storage.data.shape))
    layer = storage.layers[1]
    keys, values = layer.keys[1:4, :, :7], layer.values[1:4, :, :7]
    found = attention.as_they_lie(keys, values)
    assert found is not None
    assert found.data_ptr() == keys.data_ptr()
    expected = torch.stack((keys, values)).permute(1, 3, 0, 2, 4).reshape(3, -1)
    assert torch.equal(found, expected)
    assert attention.as_they_lie(keys.contiguous(), values.contiguous()) is None
    assert attention.as_they_lie(values, keys) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_it_is_read_by_several_threads_alone(monkeypatch: pytest.MonkeyPatch, threads: int) -> None:
    read: list[bool] = []
    monkeypatch.setattr(attention, "AHEAD", 1)
    monkeypatch.setattr(attention, "as_they_lie", lambda *_: read.append(True))
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    attention._read_ahead(torch.ones(1, 1, 1, 8), torch.ones(1, 1, 1, 8))
    assert read == [True] * (threads - 1)


@pytest.mark.parametrize("repeats", [1, 3])
def test_attention_by_products_is_that_of_torch(repeats: int) -> None:
    generator = torch.Generator().manual_seed(0)
    storage = torch.randn(2, 3, 40, 2, 8, generator=generator).transpose(2, 3)
    query = torch.randn(3, 2 * repeats, 8, generator=generator)
    keys, values = storage[:, :, :, :16]
    mask = torch.zeros(3, 1, 1, 16)
    mask[1, :, :, 9:] = float("-inf")
    for scaling in (None, 0.3):
        torch.testing.assert_close(
            attention._by_products(query, keys.numpy(), values.numpy(), mask, scaling),
            scaled_dot_product_attention(
                query[:, :, None], keys, values, attn_mask=mask, scale=scaling, enable_gqa=True
            )[:, :, 0],
        )
