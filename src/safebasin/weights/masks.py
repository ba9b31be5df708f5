"""Sets of weights: a yes or no for every entry of some parameters."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from safebasin.errors import DirectionError
from safebasin.weights.parameters import Parameter
from safebasin.weights.tensor_files import write_tensors


class Mask:
    """A set of weights, by parameter name: bool tensors of the parameters' shapes.

    It speaks of those parameters only: neither it nor its complement holds an entry of another.
    `a & b` is what both hold, of the parameters that both speak of; `a - b` what `a` holds and `b`
    does not; `~a` all other entries of its parameters.

    model   the "name" and the "fingerprint" of the checkpoint that a file says it was made for;
            None where it says nothing, as those of earlier versions
    """

    def __init__(self, tensors: Mapping[str, Tensor], *, name: str = "mask") -> None:
        self.name = name
        self.model: dict[str, str] | None = None
        self.tensors = dict(tensors)
        self._file: dict[str, str] = {}
        for key, tensor in self.tensors.items():
            if tensor.dtype != torch.bool:
                raise DirectionError(
                    f"The mask '{name}' holds {tensor.dtype} for '{key}'.",
                    "Give tensors of torch.bool.",
                )

    @classmethod
    def read(cls, path: str | Path, *, name: str | None = None) -> Mask:
        """A mask that `save` wrote; DirectionError where the file holds none."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = Path(path)
        try:
            data = path.read_bytes()
            made = cls(load(data), name=name or path.stem)
            made.model = _model_in(data)
        except (OSError, SafetensorError) as error:
            raise DirectionError(
                f"The mask '{path}' cannot be read: {getattr(error, 'strerror', None) or error}.",
                "Give the mask.safetensors of an attribution, or another file of `Mask.save`.",
            ) from error
        made._file = {"path": str(path), "sha256": hashlib.sha256(data).hexdigest()}
        return made

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any]) -> Mask:
        """The mask of a `spec()`; DirectionError where its file or its values have changed."""
        if "path" in spec:
            made = cls.read(spec["path"], name=spec["name"])
            if made._file["sha256"] != spec["sha256"]:
                raise DirectionError(
                    f"'{spec['path']}' is not the mask that was used.",
                    f"Find the one whose SHA-256 begins with {spec['sha256'][:12]}.",
                )
            return made
        try:
            tensors = {key: _unpacked(*one) for key, one in spec["bits"].items()}
        except (ValueError, zlib.error) as error:
            raise DirectionError(
                f"The bits of the mask '{spec['name']}' are damaged.",
                "Take its specification from where it was written.",
            ) from error
        return cls(tensors, name=spec["name"])

    def spec(self) -> dict[str, Any]:
        """The file that it was read from with its digest, else all of its bits, packed."""
        if self._file:
            return {"name": self.name, **self._file}
        bits = {key: [list(one.shape), _packed(one)] for key, one in self.tensors.items()}
        return {"name": self.name, "bits": bits}

    def save(self, path: Path, model: Mapping[str, str] | None = None) -> Path:
        """Write it as safetensors, with the model that it is of; RunError where that cannot be."""
        header = None if model is None else {"model": json.dumps(dict(model))}
        return write_tensors(path, self.tensors, header)

    def tensor(self, parameter: Parameter) -> Tensor | None:
        """bool of the parameter's shape; None where the mask does not speak of it.

        Raises DirectionError where it was made for another shape.
        """
        found = next((self.tensors[n] for n in parameter.names if n in self.tensors), None)
        if found is not None and tuple(found.shape) != parameter.shape:
            raise DirectionError(
                f"The mask '{self.name}' is of shape {tuple(found.shape)} at '{parameter.name}', "
                f"which is of shape {parameter.shape}.",
                "Give a mask that was made for this model.",
            )
        return found

    @property
    def count(self) -> int:
        """How many weights it holds."""
        return sum(int(one.sum()) for one in self.tensors.values())

    @property
    def numel(self) -> int:
        """How many weights it speaks of."""
        return sum(one.numel() for one in self.tensors.values())

    def __and__(self, other: Mask) -> Mask:
        common = self.tensors.keys() & other.tensors.keys()
        return self._with("&", other, {k: self.tensors[k] & other.tensors[k] for k in common})

    def __sub__(self, other: Mask) -> Mask:
        found = {
            key: one & ~other.tensors[key] if key in other.tensors else one
            for key, one in self.tensors.items()
        }
        return self._with("-", other, found)

    def __invert__(self) -> Mask:
        return Mask({key: ~one for key, one in self.tensors.items()}, name=f"~{self.name}")

    def _with(self, sign: str, other: Mask, tensors: Mapping[str, Tensor]) -> Mask:
        return Mask(tensors, name=f"({self.name} {sign} {other.name})")


def _model_in(data: bytes) -> dict[str, str] | None:
    """What the header of a safetensors file says of the model; SafetensorError if it misstates."""
    from safetensors import SafetensorError

    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    if "model" not in header:
        return None
    try:
        said = json.loads(header["model"])
        return {key: str(said[key]) for key in ("name", "fingerprint")}
    except (ValueError, KeyError, TypeError) as error:
        raise SafetensorError("its header misstates the model") from error


def _packed(tensor: Tensor) -> str:
    return base64.b64encode(zlib.compress(np.packbits(tensor.cpu().numpy()).tobytes())).decode()


def _unpacked(shape: list[int], bits: str) -> Tensor:
    packed = np.frombuffer(zlib.decompress(base64.b64decode(bits, validate=True)), np.uint8)
    count = int(np.prod(shape))
    if len(packed) != -(-count // 8):
        raise ValueError("too few or too many bits")
    return torch.from_numpy(np.unpackbits(packed, count=count).astype(bool)).reshape(shape)
