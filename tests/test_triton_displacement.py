"""The fused kernels, held against PyTorch's operations and NumPy: on a GPU, or interpreted.

Skipped where Triton is not installed. Interpreted kernels cut numbers to bfloat16 instead of
rounding them, so that bfloat16 is compared on a GPU only.
"""

from __future__ import annotations

import os
from typing import Literal

import numpy as np
import pytest
import torch

GPU = torch.cuda.is_available()
if not GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernels are defined

pytest.importorskip("triton")

from safebasin.directions import CounterGaussian, digest  # noqa: E402
from safebasin.directions import triton_displacement as fused  # noqa: E402
from safebasin.directions.counter_displacement import displace_by_torch_  # noqa: E402
from safebasin.directions.counter_noise import (  # noqa: E402
    Parts,
    noise_key,
    square_sums,
    whole_numbers,
    whole_numbers_by_torch,
)
from safebasin.weights import Weights  # noqa: E402
from safebasin.weights.counted import Term  # noqa: E402
from support import pico  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"
KEYS = [noise_key(seed, "model.layers.0.mlp.up_proj.weight", (50, 100)) for seed in (1, 2, 3)]
STACKED = Parts(5, 20, 10, 5)
DTYPES = [torch.float32, torch.float16, *([torch.bfloat16] if GPU else [])]


@pytest.mark.parametrize(
    ("offset", "count"), [(0, 5000), (3, 4000), (2**33 + 5, 777), (8, 1), (16, 2048)]
)
def test_a_kernel_draws_the_same_normals(offset: int, count: int) -> None:
    expected = whole_numbers(KEYS[0], offset, count)
    assert torch.equal(fused.whole_numbers(KEYS[0], offset, count, DEVICE).cpu(), expected)
    by_torch = whole_numbers_by_torch(KEYS[0], offset, count, DEVICE)
    assert torch.equal(by_torch.cpu(), expected)


@pytest.mark.parametrize(
    ("length", "rows"), [(5000, 1), (37, 11), (4096, 2), (8, 3), (1, 5), (2051, 3)]
)
def test_a_kernel_adds_the_same_squares(length: int, rows: int) -> None:
    found = fused.square_sums(KEYS[0], length, rows, DEVICE)
    assert np.array_equal(found, square_sums(KEYS[0], Parts(1, 1, rows, length)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [0, 3, 16])
@pytest.mark.parametrize("terms", [1, 2, 3])
@pytest.mark.parametrize("parts", [None, Parts(1, 100, 50, 1), Parts(1, 1, 50, 100), STACKED])
def test_a_kernel_displaces_to_the_same_bits(
    dtype: torch.dtype, offset: int, terms: int, parts: Parts | None
) -> None:
    generator = torch.Generator().manual_seed(0)
    origin = (torch.randn(5000 - offset, generator=generator) * 0.02).to(dtype)
    rows = torch.rand(3, 50, generator=generator)
    several = [rows[0], rows[1, : parts.matrices] if parts else rows[1], rows[2]]
    moves = [
        Term(key, 0.3 - 0.2 * i, several[i] if parts else 0.021 + 0.01 * i)
        for i, key in enumerate(KEYS[:terms])
    ]
    expected, found = torch.empty_like(origin), torch.empty_like(origin, device=DEVICE)
    assert displace_by_torch_(expected, origin, moves, offset=offset, parts=parts)
    assert fused.displace_(found, origin.to(DEVICE), moves, offset=offset, parts=parts)
    assert torch.equal(found.cpu(), expected)


@pytest.mark.skipif(not GPU, reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("where", ["same", "cpu"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_gpu_displaces_a_model_to_the_same_bits(
    dtype: torch.dtype, where: Literal["same", "cpu"], family: str
) -> None:
    def sums(device: str) -> list[str]:
        model = pico.model(family, tied=True, dtype=dtype).to(device)
        weights = Weights(model, pristine=where)
        a, b = CounterGaussian(0, weights, name="a"), CounterGaussian(1, weights, "row")
        found = [digest(a, weights), digest(b, weights), weights.checksum()]
        for x, y in ((0.1, 0.0), (-0.5, 0.35), (0.05, 0.45)):
            with weights.displaced([(x, a), (y, b)]):
                found.append(weights.checksum())
            found.append(weights.checksum())
        return found

    assert sums("cuda") == sums("cpu")


@pytest.mark.parametrize("parts", [Parts(1, 1, 50, 2**31), Parts(2, 2**31, 25, 2)])
def test_a_kernel_reaches_the_rows_of_huge_tensors(parts: Parts) -> None:
    origin, rows = torch.ones(3000), torch.rand(50)
    expected, found = torch.empty(3000), torch.empty(3000, device=DEVICE)
    moves, offset = [Term(KEYS[0], 0.5, rows)], 12 * 2**31 - 1001
    assert displace_by_torch_(expected, origin, moves, offset=offset, parts=parts)
    assert fused.displace_(found, origin.to(DEVICE), moves, offset=offset, parts=parts)
    assert torch.equal(found.cpu(), expected)


def test_a_kernel_tells_what_is_not_finite() -> None:
    origin = torch.full((3000,), float("nan"), device=DEVICE)
    assert not fused.displace_(torch.empty_like(origin), origin, [Term(KEYS[0], 1.0, 1.0)])
