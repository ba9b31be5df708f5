"""The kernel for rows of one query, held against PyTorch's attention: on a GPU, or interpreted.

Skipped where Triton is not installed. Interpreted kernels cut numbers to bfloat16 instead of
rounding them, so that bfloat16 is compared on a GPU only.
"""

from __future__ import annotations

import os

import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

GPU = torch.cuda.is_available()
if not GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")  # read when the kernel is defined

pytest.importorskip("triton")

from safebasin.engines.fast.slots import CacheShape, SlotStorage  # noqa: E402
from safebasin.engines.fast.triton_attention import attend_one, fits  # noqa: E402

DEVICE = "cuda" if GPU else "cpu"
TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}


def case(heads: int, shared: int, size: int, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """Queries of five rows that stand beside keys in memory, and a storage's keys and values."""
    generator = torch.Generator().manual_seed(0)
    storage = SlotStorage(CacheShape(2, shared, size, dtype), 7, 150, torch.device("cpu"))
    storage.data.copy_(torch.randn(storage.data.shape, generator=generator))
    whole = torch.randn(5, heads + shared, size, generator=generator).to(dtype)
    data = storage.data.to(DEVICE)
    return whole.to(DEVICE)[:, :heads], data[1, 0, :5, :, :140], data[1, 1, :5, :, :140]


POSITIONS = torch.tensor([0, 63, 64, 130, 139], device=DEVICE)
SHAPES = [(4, 4, 16), (8, 2, 32), (9, 3, 64), (32, 1, 16), (4, 1, 128)]
DTYPES = [torch.float32, torch.float16, *([torch.bfloat16] if GPU else [])]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("heads", "shared", "size"), SHAPES)
def test_a_row_attends_to_the_keys_up_to_its_position(
    heads: int, shared: int, size: int, dtype: torch.dtype
) -> None:
    query, key, value = case(heads, shared, size, dtype)
    assert fits(query, key, value)
    mask = torch.arange(key.shape[2], device=DEVICE) <= POSITIONS[:, None, None, None]
    wide = [each.float().repeat_interleave(heads // shared, 1) for each in (key, value)]
    expected = scaled_dot_product_attention(query[:, :, None].float(), *wide, attn_mask=mask)
    found = attend_one(query, key, value, POSITIONS)
    assert found.dtype == dtype
    error = (found.float() - expected[:, :, 0]).norm() / expected.norm()
    assert error < TOLERANCE[dtype]


def test_the_scale_is_the_models_own_where_it_has_one() -> None:
    query, key, value = case(4, 2, 32, torch.float32)
    found = attend_one(query * 2, key, value, POSITIONS, 32**-0.5 / 2)
    assert torch.allclose(found, attend_one(query, key, value, POSITIONS), atol=1e-6)


def test_what_a_row_does_not_see_may_be_anything() -> None:
    query, key, value = case(4, 2, 32, torch.float32)
    expected = attend_one(query, key, value, POSITIONS)
    for row, last in enumerate(POSITIONS.tolist()):
        key[row, :, last + 1 :] = float("nan")
        value[row, :, last + 1 :] = float("inf")
    assert torch.equal(attend_one(query, key, value, POSITIONS), expected)


def test_other_sizes_are_left_to_pytorch() -> None:
    for size in (8, 48, 96, 512):
        query, key, value = case(4, 2, size, torch.float32)
        assert not fits(query, key, value)
