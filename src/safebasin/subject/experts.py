"""What flows through experts whose matrices are stacked in one tensor.

Such a module multiplies with slices of its tensors itself, in an order of its own. But no token
touches another in it: so its forward is called once for the tokens of each row, and every product
with a slice of one of its tensors is seen as it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from safebasin.errors import EngineError
from safebasin.subject.linear import Linear
from safebasin.weights.parameters import Parameter

Take = Callable[[Tensor], Tensor]
"""From what a product gives, or its gradient, to the part of it that belongs to x: [tokens, out]"""

Note = Callable[[Linear, Tensor, Sequence[tuple[int, Tensor, Take]]], Tensor]
"""Told of each product: (layer, what it gives, (row, x [tokens, in], take) of each row in it).

What it returns takes the place of what the product gave.
"""

_PRODUCTS = {
    functional.linear, torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__,
}  # fmt: skip


class _Products(TorchFunctionMode):
    """Notes what is multiplied with a matrix of one of the layers."""

    def __init__(self, layers: Sequence[Linear], row: int, note: Note) -> None:
        super().__init__()
        self._row, self._note = row, note
        self.seen = False
        self._layers = {(one.parameter.name, one.expert): one for one in layers}
        self._homes = {
            _storage(one.modules[0].get_parameter(one.parameter.name.rpartition(".")[2])): one
            for one in layers
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in _PRODUCTS and len(args) > 1 and isinstance(args[1], Tensor):
            home = self._homes.get(_storage(args[1]))
            if home is not None:
                self.seen = True
                return self._noted(home.parameter, args[0], args[1], out)
        return out

    def _noted(self, parameter: Parameter, x: Tensor, weight: Tensor, out: Tensor) -> Tensor:
        if weight.dim() == 2:
            expert = weight.storage_offset() // weight.numel()
            layer = self._layers.get((parameter.name, expert))
            return out if layer is None else self._note(layer, out, [(self._row, x, _whole)])
        for expert in range(len(weight)):
            # All at once: zeros stand for the tokens that are not routed there.
            layer = self._layers.get((parameter.name, expert))
            routed = x[expert].any(-1).nonzero().flatten()
            if layer is not None and len(routed):
                take = partial(_part, expert=expert, tokens=routed)
                out = self._note(layer, out, [(self._row, take(x), take)])
        return out


def _whole(tensor: Tensor) -> Tensor:
    return tensor


def _part(tensor: Tensor, *, expert: int, tokens: Tensor) -> Tensor:
    return tensor[expert, tokens]


@contextmanager
def experts_noted(
    model: Any, layers: Sequence[Linear], tokens: Sequence[Tensor], total: int, note: Note
) -> Iterator[None]:
    """Note what flows through those of the layers that belong to stacked experts.

    `tokens` are the places of each row's own tokens among the `total` ones of a batch, the padding
    included. Raises EngineError where an expert module multiplies in a way that is not seen.
    """
    stacks: dict[nn.Module, list[Linear]] = {}
    for layer in layers:
        if layer.expert is not None:
            stacks.setdefault(layer.modules[0], []).append(layer)
    if not stacks:
        yield
        return
    can_set = model._can_set_experts_implementation()
    before = model.get_experts_implementation() if can_set else None
    with ExitStack() as stack:
        if can_set:  # all others multiply with copies of the matrices, or in a kernel
            model.set_experts_implementation("eager")
            stack.callback(model.set_experts_implementation, before)
        for module, own in stacks.items():
            stack.callback(_give_back, module, module.__dict__.get("forward"))
            module.forward = partial(_row_by_row, module.forward, own, tokens, total, note)
        yield


def _give_back(module: nn.Module, forward: Any) -> None:
    del module.forward
    if forward is not None:  # it had one of its own
        module.forward = forward


def _row_by_row(
    forward: Any,
    layers: Sequence[Linear],
    tokens: Sequence[Tensor],
    total: int,
    note: Note,
    hidden: Tensor,
    *given: Any,
    **named: Any,
) -> Tensor:
    """The module's forward, once for the tokens of each row and once for all others."""
    if hidden.dim() != 2 or len(hidden) % total:
        raise EngineError(
            f"Which rows the tokens at '{layers[0].parameter.name}' belong to cannot be told.",
            "Leave them out: Subject.load(..., exclude=[...]).",
        )
    # Some modules are given all tokens once for every expert.
    starts = torch.arange(0, len(hidden), total, device=hidden.device)[:, None]
    others = torch.ones(total, dtype=torch.bool, device=hidden.device)
    for own in tokens:
        others[own] = False
    result = None
    for row, own in enumerate([*tokens, others.nonzero().flatten()]):
        if not len(own):
            continue
        places = (starts + own).flatten()
        parts = [
            one[places]
            if isinstance(one, Tensor) and one.dim() and len(one) == len(hidden)
            else one
            for one in (hidden, *given, *named.values())
        ]
        at = 1 + len(given)
        mode = _Products(layers, row, note) if row < len(tokens) else None
        with mode or nullcontext():
            part: Tensor = forward(*parts[:at], **dict(zip(named, parts[at:], strict=True)))
        if mode is not None and not mode.seen:
            raise EngineError(
                f"The experts of '{layers[0].parameter.name}' are multiplied in a way that is not "
                "known here.",
                "Leave them out: Subject.load(..., exclude=[...]).",
            )
        if result is None:
            result = part.new_zeros(len(hidden), *part.shape[1:])
        result = result.index_copy(0, places, part)
    if result is None:
        raise ValueError("a pass without tokens")
    return result


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage().data_ptr())
