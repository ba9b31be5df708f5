"""The weights of a model as a point in weight space: named, selected, and displaced in place."""

from __future__ import annotations

import difflib
import hashlib
import logging
import math
import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from safebasin.errors import CheckpointError, DirectionError, UsageError
from safebasin.weights.counted import add_counted, counted
from safebasin.weights.direction import Concurrent, Direction
from safebasin.weights.divided import first_element, has_parts, own, own_of, whole
from safebasin.weights.parameters import Parameter, Survey, layer_set
from safebasin.weights.streaming import add, add_pieces, streams
from safebasin.weights.sums import all_finite, fp32, norm, raw

LOG = logging.getLogger(__name__)

Tied = Literal["once", "reference"]

LARGE = 2**24
"""Fewer weights are displaced before several threads would have begun."""

PAGE = 4096
"""Bytes of memory that a processor maps at least at a time."""


@dataclass
class _Store:
    """The tensors of one model, shared by every selection over it."""

    model: nn.Module
    survey: Survey
    pristine_device: Literal["same", "cpu"]
    pristine: dict[str, Tensor] = field(default_factory=dict)
    versions: dict[str, tuple[int, int]] = field(default_factory=dict)
    norm_of: dict[str, float] = field(default_factory=dict)
    matrix_norms_of: dict[str, tuple[float, ...]] = field(default_factory=dict)
    displaced: bool = False

    @cached_property
    def divided(self) -> bool:
        return has_parts(self.model)

    @cached_property
    def first_name(self) -> dict[str, str]:
        """The first name of the tensor, for every name."""
        return {name: p.name for p in self.survey.parameters.values() for name in p.names}


