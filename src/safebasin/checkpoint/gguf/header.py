"""The head of a GGUF file: its metadata and its table of tensors. No tensor is read.

The layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Every length in it is
somebody else's number, so each is held against the size of the file before it is followed.
"""

from __future__ import annotations

import importlib.util
import mmap
import stat
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from safebasin.errors import CheckpointError

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_KEYS = 100_000
_MOST_TENSORS = 500_000
_MOST_ELEMENTS = 4_000_000
"""Of one array; the largest vocabularies have 300,000 tokens and 600,000 merges."""
_LONGEST_KEY = 65_535
_LONGEST_TEXT = 2**24
_MOST_DIMENSIONS = 4
_STRING, _ARRAY = 8, 9
_NUMBERS = {
    0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8",
    11: "<i8", 12: "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """An entry of the table: its name in the file, shape (rows first), and type such as `Q4_1`."""

    name: str
    shape: tuple[int, ...]
    kind: str


@dataclass(frozen=True)
class Header:
    """What the head of a GGUF file says.

    metadata  key to value; numbers are Python's, 32-bit ones as the shortest decimal that means
              them, so that 1e-05 is 1e-05
    tensors   in the order of the file
    """

    path: Path
    metadata: Mapping[str, Any]
    tensors: tuple[Tensor, ...]

    @property
    def architecture(self) -> str:
        """The name that the file gives its architecture, such as `llama`."""
        return str(self.metadata["general.architecture"])

    @property
    def elements(self) -> int:
        """The number of values of all tensors."""
        return sum(prod(tensor.shape) for tensor in self.tensors)

    def setting(self, key: str, default: Any = None) -> Any:
        """The value of a key of the architecture's own, such as `rope.freq_base`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    @cached_property
    def quantisation(self) -> dict[str, Any]:
        """How the weights are stored: the file's own name for it, and tensors by type."""
        from gguf import LlamaFileType

        kind = self.metadata.get("general.file_type")
        known = {int(one): one.name for one in LlamaFileType}
        counts = Counter(tensor.kind for tensor in self.tensors)
        return {
            "format": "GGUF",
            "file": self.path.name,
            "file_type": known.get(kind, f"type {kind}") if isinstance(kind, int) else None,
            "tensors": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        }


def read_header(path: Path) -> Header:
    """Read and check the head of a GGUF file.

    Raises CheckpointError where the package `gguf` is missing, or the file is no plain file, no
    GGUF, cut short, or says what cannot be.
    """
    require_package()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path} is no plain file.", "Give a GGUF file.")
        if path.stat().st_size < 24:
            raise _damaged(path, "it is too short")
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return _Reader(path, content).header()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.", "Check it.") from error


def require_package() -> None:
    """Raise CheckpointError where the package is missing that reads GGUF files."""
    if importlib.util.find_spec("gguf") is None:
        raise CheckpointError(
            "A GGUF file is read with the package gguf, which is not installed.",
            "Run `pip install 'safebasin[gguf]'`.",
        )


def _damaged(path: Path, what: str) -> CheckpointError:
    return CheckpointError(f"{path} is no valid GGUF file: {what}.", "Download it again.")


class _Reader:
    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self.path = path
        self.content = content
        self.size = len(content)
        self.at = 0

    def header(self) -> Header:
        if self._take(4) != MAGIC:
            raise self._damaged("it does not begin with GGUF")
        version, tensors, keys = self._unpack("<IQQ")
        if version not in _VERSIONS:
            if version & 0xFFFF == 0:
                raise CheckpointError(
                    f"{self.path} is written for big-endian machines.", "Give the usual file."
                )
            raise CheckpointError(
                f"{self.path} is GGUF of version {version}; read are 2 and 3.",
                "Convert the model again.",
            )
        if keys > _MOST_KEYS or tensors > _MOST_TENSORS:
            raise self._damaged(f"it promises {keys} entries and {tensors} tensors")
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text(_LONGEST_KEY)
            if key in metadata:
                raise self._damaged(f"it says '{key[:60]}' twice")
            metadata[key] = self._value(*self._unpack("<I"))
        if not isinstance(metadata.get("general.architecture"), str):
            raise self._damaged("it names no architecture")
        return Header(self.path, metadata, self._tensors(tensors, metadata))

    def _tensors(self, count: int, metadata: Mapping[str, Any]) -> tuple[Tensor, ...]:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        found: dict[str, Tensor] = {}
        spans = []
        for _ in range(count):
            name = self._text(_LONGEST_KEY)
            (dimensions,) = self._unpack("<I")
            if name in found or not 1 <= dimensions <= _MOST_DIMENSIONS:
                raise self._damaged(f"its entry for the tensor '{name[:60]}' cannot be")
            shape = tuple(reversed(self._unpack(f"<{dimensions}Q")))
            kind, offset = self._unpack("<IQ")
            try:
                stored = GGMLQuantizationType(kind)
                per_block, block = GGML_QUANT_SIZES[stored]
            except (ValueError, KeyError):
                raise CheckpointError(
                    f"{self.path} holds '{name[:60]}' in type {kind}, which the installed package "
                    "gguf does not know.",
                    "Update gguf, or give the model in another quantisation.",
                ) from None
            if 0 in shape or shape[-1] % per_block:
                raise self._damaged(f"'{name[:60]}' cannot have the shape {shape}")
            spans.append((offset, offset + prod(shape) // per_block * block, name))
            found[name] = Tensor(name, shape, stored.name)
        if not found:
            raise self._damaged("it holds no tensor")
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 2**20:
            raise self._damaged("its alignment cannot be")
        start = -(-self.at // alignment) * alignment
        end = 0
        for first, last, name in sorted(spans):
            if first < end:
                raise self._damaged(f"'{name[:60]}' lies over another tensor")
            if start + last > self.size:
                raise self._damaged(f"it ends before '{name[:60]}' does")
            end = last
        return tuple(found.values())

    def _value(self, kind: int) -> Any:
        if kind == _STRING:
            return self._text(_LONGEST_TEXT)
        if kind == _ARRAY:
            inner, count = self._unpack("<IQ")
            if count > _MOST_ELEMENTS:
                raise self._damaged(f"it promises a list of {count} entries")
            if inner == _STRING:
                return [self._text(_LONGEST_TEXT) for _ in range(count)]
            return self._numbers(inner, count)
        return self._numbers(kind, 1)[0]

    def _numbers(self, kind: int, count: int) -> list[Any]:
        if kind not in _NUMBERS:
            raise self._damaged(f"it holds a value of type {kind}")
        dtype = np.dtype(_NUMBERS[kind])
        values = np.frombuffer(self._take(dtype.itemsize * count), dtype)
        if kind == 6:
            return [float(str(value)) for value in values] if count < 4096 else values.tolist()
        found: list[Any] = values.tolist()
        return found

    def _text(self, longest: int) -> str:
        (length,) = self._unpack("<Q")
        if length > longest:
            raise self._damaged(f"it promises a text of {length} bytes")
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._damaged("a text in it is not UTF-8") from error

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, count: int) -> bytes:
        if self.at + count > self.size:
            raise self._damaged("it is cut short")
        self.at += count
        return self.content[self.at - count : self.at]

    def _damaged(self, what: str) -> CheckpointError:
        return _damaged(self.path, what)
