"""The weights of another checkpoint, one tensor at a time, matched to the weights of a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.vetting import read_header, vet_model
from safebasin.errors import DirectionError
from safebasin.terminal import listed
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter

_LISTED = 6


class OtherWeights:
    """What another checkpoint holds for the parameters that `weights` selects.

    Tensors are read from the checkpoint's files when they are asked for, so that no second model
    is held in memory. Only an adapter, which has to be merged, quantised weights, and files whose
    tensors have other names than the loaded model are held in memory, each tensor in the narrowest
    float type that has its exact values.

    A table with one row a token may have another number of rows: the rows that only one of both
    has keep our values, and `resized` names the table with (our rows, their rows). `vocabulary`
    is our tokens by id; a token that means another id there is an error.

    Raises DirectionError, listing what disagrees, where names, shapes, ties or tokens differ.
    """

    def __init__(
        self, checkpoint: Checkpoint, weights: Weights, vocabulary: Mapping[str, int] | None = None
    ) -> None:
        checkpoint.check()
        self.checkpoint = checkpoint
        self._weights = weights
        self.resized: dict[str, tuple[int, int]] = {}
        self._memory: dict[str, Tensor] = {}
        self._files = _on_disk(checkpoint, weights)
        if not self._files:
            model, _ = checkpoint.load("float32", "cpu")
            named = model.named_parameters(remove_duplicate=False)
            self._memory = {name: _narrow(tensor.detach()) for name, tensor in named}
        self._stored_as = {
            name: next((own for own in parameter.names if own in self._known), "")
            for parameter in weights.parameters
            for name in parameter.names
        }
        self._require_fit(vocabulary)

    def tensor(self, parameter: Parameter) -> Tensor:
        """Their value of a selected parameter: float32, of our shape."""
        stored = self._stored_as[parameter.name]
        found = self._read(stored).float()
        if not found.isfinite().all():
            raise DirectionError(
                f"'{self.checkpoint.name}' holds values in '{stored}' that are not finite.",
                "Give an undamaged checkpoint, such as an earlier one of its training.",
            )
        if tuple(found.shape) == parameter.shape:
            return found
        own = self._weights.pristine(parameter.name).to("cpu", torch.float32, copy=True)
        shared = min(len(own), len(found))
        own[:shared] = found[:shared]
        return own

    @property
    def _known(self) -> Mapping[str, object]:
        return self._files or self._memory

    def _read(self, name: str) -> Tensor:
        if name in self._memory:
            return self._memory[name]
        from safetensors import safe_open

        with safe_open(self._files[name], framework="pt") as file:
            found: Tensor = file.get_tensor(name)
        return found

    def _shape(self, name: str) -> tuple[int, ...]:
        if name in self._memory:
            return tuple(self._memory[name].shape)
        from safetensors import safe_open

        with safe_open(self._files[name], framework="pt") as file:
            return tuple(file.get_slice(name).get_shape())

    def _require_fit(self, vocabulary: Mapping[str, int] | None) -> None:
        complaints: dict[str, list[str]] = {
            "lacks": [],
            "has, and these weights lack,": [],
            "has other shapes for": [],
            "does not tie": [],
        }
        lacking, extra, shapes, untied = complaints.values()
        for parameter in self._weights.parameters:
            stored = self._stored_as[parameter.name]
            if not stored:
                lacking.append(f"'{parameter.name}'")
                continue
            shape = self._shape(stored)
            if shape != parameter.shape:
                if self._is_resized(parameter, shape):
                    self.resized[parameter.name] = (parameter.shape[0], shape[0])
                else:
                    shapes.append(f"'{parameter.name}' ({shape}, here {parameter.shape})")
            others = [name for name in parameter.names if name in self._known and name != stored]
            if any(not torch.equal(self._read(name), self._read(stored)) for name in others):
                untied.append(" and ".join(f"'{name}'" for name in parameter.names))
        extra += [f"'{name}'" for name in self._known if name not in self._weights.names]
        texts = [f"{what} {listed(names, _LISTED)}" for what, names in complaints.items() if names]
        texts += self._other_tokens(vocabulary)
        if texts:
            raise DirectionError(
                f"'{self.checkpoint.name}' does not fit these weights: it {'; it '.join(texts)}.",
                "Give a checkpoint of the same architecture and vocabulary.",
            )
        if self._weights.tied == "reference" and any(p.aliases for p in self._weights.parameters):
            raise DirectionError(
                "Tied weights that move twice do not arrive at another checkpoint.",
                "Leave out --tied reference.",
            )

    def _is_resized(self, parameter: Parameter, shape: tuple[int, ...]) -> bool:
        table = parameter.name in self._weights.tables
        return table and bool(shape) and shape[1:] == parameter.shape[1:]

    def _other_tokens(self, vocabulary: Mapping[str, int] | None) -> list[str]:
        if vocabulary is None:
            return []
        theirs = self.checkpoint.load_tokenizer().get_vocab()
        other = [
            f"{token!r} ({theirs[token]}, here {number})"
            for token, number in sorted(vocabulary.items(), key=lambda item: item[1])
            if theirs.get(token, number) != number
        ]
        return [f"has other tokens for {listed(other, _LISTED)}"] if other else []


def _on_disk(checkpoint: Checkpoint, weights: Weights) -> dict[str, Path]:
    """The file that holds each tensor, or nothing where the names there are not the model's."""
    folder, adapter = checkpoint.folders
    if adapter is not None:
        return {}
    contents = vet_model(folder, trust_remote_code=checkpoint.trust_remote_code)
    if contents.quantisation is not None:
        return {}
    where = {name: path for path in contents.weights for name, _, _ in read_header(path)}
    # Older models keep the constants of their rotary embeddings among the weights.
    where = {n: p for n, p in where.items() if not n.endswith("rotary_emb.inv_freq")}
    named = all(any(name in where for name in p.names) for p in weights.parameters)
    return where if named and where.keys() <= weights.names else {}


def _narrow(tensor: Tensor) -> Tensor:
    """The same values in the narrowest float type that has them exactly."""
    for dtype in (torch.bfloat16, torch.float16):
        narrow = tensor.to(dtype)
        if torch.equal(narrow.to(tensor.dtype), tensor):
            return narrow
    return tensor
