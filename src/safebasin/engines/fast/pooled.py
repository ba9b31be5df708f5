"""Rows of many points in one batch: the modules that one direction displaces, made ready for it.

For the duration of a pass the modules that own displaced weights get another forward; the weights
themselves stay as they are. A coefficient of 0 adds exact zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from safebasin.directions import Direction
from safebasin.engines.fast.displaced_modules import Part, Tokens, displaced_forward, is_plain
from safebasin.engines.fast.layout import Feed
from safebasin.engines.model_shape import text_config
from safebasin.errors import DirectionError
from safebasin.weights import Weights
from safebasin.weights.parameters import Parameter

PREPARE_TOKENS = 48
"""For how many tokens of a pass displaced weights are worth making."""

READY_TOKENS = 8
"""For how many tokens of a pass ready weights are worth a product of their own."""


@runtime_checkable
class LowRank(Protocol):
    """A direction whose matrices are products, such as an adapter's."""

    def factors(self, parameter: Parameter) -> tuple[Tensor, Tensor] | None:
        """float32 (up [out, rank], down [rank, in]) with up @ down the displacement, or None.

        Both are given for a weight of [out, in]; where `output_dim` is 1 the displacement is the
        transpose of the product.
        """
        ...


def not_poolable(model: Any, parameters: Sequence[Parameter]) -> str | None:
    """Why rows of many points cannot share a batch; None where they can."""
    config = text_config(model)
    for name in ("num_experts", "num_local_experts", "n_routed_experts"):
        if getattr(config, name, None):
            return "the model sends its tokens to different experts"
    for parameter in parameters:
        for name in parameter.names:
            owner, leaf = _owner(model, name)
            if leaf not in ("weight", "bias") or not is_plain(owner):
                return f"'{name}' belongs to a {type(owner).__name__}"
    return None


def direction_bytes(
    parameters: Sequence[Parameter], direction: Direction, dtype: torch.dtype
) -> int:
    """The memory that a direction takes in a pool, in bytes."""
    total = 0
    for parameter in parameters:
        factors = _factors(direction, parameter)
        if factors is not None:
            total += sum(factor.numel() for factor in factors)
        else:
            total += torch.Size(parameter.shape).numel()
    return total * dtype.itemsize


@dataclass
class Pool:
    """One direction in the modules of a model.

    kept     for how many coefficients displaced weights are kept ready, as memory allows
    tokens   the coefficients of the current pass's tokens
    wanted   the same for the tokens that reach the output layer
    forwards the displaced modules, and what they compute for such tokens
    """

    kept: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    wanted: Tokens = field(default_factory=Tokens)
    _parts: list[tuple[nn.Module, Part]] = field(default_factory=list)
    forwards: list[tuple[nn.Module, Callable[..., Tensor]]] = field(default_factory=list)
    _ready: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, model: Any, weights: Weights, direction: Direction, kept: int = 0) -> Pool:
        """Bring a direction to the model's device in the model's dtype."""
        pool = cls(kept)
        parts: dict[int, tuple[nn.Module, Part]] = {}
        for parameter in weights.parameters:
            found = _displacement(model.device, weights, direction, parameter)
            for name in parameter.names if found is not None else ():
                owner, leaf = _owner(model, name)
                _, part = parts.setdefault(id(owner), (owner, Part()))
                if isinstance(found, tuple):
                    part.factors = found
                    pool.kept = 0
                else:
                    setattr(part, leaf, found)
        pool._parts = list(parts.values())
        head = model.get_output_embeddings()
        for owner, part in pool._parts:
            tokens = pool.wanted if owner is head else pool.tokens
            pool.forwards.append((owner, displaced_forward(owner, part, tokens)))
        return pool

    def forget(self) -> None:
        """Drop the displaced weights that are kept ready, as the weights under them change."""
        self._ready.clear()
        for _, part in self._parts:
            part.ready.clear()

    def keep_ready(self, values: Sequence[float]) -> None:
        """Make the displaced weights of these coefficients, of which `kept` stay at most."""
        for value in values:
            if value not in self._ready:
                self._prepare(value)

    def set_column(self, tokens: Tensor, wanted: Tensor) -> None:
        """Set the coefficients [tokens, 1] of the tokens to come, and of those that are wanted."""
        self.tokens.column, self.wanted.column = tokens, wanted

    def arrange(self, feeds: Sequence[Feed], coefficients: Sequence[float]) -> list[int]:
        """Set the coefficients of a pass; returns the order in which its feeds are to be packed.

        Feeds whose displaced weights are ready come first, together.
        """
        counts: dict[float, int] = {}
        for feed, value in zip(feeds, coefficients, strict=True):
            counts[value] = counts.get(value, 0) + len(feed.tokens)
        ready = self._prepared(counts)
        ranks = {value: rank for rank, value in enumerate(ready)}
        order = sorted(range(len(feeds)), key=lambda i: ranks.get(coefficients[i], len(ranks)))
        self.tokens.runs.clear()
        self.wanted.runs.clear()
        tokens = wanted = 0
        for value in ready:
            count = sum(
                feed.wanted for feed, own in zip(feeds, coefficients, strict=True) if own == value
            )
            self.tokens.runs.append((tokens, tokens + counts[value], value))
            self.wanted.runs.append((wanted, wanted + count, value))
            tokens += counts[value]
            wanted += count
        return order

    def _prepared(self, counts: dict[float, int]) -> list[float]:
        """The coefficients, of those with these numbers of tokens, whose weights are ready."""
        for value, count in counts.items():
            if value in self._ready and count >= READY_TOKENS:
                self._ready.remove(value)
                self._ready.append(value)
        for value, count in counts.items():
            if self.kept and count >= PREPARE_TOKENS and value not in self._ready:
                self._prepare(value)
        return [value for value in self._ready if counts.get(value, 0) >= READY_TOKENS]

    @torch.inference_mode()
    def _prepare(self, value: float) -> None:
        if len(self._ready) == self.kept:
            oldest = self._ready.pop(0)
            for _, part in self._parts:
                part.ready.pop(oldest, None)
        for module, part in self._parts:
            part.prepare(module, value)
        self._ready.append(value)


def _owner(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, leaf = name.rpartition(".")
    return model.get_submodule(path), leaf


def _displacement(
    device: torch.device, weights: Weights, direction: Direction, parameter: Parameter
) -> Tensor | tuple[Tensor, Tensor] | None:
    dtype = weights.pristine(parameter.name).dtype
    factors = _factors(direction, parameter)
    if factors is not None and weights.tied == "once":
        up, down = (factor.to(device, dtype) for factor in factors)
        return up, down
    total = None
    for view in (parameter,) if weights.tied == "once" else parameter.each_name():
        step = direction.tensor(view)
        if step is None:
            continue
        if tuple(step.shape) != parameter.shape:
            raise DirectionError(
                f"Direction '{direction.name}' does not fit '{parameter.name}'.",
                "Build the direction for these weights.",
            )
        step = step.to(device)
        total = step if total is None else total + step
    return None if total is None else total.to(dtype)


def _factors(direction: Direction, parameter: Parameter) -> tuple[Tensor, Tensor] | None:
    return direction.factors(parameter) if isinstance(direction, LowRank) else None
