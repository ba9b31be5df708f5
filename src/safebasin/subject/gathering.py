"""Statistics of every linear layer over rows of conversation, in as many passes as memory asks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from safebasin.engines.padding import first_batch, padded, rows_together
from safebasin.errors import DataError, EngineError, UsageError
from safebasin.subject.encoding import IGNORED, Encoded
from safebasin.subject.experts import Take, experts_noted
from safebasin.subject.hooks import hooked
from safebasin.subject.linear import Linear
from safebasin.subject.passes import Make, Passes, that_fit, without_logits
from safebasin.subject.rows import Row
from safebasin.subject.statistics import Statistic
from safebasin.subject.subject import Subject

LOG = logging.getLogger(__name__)

Where = Literal["prompt", "last", "answer", "all"]
Loss = Literal["sum", "mean"]


def gather(
    subject: Subject,
    rows: Sequence[Row],
    make: Make,
    *,
    where: Where = "prompt",
    gradients: Literal[False] | Loss = False,
    layers: Sequence[Linear] | None = None,
    at_once: int | None = None,
    batch: int | None = None,
) -> Iterator[tuple[Linear, Statistic]]:
    """A statistic of each linear layer over the rows, as it is complete.

    make       makes the statistic of a layer, which then sees each row once: `InputNorm` does
    where      at which tokens. "answer": the tokens of answers themselves, as Wei et al.'s code
               has it (2402.05162), not the ones before, which predict them; "prompt": all others;
               "last": the last token before the last answer; "all": every token of the row
    gradients  those of the row's loss -Σ log p(token | all before) over the tokens of its answers,
               their "sum" or their "mean"; False for none
    layers     those of `subject.linear`, all by default
    at_once    how many layers in one pass over the rows; by default as many as memory holds
    batch      how many rows at a time; by default what memory holds in a pass over all layers,
               so that it does not depend on how many passes there are, at most 8. Rows share one
               where padding does not change what the model computes, which is tried out first

    A layer that a row's tokens never reach, such as an expert, does not see the row. What flows is
    float32 on the model's device. Raises DataError where there are no rows or one does not fit,
    and EngineError where a loss or a gradient is not finite or a layer's tokens cannot be told.
    """
    if not rows:
        raise DataError("There are no rows to gather statistics of.", "Give at least one.")
    if where not in get_args(Where):
        raise UsageError(
            f"Tokens cannot be chosen by '{where}'.", f"Give one of {', '.join(get_args(Where))}."
        )
    if at_once is not None and at_once < 1:
        raise UsageError(f"{at_once} layers at once are none.", "Give a number from 1 up.")
    chosen = tuple(subject.linear if layers is None else layers)
    return _gather(subject, rows, make, where, gradients or None, chosen, at_once, batch)


def _gather(
    subject: Subject,
    rows: Sequence[Row],
    make: Make,
    where: Where,
    loss: Loss | None,
    layers: Sequence[Linear],
    at_once: int | None,
    batch: int | None,
) -> Iterator[tuple[Linear, Statistic]]:
    encoded = subject.encode(rows)
    together = rows_together(
        subject.model, [one.ids for one in encoded], subject.pad_token, "right"
    )
    lengths = [len(one.ids) for one in encoded]
    plan = Passes.of(
        subject, layers, make, max(lengths), loss is not None, at_once=at_once, batch=batch
    )
    LOG.info("%d layers over %d rows: %s", len(layers), len(rows), plan)
    waiting = list(layers)
    while waiting:
        group = that_fit(subject, waiting, make, at_once)
        del waiting[: len(group)]
        LOG.info("a pass over %d rows for %d layers", len(rows), len(group))
        left = sorted(range(len(rows)), key=lambda i: lengths[i])
        while left:
            at_hand = first_batch(left, lengths, plan.batch, together)
            del left[: len(at_hand)]
            one = _Pass(subject, [encoded[i] for i in at_hand], tuple(group), where, loss)
            one.run([rows[i].where for i in at_hand])
            one.deliver(group)
        yield from group.items()


@dataclass
class _Flow:
    """What one call of a layer was given at a row's tokens, and the gradient of what it gave."""

    x: Tensor
    grad: Tensor | None = None


