"""Directions read from a file, such as those that the paper's reference code saves."""

from __future__ import annotations

import hashlib
import math
import pickle
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import fp32


class Given:
    """The tensors of a file, times `scale`: d_p = scale·file[p], float32.

    Such as those along which Peng et al. (2024) displace, in their reference code's files.

    The file is a safetensors file, or a dict from parameter names to tensors as `torch.save`
    writes it; nothing but tensors is unpickled. A tied parameter is looked up under each of its
    names. Parameters that the file leaves out are an error unless `partial`.

    Raises DirectionError where the file cannot be read or does not fit the weights.
    """

    kind: ClassVar[str] = "given"
    random: ClassVar[bool] = False

    def __init__(
        self,
        path: str | Path,
        weights: Weights,
        *,
        scale: float = 1.0,
        name: str | None = None,
        partial: bool = False,
    ) -> None:
        if not math.isfinite(scale) or scale == 0:
            raise DirectionError(f"The scale is {scale}.", "Give a finite number that is not 0.")
        self.path = Path(path)
        self.name = name or self.path.stem
        self.scale = float(scale)
        self.partial = partial
        self._weights = weights
        self._tensors = _read(self.path)
        self._check()

    @classmethod
    def reference(
        cls,
        path: str | Path,
        weights: Weights,
        *,
        steps: int = 20,
        multiplier: float = 1.0,
        name: str | None = None,
    ) -> Given:
        """A file of the reference code (`dirs1.pt`), which stores d·multiplier/steps.

        The coefficients then mean what they mean in the paper: displacements relative to ‖W‖.
        """
        if steps <= 0 or multiplier == 0:
            raise DirectionError(
                f"{steps} steps and a multiplier of {multiplier} give no scale.",
                "Give those that the file was made with.",
            )
        return cls(path, weights, scale=steps / multiplier, name=name)

    @classmethod
    def rebuild(cls, spec: Mapping[str, Any], weights: Weights) -> Given:
        """The direction of a `spec()`; raises DirectionError where the file has changed."""
        made = cls(
            spec["path"],
            weights,
            scale=spec["scale"],
            name=spec["name"],
            partial=spec["partial"],
        )
        if made.sha256 != spec["sha256"]:
            raise DirectionError(
                f"'{made.path}' is not the file that was used.",
                f"Find the one whose SHA-256 begins with {spec['sha256'][:12]}.",
            )
        return made

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) of the file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def spec(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "name": self.name,
            "path": str(self.path),
            "sha256": self.sha256,
            "scale": self.scale,
            "partial": self.partial,
        }

    def tensor(self, parameter: Parameter) -> Tensor | None:
        if parameter.name not in self._weights:
            return None
        for name in parameter.names:
            if name in self._tensors:
                return self._tensors[name].float() * fp32(self.scale)
        return None

    def _check(self) -> None:
        known = self._weights.names
        # Older models keep the constants of their rotary embeddings among the weights.
        unknown = [
            name
            for name in self._tensors
            if name not in known and not name.endswith("rotary_emb.inv_freq")
        ]
        if unknown:
            raise self._misfit(unknown, "names that the model does not have")
        missing = [
            parameter.name
            for parameter in self._weights.parameters
            if not any(name in self._tensors for name in parameter.names)
        ]
        if missing and not self.partial:
            raise self._misfit(missing, "no tensors for")
        wrong = [
            f"{name} {tuple(self._tensors[name].shape)}, not {parameter.shape}"
            for parameter in self._weights.parameters
            for name in parameter.names
            if name in self._tensors and tuple(self._tensors[name].shape) != parameter.shape
        ]
        if wrong:
            raise self._misfit(wrong, "tensors of other shapes")
        for name, tensor in self._tensors.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise self._misfit([name], "values that are no finite numbers")

    def _misfit(self, names: list[str], what: str) -> DirectionError:
        some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        return DirectionError(
            f"'{self.path}' has {what}: {some}.",
            "Give directions made for this model, and select only weights that they cover.",
        )


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    if not path.is_file():
        raise DirectionError(f"There is no file '{path}'.", "Give a .safetensors or .pt file.")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # files of torch before 1.6 cannot be mapped
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise DirectionError(
            f"'{path}' holds more than tensors and was not opened.",
            "Save a dict from parameter names to tensors.",
        ) from error
    except Exception as error:  # the readers have no error type in common
        raise DirectionError(
            f"'{path}' cannot be read: {str(error).splitlines()[0][:200] or type(error).__name__}.",
            "Give a .safetensors or .pt file of tensors by name.",
        ) from error
    if not (
        isinstance(loaded, dict)
        and loaded
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items())
    ):
        raise DirectionError(
            f"'{path}' is not a dict from parameter names to tensors.", "Save it as one."
        )
    return loaded
