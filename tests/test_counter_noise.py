"""Noise drawn by a counter, held against slow Python, published vectors and the normal law."""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from safebasin.directions.counter_displacement import displace_, displace_by_torch_
from safebasin.directions.counter_noise import (
    Parts,
    draw,
    noise_key,
    square_sums,
    whole_numbers,
    whole_numbers_by_torch,
)
from safebasin.directions.normal_table import UNIT, Reading, normals_on, table
from safebasin.directions.philox import Key, words, words_on
from safebasin.weights.counted import Term

KEY = noise_key(7, "model.layers.0.mlp.up_proj.weight", (24, 8))
WORD = 1 << 64

# Random123 1.14, tests/kat_vectors: philox4x64 10, counter, key, result.
KNOWN = [
    (0, (0, 0), "16554d9eca36314c db20fe9d672d0fdc d7e772cee186176b 7e68b68aec7ba23b"),
    (
        2**256 - 1,
        (WORD - 1, WORD - 1),
        "87b092c3013fe90b 438c3c67be8d0224 9cc7d7c69cd777b6 a09caebf594f0ba0",
    ),
    (
        0x082EFA98EC4E6C89_A4093822299F31D0_13198A2E03707344_243F6A8885A308D3,
        (0x452821E638D01377, 0xBE5466CF34E90C6C),
        "a528f45403e61d95 38c72dbd566e9788 a5a1610e72fd18b5 57bd43b5e52b7fe6",
    ),
]


def philox(counter: int, key: Key) -> list[int]:
    """Philox4x64-10 in whole numbers of any length."""
    a, b, c, d = ((counter >> 64 * i) % WORD for i in range(4))
    low, high = key
    for _ in range(10):
        x, y = a * 0xD2E7470EE14C6C93, c * 0xCA5A826395121157
        a, b, c, d = y // WORD ^ b ^ low, y % WORD, x // WORD ^ d ^ high, x % WORD
        low, high = (low + 0x9E3779B97F4A7C15) % WORD, (high + 0xBB67AE8584CAA73B) % WORD
    return [a, b, c, d]


def node(octave: int, part: int) -> int:
    """The table's normal where a cell begins, by another inverse of the normal law."""
    share = 2.0 ** (octave - 31) * (1 + part / 256)
    return round(-special.ndtri(share / 2) * 2**20)