@dataclass
class _Pass:
    """One batch through the model, and what flows through the layers at the wanted tokens."""

    subject: Subject
    encoded: Sequence[Encoded]
    layers: Sequence[Linear]
    where: Where
    loss: Loss | None
    flows: dict[tuple[Linear, int], list[_Flow]] = field(default_factory=dict)

    def run(self, places: Sequence[str]) -> None:
        """Raises EngineError, naming the place of a row, for a loss that is not finite."""
        model = self.subject.model
        ids, mask = padded([one.ids for one in self.encoded], self.subject.pad_token, "right")
        device = model.device
        positions = [positions_of(one, self.where).to(device) for one in self.encoded]
        shape = ids.shape
        hooks = [
            (module, partial(self._hook, layer, shape, positions))
            for layer in self.layers
            if layer.expert is None
            for module in layer.modules
        ]
        tokens = [row * shape[1] + own for row, own in enumerate(positions)]
        experts = experts_noted(model, self.layers, tokens, ids.numel(), self._note)
        with torch.set_grad_enabled(self.loss is not None), hooked(hooks), experts:
            known = {} if self.loss is not None else without_logits(model)
            logits = model(
                input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False, **known
            ).logits
            if self.loss is None:
                return
            losses = [
                _loss(found, one, self.loss)
                for found, one in zip(logits, self.encoded, strict=True)
            ]
            for place, found in zip(places, losses, strict=True):
                if not bool(found.isfinite()):
                    raise EngineError(
                        f"{place}: the loss of the answer is {found.item()}.",
                        "Load the model in float32, or leave out the row.",
                    )
            torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]

    def deliver(self, statistics: dict[Linear, Statistic]) -> None:
        """Show each statistic what flowed, one row after another."""
        for layer, statistic in statistics.items():
            for row in range(len(self.encoded)):
                flows = self.flows.pop((layer, row), [])
                if not flows:
                    continue
                x = torch.cat([flow.x for flow in flows])
                grad = None
                if self.loss is not None:
                    grads = [flow.grad for flow in flows]
                    # Of what the loss does not depend on there is no gradient.
                    grad = torch.cat(
                        [
                            flow.x.new_zeros(len(flow.x), layer.outputs) if one is None else one
                            for one, flow in zip(grads, flows, strict=True)
                        ]
                    )
                    if not bool(grad.isfinite().all()):
                        raise EngineError(
                            f"The gradients that reach '{layer.name}' are not finite.",
                            "Load the model in float32, or leave out what it cannot bear.",
                        )
                statistic.see(x, grad)

    def _hook(
        self,
        layer: Linear,
        shape: torch.Size,
        positions: Sequence[Tensor],
        module: nn.Module,
        given: Any,
        out: Tensor,
    ) -> Tensor:
        x = given[0]
        if x.shape[:-1].numel() != shape.numel():
            raise EngineError(
                f"'{layer.name}' is given {x.shape[:-1].numel()} of {shape.numel()} tokens, and "
                "which ones cannot be told.",
                "Leave it out: Subject.load(..., exclude=[...]).",
            )
        takes: list[Take] = [
            partial(_at, shape=shape, row=row, positions=own) for row, own in enumerate(positions)
        ]
        return self._note(layer, out, [(row, take(x), take) for row, take in enumerate(takes)])

    def _note(
        self, layer: Linear, out: Tensor, parts: Sequence[tuple[int, Tensor, Take]]
    ) -> Tensor:
        flows = [(_Flow(x.detach().float()), take) for _, x, take in parts]
        for (row, _, _), (flow, _) in zip(parts, flows, strict=True):
            self.flows.setdefault((layer, row), []).append(flow)
        if self.loss is None:
            return out

        def fill(grad: Tensor) -> None:
            for flow, take in flows:
                flow.grad = take(grad).float()

        if out.requires_grad:
            out.register_hook(fill)  # type: ignore[no-untyped-call]
            return out
        # The first of the graph: what follows may write to it, which no leaf bears.
        leaf = out.detach().requires_grad_()
        leaf.register_hook(fill)  # type: ignore[no-untyped-call]
        return leaf.clone()


def _at(tensor: Tensor, *, shape: torch.Size, row: int, positions: Tensor) -> Tensor:
    return tensor.reshape(*shape, -1)[row, positions]


def positions_of(encoded: Encoded, where: Where) -> Tensor:
    """The places of the wanted tokens of a row, ascending."""
    learnt = [label != IGNORED for label in encoded.labels]
    places = range(len(learnt))
    if where == "all":
        return torch.tensor(places)
    if where == "last":
        starts = [i for i in places if i and learnt[i] and not learnt[i - 1]]
        if not starts:
            raise DataError(
                "A row begins with its answer, so that no token is before it.",
                "Give rows with prompts, or a chat template with --template FILE.",
            )
        return torch.tensor(starts[-1:]) - 1
    return torch.tensor([i for i in places if learnt[i] == (where == "answer")], dtype=torch.long)


def _loss(logits: Tensor, encoded: Encoded, loss: Loss) -> Tensor:
    """-Σ log p(token | all before), or its mean, over the answer's tokens: float32 []."""
    labels = torch.tensor(encoded.labels[1:], device=logits.device)
    logits = logits[: len(labels)].float()
    return nn.functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction=loss)
