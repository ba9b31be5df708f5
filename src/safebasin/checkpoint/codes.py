"""Weights stored as codes and scales in safetensors, and the numbers that they mean.

Read are the formats that are plain arithmetic: eight-bit floats with scales by block, row or tensor
(`fp8`, as DeepSeek and Qwen publish), the dense integer and float formats of compressed-tensors,
and MXFP4 as gpt-oss has it. Others need a package that was compiled for a device.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safebasin.errors import CheckpointError
from safebasin.terminal import shorten

if TYPE_CHECKING:
    from torch import Tensor

_COMPRESSED = ("dense", "float-quantized", "int-quantized", "naive-quantized", "pack-quantized")
_REMEDIES = {
    "bitsandbytes": "Load it where bitsandbytes is installed, call model.dequantize() and "
    "save_pretrained(FOLDER), and give that folder.",
}
_REMEDY = "Give the checkpoint it was made from, in float32, bfloat16 or float16."
_MXFP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
_ACTIVATIONS = ("input_scale", "activation_scale", "output_scale", "k_scale", "v_scale")
_ZERO = ("weight_zero_point",)
_PACKED, _SHAPE = "weight_packed", "weight_shape"


def storage(where: Path, config: Mapping[str, Any]) -> dict[str, Any] | None:
    """How a config says that weights are stored as codes; None where it says nothing of it.

    Raises CheckpointError, naming the format, where it is one that is not read.
    """
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    found = next((one for part in parts if (one := part.get("quantization_config"))), None)
    if found is None:
        found = next((one for part in parts if (one := part.get("compression_config"))), None)
    if found is None:
        return None
    method = found.get("quant_method") if isinstance(found, dict) else None
    if method is None and isinstance(found, dict) and found.get("load_in_4bit") is not None:
        method = "bitsandbytes"
    name = _read_as(method, found) if isinstance(found, dict) else None
    if name is not None:
        return {**found, "read_as": name}
    kind = shorten(str(found.get("format") or method)) if isinstance(found, dict) else "no"
    told = f"{shorten(str(method))} ({kind})" if kind != method else kind
    raise CheckpointError(
        f"'{where}' is quantised in the format {told}, and its codes cannot be read as numbers.",
        _REMEDIES.get(str(method), _REMEDY),
    )


def _read_as(method: Any, found: Mapping[str, Any]) -> str | None:
    if method in ("fp8", "mxfp4"):
        return str(method)
    if method != "compressed-tensors" or found.get("transform_config"):
        return None
    sparse = found.get("sparsity_config")
    if isinstance(sparse, dict) and sparse.get("format", "dense") != "dense":
        return None
    groups = found.get("config_groups")
    if not isinstance(groups, dict) or not groups:
        return None
    formats = {found.get("format")} | {
        group.get("format") for group in groups.values() if isinstance(group, dict)
    }
    if not formats - {None} <= set(_COMPRESSED):
        return None
    bits = {_bits(group) for group in groups.values()}
    return "compressed-tensors" if len(bits) == 1 and None not in bits else None


def _bits(group: Any) -> int | None:
    weights = group.get("weights") if isinstance(group, dict) else None
    bits = weights.get("num_bits") if isinstance(weights, dict) else None
    return bits if isinstance(bits, int) and 2 <= bits <= 8 else None


def record(stored: Mapping[str, Any], kinds: Counter[str]) -> dict[str, Any]:
    """What a manifest says of it; `kinds` counts tensors by their type in the files."""
    return {
        "format": stored["read_as"],
        "file_type": stored.get("format"),
        "tensors": dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
    }


def elements(header: Sequence[tuple[str, tuple[int, ...], str]], stored: Mapping[str, Any]) -> int:
    """How many numbers the codes in files stand for, by the files' headers.

    Of codes that are packed it is what fits, which may be a few more in each row.
    """
    names = {name for name, _, _ in header}
    groups: Any = stored.get("config_groups") or {}
    bits = next((found for group in groups.values() if (found := _bits(group))), 32)
    total = 0
    for name, shape, _ in header:
        if _part_of(name, names):
            continue
        if name.endswith(f".{_PACKED}"):
            total += prod(shape) * (32 // bits)
        else:
            total += prod(shape) * (2 if name.endswith("_blocks") else 1)
    return total


def _part_of(name: str, names: set[str]) -> bool:
    """Whether a tensor only says what the codes of another mean, or scales activations."""
    stem, _, ending = name.rpartition(".")
    if ending in _ACTIVATIONS:
        return True
    if ending in (_SHAPE, "weight_g_idx", "weight_global_scale", *_ZERO):
        return True
    if ending == "weight_scale":
        return f"{stem}.weight" in names or f"{stem}.{_PACKED}" in names
    if ending.endswith("_scale_inv"):
        return f"{stem}.{ending.removesuffix('_scale_inv')}" in names
    return ending.endswith("_scales") and f"{name.removesuffix('_scales')}_blocks" in names


class Codes:
    """The tensors of a checkpoint's files as numbers: float32, or as stored where they are such."""

    def __init__(self, files: Sequence[Path], stored: Mapping[str, Any], name: str) -> None:
        from safetensors import safe_open

        self.name = name
        self.stored = stored
        self._where: dict[str, Any] = {}
        for path in files:
            file: Any = safe_open(path, framework="pt")
            self._where.update(dict.fromkeys(file.keys(), file))

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Each weight by its name in the model.

        Raises CheckpointError where codes have no scales, or scales do not fit.
        """
        names = set(self._where)
        for name in self._where:
            if _part_of(name, names):
                continue
            if name.endswith("_blocks") and self.stored["read_as"] == "mxfp4":
                yield name.removesuffix("_blocks"), self._mxfp4(name)
            elif name.endswith(f".{_PACKED}"):
                yield f"{name.removesuffix(_PACKED)}weight", self._packed(name)
            else:
                yield name, self._plain(name)

    def _get(self, name: str) -> Tensor | None:
        if name not in self._where:
            return None
        found: Tensor = self._where[name].get_tensor(name)
        return found

    def _scale(self, *names: str) -> Tensor:
        import torch

        found = next((one for name in names if (one := self._get(name)) is not None), None)
        if found is None:
            raise self._unfit(names[0], "is missing")
        if found.dtype == torch.uint8:  # an exponent of two
            return (found.float() - 127).exp2()
        return found.float()

    def _plain(self, name: str) -> Tensor:
        import torch

        values = self._get(name)
        if values is None or values.dtype in (torch.float32, torch.bfloat16, torch.float16):
            return values  # type: ignore[return-value]
        if values.dtype in (torch.float64, torch.bool, torch.int64):
            return values
        scale = self._scale(f"{name}_scale_inv", f"{name}_scale")
        zero = self._get(f"{name}_zero_point")
        found = values.float()
        if zero is not None:
            found = found - self._spread(name, zero.float(), tuple(values.shape))
        return found * self._spread(name, scale, tuple(values.shape))

    def _spread(self, name: str, scale: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A scale for each value: by tensor, row, group of columns, or block."""
        import torch

        if scale.numel() == 1:
            return scale.reshape(())
        while scale.ndim < len(shape):
            scale = scale.unsqueeze(-1)
        if scale.ndim != len(shape):
            raise self._unfit(name, "does not fit its weight")
        blocks: Any = self.stored.get("weight_block_size")
        block: Any
        for axis, size in enumerate(shape):
            have = scale.shape[axis]
            if have in (1, size):
                continue
            fixed = isinstance(blocks, list) and len(blocks) == 2 and axis >= len(shape) - 2
            block = blocks[axis - len(shape) + 2] if fixed else -(-size // have)
            if not isinstance(block, int) or block < 1 or -(-size // block) != have:
                raise self._unfit(name, "does not fit its weight")
            scale = torch.repeat_interleave(scale, block, dim=axis).narrow(axis, 0, size)
        return scale

    def _packed(self, name: str) -> Tensor:
        """Integers of fewer bits in words of 32, the first in the lowest (compressed-tensors)."""
        import torch

        stem = name.removesuffix(_PACKED)
        words, shape = self._get(name), self._get(f"{stem}{_SHAPE}")
        bits = _bits(next(iter(self.stored["config_groups"].values())))
        if words is None or shape is None or bits is None or words.dtype != torch.int32:
            raise self._unfit(name, "has no shape beside it")
        rows, columns = (int(size) for size in shape)
        if words.shape != (rows, -(-columns // (32 // bits))):
            raise self._unfit(name, "does not fit its shape")
        values = _unpack(words, bits, columns).float()
        scale = self._scale(f"{stem}weight_scale")
        zero = self._get(f"{stem}weight_zero_point")
        if zero is not None and zero.dtype == torch.int32:
            zero = _unpack(zero.T.contiguous(), bits, rows).T
        order = self._get(f"{stem}weight_g_idx")
        if order is not None and int(order.min()) >= 0 and scale.shape[-1] > 1:
            spread = scale[:, order.long()]
            shift = None if zero is None else zero.float()[:, order.long()]
        else:
            spread = self._spread(name, scale, (rows, columns))
            shift = None if zero is None else self._spread(name, zero.float(), (rows, columns))
        return (values if shift is None else values - shift) * spread

    def _mxfp4(self, name: str) -> Tensor:
        """Two values of four bits a byte, 32 of them under one power of two (OCP MX, 2023)."""
        import torch

        codes = self._get(name)
        scale = self._scale(f"{name.removesuffix('_blocks')}_scales")
        if codes is None or codes.dtype != torch.uint8 or codes.shape[:-1] != scale.shape:
            raise self._unfit(name, "does not fit its scales")
        table = torch.tensor(_MXFP4)
        pairs = torch.stack((table[(codes & 15).int()], table[(codes >> 4).int()]), dim=-1)
        values = pairs.flatten(-2) * scale.unsqueeze(-1)
        # The model multiplies from the left: inputs first.
        return values.flatten(-2).transpose(-2, -1).contiguous()

    def _unfit(self, name: str, what: str) -> CheckpointError:
        return CheckpointError(
            f"'{self.name}' is stored as {self.stored['read_as']}, and '{name}' {what}.",
            "Download it again, or give the checkpoint it was made from.",
        )


def _unpack(words: Tensor, bits: int, columns: int) -> Tensor:
    import torch

    each = 32 // bits
    shifts = torch.arange(each, dtype=torch.int32) * bits
    codes: Tensor = (words.unsqueeze(-1) >> shifts) & (2**bits - 1)
    found: Tensor = codes.flatten(-2)[:, :columns] - 2 ** (bits - 1)
    return found


def loader_of(config: Any, name: str) -> tuple[Any, Any]:
    """The class that takes numbers for a configuration, and that without its word of codes.

    Raises CheckpointError where transformers knows no causal language model of that configuration.
    """
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    for part in (config, config.get_text_config()):
        for name in ("quantization_config", "compression_config"):
            if hasattr(part, name):
                delattr(part, name)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise CheckpointError(
            f"'{name}' ({shorten(str(config.model_type))}) is stored as codes, and is no causal "
            "language model that the installed transformers knows.",
            _REMEDY,
        )
    return MODEL_FOR_CAUSAL_LM_MAPPING[type(config)], config