class Weights:
    """A selection of a model's parameters that can be displaced along directions.

    include, exclude  glob patterns over parameter names; no include takes all
    layers            block indices, as `"4-7,10"` or a collection; parameters outside any block
                      (embeddings, head) are then left out
    exclude_norms     leave out the parameters of norm layers, and any with `norm` in their names,
                      as Peng et al. (2024, arXiv 2405.17374) do
    tied              a tied tensor is displaced `"once"`, under its first name; `"reference"` adds
                      the direction of each of its names, as the authors' code does
    pristine          where the copy of the undisplaced tensors is kept: on the `"same"` device, or
                      on the `"cpu"` (pinned where there is a GPU) to save memory

    Of a model that transformers has divided among processes each of them displaces its own part;
    all have to do the same in the same order.

    The copy is made at the first displacement. Weights must not be changed by anything else from
    then on; where that is seen, the next displacement raises DirectionError.

    Raises UsageError where a pattern or a layer matches nothing, and CheckpointError where the
    model's parameters, selected or not, are quantised, offloaded, of another dtype than float32,
    bfloat16 or float16, or not finite.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        layers: str | Collection[int] | None = None,
        exclude_norms: bool = True,
        tied: Tied = "once",
        pristine: Literal["same", "cpu"] = "same",
    ) -> None:
        self._store = _Store(model, Survey.of(model), pristine)
        self._choose(include, exclude, layers, exclude_norms, tied)
        LOG.info("measuring the weights")
        self._require_finite()

    def select(
        self,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        layers: str | Collection[int] | None = None,
        exclude_norms: bool = True,
    ) -> Weights:
        """Another selection over the same model; it shares the pristine copy."""
        other = object.__new__(Weights)
        other._store = self._store
        other._choose(include, exclude, layers, exclude_norms, self.tied)
        return other

    @property
    def model(self) -> nn.Module:
        """The model whose weights these are."""
        return self._store.model

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The selected parameters in the model's order, a tied one once."""
        return tuple(self._selected.values())

    def views(self) -> tuple[Parameter, ...]:
        """What a direction is asked for: with `tied="reference"` each name on its own."""
        return tuple(view for parameter in self.parameters for view in self._views(parameter))

    @property
    def names(self) -> frozenset[str]:
        """Every name in the model's state, selected or not, with tied names and buffers."""
        buffers = (name for name, _ in self._store.model.named_buffers())
        return frozenset(self._store.first_name) | frozenset(buffers)

    @property
    def tables(self) -> frozenset[str]:
        """The names of the parameters with one row a token: embeddings and output layer."""
        model = self._store.model
        asked = (getattr(model, f"get_{end}put_embeddings", None) for end in ("in", "out"))
        modules = [module for ask in asked if ask is not None and (module := ask()) is not None]
        own = {id(tensor) for module in modules for tensor in module.parameters(recurse=False)}
        named = model.named_parameters(remove_duplicate=False)
        return frozenset(name for name, tensor in named if id(tensor) in own)

    @property
    def device(self) -> torch.device:
        """Where the first of the selected weights is."""
        return self._tensor(self.parameters[0].name).device

    @property
    def numel(self) -> int:
        """The number of selected weights, a tied one counted once."""
        return sum(math.prod(p.shape) for p in self.parameters)

    @property
    def pristine_bytes(self) -> int:
        """The size of the pristine copy of the selection, made already or not."""
        parts = (own(self._tensor(p.name)) for p in self.parameters)
        return sum(part.numel() * part.itemsize for part in parts)

    @property
    def divided(self) -> bool:
        """Whether processes hold parts of the model, which they put together at the same time."""
        return self._store.divided

    def forget_pristine(self) -> None:
        """Give back the memory of the pristine copy; the next displacement makes a new one.

        The weights have to be undisplaced, when they are the pristine ones, bit for bit.
        """
        if self._store.displaced:
            raise DirectionError("The weights are displaced.", "Leave displaced() first.")
        self._store.pristine.clear()
        self._store.versions.clear()

    def __contains__(self, name: object) -> bool:
        """Whether the parameter of that name, or of that tied name, is selected."""
        return self._store.first_name.get(str(name)) in self._selected

    def pristine(self, name: str) -> Tensor:
        """The undisplaced tensor of a parameter, in its own dtype. Not to be written to."""
        first = self._first(name)
        tensor = self._store.survey.tensors[first].detach()
        kept = self._store.pristine.get(first)
        return whole(own(tensor) if kept is None else kept, tensor)

    def norm(self, name: str) -> float:
        """The Frobenius norm of an undisplaced parameter, accumulated in float64."""
        first = self._first(name)
        if first not in self._store.norm_of:
            self._store.norm_of[first] = norm(self.pristine(first))
        return self._store.norm_of[first]

    def matrix_norms(self, parameter: Parameter) -> tuple[float, ...]:
        """The Frobenius norm of each matrix of an undisplaced parameter: one, or one an expert."""
        if parameter.stacked is None:
            return (self.norm(parameter.name),)
        first = self._first(parameter.name)
        if first not in self._store.matrix_norms_of:
            parts = parameter.split(self.pristine(first))
            self._store.matrix_norms_of[first] = tuple(norm(part) for part in parts)
        return self._store.matrix_norms_of[first]

    def spec(self) -> dict[str, Any]:
        """The selection, for a manifest."""
        matrices = sum(parameter.matrices for parameter in self.parameters)
        return {
            **self._asked,
            "tied": self.tied,
            "tensors": len(self._selected),
            # Where experts are stacked, directions are laid expert by expert.
            **({"matrices": matrices} if matrices != len(self._selected) else {}),
            "n": self.numel,
        }

    def checksum(self) -> str:
        """SHA-256 (hex) over every parameter and buffer of the model as it is now, bit for bit."""
        model = self._store.model
        total = hashlib.sha256()
        for name, tensor in sorted([*model.named_parameters(), *model.named_buffers()]):
            total.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
            total.update(raw(whole(own(tensor), tensor)))
        return total.hexdigest()

    @contextmanager
    def displaced(self, terms: Sequence[tuple[float, Direction]]) -> Iterator[None]:
        """The model at W = W0 + Σ c_i·d_i while the context lasts (Peng et al. 2024, Sec. 3).

        Always from the pristine W0, so that a point does not depend on the points visited before.
        The rounding is defined: with the terms sorted by direction name,

            acc = fp32(W0);  acc = fp32(acc + fp32(fp32(c_i)·d_i)) for each i;  W = cast(acc)

        W is written into the storage the model has. On leaving, in whatever way, every tensor
        gets its pristine bits back. Terms with coefficient 0 are dropped; without terms nothing
        is written.

        Raises DirectionError where the weights are displaced already, a coefficient or a result
        is not finite, or a direction does not fit.
        """
        store = self._store
        moves = sorted(((c, d) for c, d in terms if c != 0), key=lambda term: term[1].name)
        for coefficient, direction in moves:
            if not math.isfinite(coefficient):
                raise DirectionError(
                    f"The coefficient of direction '{direction.name}' is {coefficient}.",
                    "Give a finite number.",
                )
        if store.displaced:
            raise DirectionError(
                "The weights are displaced already.", "Give all terms to one displaced()."
            )
        if not moves:
            yield
            return
        self._keep_pristine()
        store.displaced = True
        written: list[str] = []
        try:
            with torch.no_grad():
                self._write(moves, written)
            yield
        finally:
            try:
                self._restore(written)
            except BaseException:
                self._restore(written)  # an interrupt in the middle must not leave a mixture
                raise
            finally:
                store.displaced = False

    def _write(self, moves: Sequence[tuple[float, Direction]], written: list[str]) -> None:
        overflow: dict[torch.device, Tensor] = {}

        def move(parameter: Parameter) -> Tensor | None:
            with torch.no_grad():  # which holds for a thread
                return self._move(parameter, moves, written)

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            each = pool.map if self._by_threads(moves) else map
            for finite in each(move, self.parameters):
                if finite is not None:
                    seen = overflow.get(finite.device)
                    overflow[finite.device] = finite if seen is None else seen & finite
        if not all(bool(finite) for finite in overflow.values()):
            tensors = self._store.survey.tensors
            bad = next(n for n in written if not all_finite(own(tensors[n])))
            raise DirectionError(
                f"The displaced '{bad}' is too large for {self._tensor(bad).dtype}.",
                "Give a smaller radius, or run in float32 or bfloat16.",
            )

    def _by_threads(self, moves: Sequence[tuple[float, Direction]]) -> bool:
        """Whether several threads draw and add: on a CPU most of the time is spent with one."""
        alike = all(isinstance(d, Concurrent) and d.concurrent for _, d in moves)
        return alike and self.device.type == "cpu" and self.numel >= LARGE and not self.divided

    def _move(
        self, parameter: Parameter, moves: Sequence[tuple[float, Direction]], written: list[str]
    ) -> Tensor | None:
        """Displace one parameter: whether it is finite, bool [], or None where it is not moved."""
        tensor = self._store.survey.tensors[parameter.name]
        target, origin = own(tensor), self._store.pristine[parameter.name]
        offset = first_element(tensor)
        drawn = None if offset is None else counted(moves, self._views(parameter), target)
        if drawn is not None and offset is not None:
            if not drawn.terms:
                return None
            written.append(parameter.name)
            return add_counted(target, origin, parameter, drawn, offset)
        pieces = None
        if self.tied == "once" and target.shape == parameter.shape:
            pieces = streams(moves, parameter, target)
        if pieces is not None:
            written.append(parameter.name)
            return add_pieces(target, origin, [(fp32(c), each) for c, each in pieces])
        steps = []
        for coefficient, direction in moves:
            for view in self._views(parameter):
                step = direction.tensor(view)
                if step is not None:
                    _require_fit(step, parameter, direction)
                    steps.append((fp32(coefficient), own_of(step, tensor)))
        if not steps:
            return None
        written.append(parameter.name)
        return add(target, origin, steps)

    def _restore(self, written: Sequence[str]) -> None:
        store = self._store
        with torch.no_grad():
            for name in written:
                own(store.survey.tensors[name]).copy_(store.pristine[name])
                store.versions[name] = _version(own(store.survey.tensors[name]))

    def _keep_pristine(self) -> None:
        store = self._store
        fresh: list[Tensor] = []
        for name, tensor in store.survey.tensors.items():
            if name in store.pristine:
                if store.versions[name] != _version(own(tensor)):
                    raise DirectionError(
                        f"'{name}' was changed by something else since it was first displaced.",
                        "Make a new Weights of the changed model.",
                    )
            elif name in self._selected:
                store.pristine[name] = _copy(own(tensor.detach()), store.pristine_device)
                store.versions[name] = _version(own(tensor))
                fresh.append(own(tensor.detach()))
        if self.device.type == "cpu" and self.numel >= LARGE:
            for each in fresh:  # after all copies, when torch's threads have come to rest
                _have_pages(each)

    def _choose(
        self,
        include: Sequence[str],
        exclude: Sequence[str],
        layers: str | Collection[int] | None,
        exclude_norms: bool,
        tied: Tied,
    ) -> None:
        if isinstance(include, str) or isinstance(exclude, str):
            raise UsageError("A pattern was given by itself.", "Give a list of patterns.")
        if tied not in ("once", "reference"):
            raise UsageError(f"Unknown treatment '{tied}' of ties.", "Give once or reference.")
        self.tied: Tied = tied
        every = self._store.survey.parameters
        for pattern in (*include, *exclude):
            if not any(p.matches([pattern]) for p in every.values()):
                near = difflib.get_close_matches(pattern.strip("*."), self._store.first_name, 3, 0)
                raise UsageError(
                    f"The pattern '{pattern}' matches no parameter of this model.",
                    f"Near names: {', '.join(near)}.",
                )
        blocks = None if layers is None else layer_set(layers, every.values())
        self._selected = {
            name: p
            for name, p in every.items()
            if (not include or p.matches(include))
            and not p.matches(exclude)
            and (blocks is None or p.layer in blocks)
            and not (exclude_norms and name in self._store.survey.norms)
        }
        if not self._selected:
            raise UsageError(
                "The selection leaves no parameter to displace.",
                "Widen the patterns or the layers; norm layers take exclude_norms=False.",
            )
        self._asked = {
            "include": list(include),
            "exclude": list(exclude),
            "layers": None if blocks is None else sorted(blocks),
            "exclude_norms": exclude_norms,
        }

    def _require_finite(self) -> None:
        # Of all parameters: one that does not move spoils every answer just as well.
        for name, tensor in self._store.survey.tensors.items():
            if not all_finite(own(tensor.detach())):
                raise CheckpointError(
                    f"'{name}' holds values that are not finite.", "Give an undamaged checkpoint."
                )

    def _first(self, name: str) -> str:
        try:
            return self._store.first_name[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._store.first_name, 3, 0)
            raise UsageError(
                f"The model has no parameter '{name}'.", f"Near names: {', '.join(near)}."
            ) from None

    def _views(self, parameter: Parameter) -> tuple[Parameter, ...]:
        return (parameter,) if self.tied == "once" else parameter.each_name()

    def _tensor(self, name: str) -> nn.Parameter:
        return self._store.survey.tensors[name]