def element(seed: int, name: str, shape: str, place: int) -> int:
    """One element in multiples of 2^-20, as the documentation tells it."""
    text = f"safebasin counter 1\0{seed}\0{name}\0{shape}".encode()
    low, high = struct.unpack("<QQ", hashlib.sha256(text).digest()[:16])
    word = philox(place // 8, (low, high))[place % 8 // 2]
    uniform = word >> 32 if place % 2 else word % 2**32
    number = (uniform - 2**32 if uniform >= 2**31 else uniform) | 1
    (bits,) = struct.unpack("<I", struct.pack("<f", abs(number)))
    octave, part, within = (bits >> 23) - 127, (bits >> 15) % 256, bits % 2**15
    begin = node(octave, part)
    if octave == 31:
        return begin
    end = node(octave + (part + 1) // 256, (part + 1) % 256)
    change = (end - begin) * within
    sign = 1 if number > 0 else -1
    return sign * begin + ((sign * change + 2**14) >> 15)


@pytest.mark.parametrize(("counter", "key", "result"), KNOWN)
def test_the_generator_gives_the_published_words(counter: int, key: Key, result: str) -> None:
    expected = [int(word, 16) for word in result.split()]
    assert philox(counter, key) == expected
    assert words(key, counter, 1).tolist() == expected


def test_pytorch_multiplies_words_as_numpy_does() -> None:
    for first in (0, 1, 2**31 - 3, 2**33 + 1, 2**40):
        expected = words(KEY, first, 50)
        assert philox(first, KEY) == expected[:4].tolist()
        found = words_on("cpu", KEY, first, 50)
        assert np.array_equal(found.numpy().reshape(-1).view(np.uint64), expected)


def test_elements_are_those_of_slow_python() -> None:
    places = [0, 1, 2, 7, 8, 15, 1000, 65_537, 2**32 + 5, 2**40 + 3]
    name, shape = "model.layers.0.mlp.up_proj.weight", "24x8"
    expected = [element(7, name, shape, place) for place in places]
    found = [int(whole_numbers(KEY, place, 1)) for place in places]
    assert found == expected
    assert found == GOLDEN
    many = [element(7, name, shape, place) for place in range(400)]
    assert whole_numbers(KEY, 0, 400).tolist() == many


GOLDEN = [195829, -853238, -1161056, -661698, -116053, -830788, 959407, -1030406, -222162, 1725024]


def test_the_table_is_the_same_everywhere() -> None:
    values, widths = table()
    assert hashlib.sha256(values.astype("<i4").tobytes()).hexdigest()[:16] == "b6c3481821db7e0e"
    assert hashlib.sha256(widths.astype("<i4").tobytes()).hexdigest()[:16] == "84569ddcb140ca2e"
    # No library's logarithm is so far off that a value would be rounded otherwise.
    cells = np.arange(31 * 256 + 1)
    shares = np.ldexp(1 + cells % 256 / 256, cells // 256 - 31)
    exact = -special.ndtri(shares / 2) / UNIT
    assert np.abs(exact - np.floor(exact) - 0.5).min() > 1e-5
    begin = 127 * 256
    assert np.array_equal(values[begin : begin + len(cells)], np.rint(exact))


def test_a_normal_is_within_two_units_of_its_quantile() -> None:
    edges = np.array([0, 1, 2, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1], dtype=np.uint32)
    uniform = np.concatenate([edges, words(KEY, 0, 1 << 15).astype("<u8").view(np.uint32)])
    found = Reading(len(uniform)).normals(uniform)
    assert torch.equal(
        normals_on(torch.from_numpy(uniform.view(np.int32))), torch.from_numpy(found)
    )
    odd = (uniform.view(np.int32) | 1).astype(np.float64)
    exact = -np.sign(odd) * special.ndtri(np.abs(odd) / 2**32) / UNIT
    assert np.abs(found - exact).max() < 2
    assert found[1] == -found[6] == found[0]
    assert found[0] * UNIT == pytest.approx(6.2303, abs=1e-4)


@given(st.integers(0, 200_000), st.integers(1, 300), st.integers(0, 2))
def test_any_piece_is_that_of_the_whole(offset: int, count: int, way: int) -> None:
    piece = whole_numbers_by_torch if way == 1 else whole_numbers
    found = piece(KEY, offset, count, "cpu")
    around = whole_numbers(KEY, max(0, offset - 5), count + 20)
    assert torch.equal(found, around[min(5, offset) :][:count])


def test_pieces_in_any_order_make_the_whole() -> None:
    whole = draw(KEY, 0, 100_003)
    other = torch.empty_like(whole)
    for begin in reversed(range(0, 100_003, 7_001)):
        other[begin : begin + 7_001] = draw(KEY, begin, min(7_001, 100_003 - begin))
    assert torch.equal(whole, other)
    assert torch.equal(whole_numbers_by_torch(KEY, 0, 100_003, "cpu"), (whole / UNIT).int())


def test_sums_of_squares_are_exact() -> None:
    for length, rows in ((100_003, 1), (37, 11), (8, 300), (40_000, 3), (1, 5), (0, 2)):
        exact = whole_numbers(KEY, 0, length * rows).tolist()
        sums = [sum(x * x for x in exact[i * length : (i + 1) * length]) for i in range(rows)]
        found = square_sums(KEY, Parts(1, 1, rows, length))
        assert found.tolist() == [float(total) * 2.0**-40 for total in sums]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("by_row", [False, True])
def test_a_tensor_is_displaced_in_place(dtype: torch.dtype, by_row: bool) -> None:
    other = noise_key(8, "w", (50, 100))
    origin = torch.randn(50, 100, generator=torch.Generator().manual_seed(1)).mul(0.02).to(dtype)
    scales = np.linspace(0.01, 0.03, 50, dtype=np.float32)
    own = torch.from_numpy(scales) if by_row else 0.021
    terms = [Term(KEY, -0.3, own), Term(other, 0.17, 0.033)]
    target = torch.empty_like(origin)
    assert displace_(target, origin, terms, parts=Parts(1, 1, 50, 100))
    total = origin.float().numpy()
    for key, coefficient, scale in terms:
        noise = (whole_numbers(key, 0, 5000).numpy().reshape(50, 100) * UNIT).astype(np.float32)
        scale = scales[:, None] if isinstance(scale, torch.Tensor) else np.float32(scale)
        total = total + (noise * scale) * np.float32(coefficient)
    assert torch.equal(target, torch.from_numpy(total).to(dtype))
    for begin in (2000, 3, 0):
        size = 5000 - begin
        part = torch.empty(size, dtype=dtype)
        source = origin.view(-1)[begin:]
        assert displace_by_torch_(part, source, terms, offset=begin, parts=Parts(1, 1, 50, 100))
        assert torch.equal(part, target.view(-1)[begin:])


def test_what_is_not_finite_is_told() -> None:
    origin = torch.full((3000,), 6e4, dtype=torch.float16)
    assert not displace_(torch.empty_like(origin), origin, [Term(KEY, 1.0, 5e3)])


MILLIONS = 4_000_000


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return draw(KEY, 0, MILLIONS).double().numpy()


def test_moments_are_those_of_the_normal(sample: np.ndarray) -> None:
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10170)):
        error = (variance / MILLIONS) ** 0.5
        assert abs((sample**power).mean() - expected) < 4 * error


def test_the_distribution_is_the_normal_one(sample: np.ndarray) -> None:
    assert stats.kstest(sample, "norm").pvalue > 1e-3
    edges = stats.norm.ppf(np.linspace(0, 1, 4097))
    counts = np.histogram(sample, edges)[0]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_tails_hold_as_many_as_they_should(sample: np.ndarray) -> None:
    for beyond in (3, 3.5, 4, 4.5, 5):
        expected = 2 * stats.norm.sf(beyond) * MILLIONS
        found = int((np.abs(sample) > beyond).sum())
        low, high = stats.poisson.ppf([5e-4, 1 - 5e-4], expected)
        assert low <= found <= high, beyond
    # The law itself, beyond what a sample shows: how many of the 2^30 magnitudes lie beyond.
    for beyond in (5.0, 5.5, 6.0):
        lower, upper = 0, 2**30
        while lower < upper:
            middle = (lower + upper) // 2
            uniform = np.array([2 * middle + 1], dtype=np.uint32)
            far = Reading(1).normals(uniform)[0] * UNIT > beyond
            lower, upper = (middle + 1, upper) if far else (lower, middle)
        assert lower / 2**30 == pytest.approx(2 * stats.norm.sf(beyond), rel=0.01, abs=2**-30)


def test_names_seeds_shapes_neighbours_and_rows_are_uncorrelated(sample: np.ndarray) -> None:
    bound = 4.5 / MILLIONS**0.5
    others = [
        noise_key(8, "model.layers.0.mlp.up_proj.weight", (24, 8)),
        noise_key(7, "model.layers.1.mlp.up_proj.weight", (24, 8)),
        noise_key(7, "model.layers.0.mlp.up_proj.weight", (8, 24)),
    ]
    for key in others:
        other = draw(key, 0, MILLIONS).double().numpy()
        assert abs((sample * other).mean()) < bound
        assert abs((np.abs(sample) * np.abs(other)).mean() - 2 / np.pi) < bound
    for apart in (1, 2, 3, 4, 7, 8, 9, 16, 576, 4096):
        assert abs((sample[apart:] * sample[:-apart]).mean()) < bound
        squares = sample**2 - 1
        assert abs((squares[apart:] * squares[:-apart]).mean()) < 2 * bound
