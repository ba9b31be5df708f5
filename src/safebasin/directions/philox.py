"""A counter-based generator: the number at a place depends on a key and the place alone.

Philox4x64 with ten rounds (Salmon et al., SC 2011, doi 10.1145/2063384.2063405): block b is a
function of a 128-bit key and of b, four words of 64 bits. Any block can be had by itself, on any
device and in any order, and integer arithmetic makes it the same everywhere, bit for bit.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Key = tuple[int, int]
"""Two words of 64 bits, the lower one first."""

WORDS = 4
"""The 64-bit words of a block."""

ROUNDS = 10
MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
BUMPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

_COUNTERS = 1 << 256
_LOW = 0xFFFFFFFF


def key_of(text: str) -> Key:
    """The first 128 bits of the SHA-256 of a text."""
    entropy = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(entropy[:8], "little"), int.from_bytes(entropy[8:16], "little")


def words(key: Key, first: int, blocks: int) -> NDArray[np.uint64]:
    """The words of `blocks` consecutive blocks from block `first` on, by NumPy's own generator."""
    # NumPy counts before it draws.
    generator = np.random.Philox(key=key[0] | key[1] << 64, counter=(first - 1) % _COUNTERS)
    drawn: NDArray[np.uint64] = generator.random_raw(WORDS * blocks)
    return drawn


def words_on(device: torch.device | str, key: Key, first: int, blocks: int) -> Tensor:
    """The same with PyTorch's integers: int64 (blocks, 4), the bits those of unsigned words."""
    zero = torch.zeros(blocks, dtype=torch.int64, device=device)
    counter = torch.arange(first, first + blocks, dtype=torch.int64, device=device)
    a, b, c, d = counter, zero, zero, zero
    low, high = key
    for _ in range(ROUNDS):
        upper_a, lower_a = _multiply(a, MULTIPLIERS[0])
        upper_c, lower_c = _multiply(c, MULTIPLIERS[1])
        a, b, c, d = upper_c ^ b ^ signed(low), lower_c, upper_a ^ d ^ signed(high), lower_a
        low, high = (low + BUMPS[0]) % (1 << 64), (high + BUMPS[1]) % (1 << 64)
    return torch.stack((a, b, c, d), dim=1)


def signed(word: int) -> int:
    """The signed number of the same 64 bits."""
    return word - (1 << 64) if word >> 63 else word


def _multiply(x: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """The upper and the lower word of the product of unsigned words, by halves of 32 bits."""
    upper, lower = multiplier >> 32, multiplier & _LOW
    x_upper, x_lower = _upper(x), x & _LOW
    middle = x_lower * upper + _upper(x_lower * lower)
    other = x_upper * lower + (middle & _LOW)
    return x_upper * upper + _upper(middle) + _upper(other), x * signed(multiplier)


def _upper(x: Tensor) -> Tensor:
    return (x >> 32) & _LOW