def _require_fit(step: Tensor, parameter: Parameter, direction: Direction) -> None:
    if tuple(step.shape) != parameter.shape or step.dtype != torch.float32:
        raise DirectionError(
            f"Direction '{direction.name}' gives {step.dtype} of shape {tuple(step.shape)} for "
            f"'{parameter.name}', which needs torch.float32 of shape {parameter.shape}.",
            "Build the direction for these weights.",
        )


def _version(tensor: Tensor) -> tuple[int, int]:
    """Changes whenever the tensor is written to through PyTorch, or moved."""
    return 0 if tensor.is_inference() else tensor._version, tensor.data_ptr()


def _copy(tensor: Tensor, where: Literal["same", "cpu"]) -> Tensor:
    if where == "same" or tensor.device.type == "cpu":
        return tensor.clone()
    kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return kept.copy_(tensor)


def _have_pages(tensor: Tensor) -> None:
    """Write each page of a tensor on the CPU once, as it is, by this thread alone.

    Weights in their own dtype are pages of their file until they are written to. Where several
    threads do that first, each page interrupts them all, which takes longer than to displace.
    """
    if tensor.is_contiguous() and tensor.numel():
        pages = tensor.view(-1).view(torch.uint8).numpy()[::PAGE]
        pages[:] = pages.copy()
