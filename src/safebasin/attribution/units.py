"""Neurons of MLPs and heads of attention as units: what each is worth, and models without some."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from safebasin.attribution.base import NO_ROWS, Gives, made_of, require_rows
from safebasin.attribution.masks import count_of, least_share
from safebasin.attribution.refusing import Objective, Refusing, openers_of
from safebasin.attribution.snip import Snip
from safebasin.attribution.wanda import Wanda
from safebasin.directions import Pruned
from safebasin.engines.model_shape import text_config
from safebasin.errors import CheckpointError, DirectionError, UsageError
from safebasin.subject.gathering import gather
from safebasin.subject.linear import Linear
from safebasin.subject.rows import Rows
from safebasin.subject.statistics import MeanState
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from safebasin.weights.projections import Writer, writers
from safebasin.weights.tensor_files import write_tensors

LOG = logging.getLogger(__name__)

Of = Literal["heads", "neurons"]
By = Literal["mean-ablation", "zero-ablation", "snip", "wanda"]
Unit = tuple[int, int]
"""The block and the number of a neuron or head in it."""

SUMMED: tuple[By, ...] = ("snip", "wanda")
OF_FIRST_TOKENS: tuple[Objective, ...] = ("first-token", "learnt-first-token")

MOST_ABLATED = 4096
"""So many units at most are ablated one by one: each takes a pass over all prompts."""


@dataclass(frozen=True)
class Places:
    """Where the units of a model are: the matrix that each block's units write with.

    Unit k of a block is `width` columns of that matrix, from k·width on: of attention's output the
    columns that belong to a head, of the MLP's output one. To zero them removes the unit, exactly.
    The authors' code (Wei et al., arXiv 2402.05162) zeroes columns of q, k, v and rows of o, which
    are features of the residual stream and belong to no head.
    """

    of: Of
    layers: Mapping[int, Linear]
    width: int

    @classmethod
    def among(cls, subject: Subject, of: Of) -> Places:
        """Raises CheckpointError where the matrices are not known, and UsageError for others."""
        if of not in get_args(Of):
            raise UsageError(f"There are no units '{of}'.", "Give heads or neurons.")
        kind: Writer = "attention" if of == "heads" else "mlp"
        own = {one.name for one in writers(subject.weights.parameters, kind)}
        layers = {
            one.parameter.layer or 0: one for one in subject.linear if one.parameter.name in own
        }
        if not layers:
            known = "Give a model whose blocks are named as those of Llama, Qwen or GPT-2."
            if kind == "mlp" and any(one.expert is not None for one in subject.linear):
                known = "Give heads: the neurons of experts are not scored."
            raise CheckpointError(
                f"Which matrices the {of} of this model write with is not known.", known
            )
        others = sorted({one.parameter.layer or 0 for one in subject.linear} - layers.keys())
        if others:
            LOG.info("no %s are known in blocks %s", of, ", ".join(map(str, others)))
        width = 1
        if of == "heads":
            heads = int(text_config(subject.model).num_attention_heads)
            [inputs, *more] = {one.inputs for one in layers.values()}
            if more or inputs % heads:
                raise CheckpointError(
                    f"{heads} heads do not share the {inputs} inputs of attention's output evenly.",
                    "Give neurons.",
                )
            width = inputs // heads
        return cls(of, dict(sorted(layers.items())), width)

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(
            (block, unit)
            for block, layer in self.layers.items()
            for unit in range(layer.inputs // self.width)
        )

    def columns(self, unit: int) -> slice:
        """The columns of a unit in [out, in]."""
        return slice(unit * self.width, (unit + 1) * self.width)

    def mask(self, chosen: Sequence[Unit], *, name: str = "units") -> Mask:
        """The weights that removing these units zeroes: the columns that they write with."""
        tensors = {}
        for block, layer in self.layers.items():
            whole = torch.zeros(layer.parameter.shape, dtype=torch.bool)
            for own, unit in chosen:
                if own == block:
                    layer.of(whole)[:, self.columns(unit)] = True
            tensors[layer.parameter.name] = whole
        return Mask(tensors, name=name)


@dataclass(frozen=True)
class UnitScores:
    """How much each unit matters, the more the higher.

    scores   by block: float32 [units]
    once     whether the rows of utility have no scores of their own
    """

    name: str
    places: Places
    scores: Mapping[int, Tensor]
    found_by: Mapping[str, Any]
    once: bool = False

    def spec(self) -> dict[str, Any]:
        return dict(self.found_by)

    def top(self, share: float) -> tuple[Unit, ...]:
        """The ⌊share·n⌋ of all n units with the highest scores, from the highest on.

        Of equal scores the first in the model's order. Raises UsageError for less than one unit.
        """
        if not 0 <= share <= 1:
            raise UsageError(f"A share of {share} is none.", "Give one from 0 to 1.")
        units = self.places.units
        count = count_of(share, len(units))
        if share and not count:
            raise UsageError(
                f"A share of {share:g} is less than one of {len(units)} {self.places.of}.",
                f"Give {least_share(len(units))} or more.",
            )
        ordered = sorted(units, key=lambda one: -float(self.scores[one[0]][one[1]]))
        return tuple(ordered[:count])

    def save(self, path: Path) -> Path:
        """Write them as safetensors, one tensor a block; RunError where that cannot be."""
        return write_tensors(path, {f"block.{block}": one for block, one in self.scores.items()})


class Units:
    """What each head of attention, or neuron of an MLP, is worth (Wei et al., Sec. 3 and App. C).

    A unit is the columns of its block's output matrix that it writes with (`Places`).

    by="mean-ablation"  the mean probability of a refusal's first token on the prompts of `safety`,
                        less the same with what the unit gives replaced by its mean over the prompt
                        tokens of `utility` (of `safety` where there is none)
    by="zero-ablation"  the same with the unit's columns zero, which is a direction (`Pruned`)
    by="snip", "wanda"  the sum of the scores of the weights that its removal zeroes

    objective   of the ablations: "first-token", or "learnt-first-token", of the first tokens of the
                model's own refusals of both sets

    A mean needs a bias where most models have none, so mean ablation is not a change of weights but
    of what flows (`ablated`). Grouped queries share keys and values: a head is a query's.
    """

    kind: ClassVar[str] = "units"
    reference: ClassVar[str] = "Wei et al., ICML 2024, arXiv 2402.05162, Sec. 3 and App. C"
    gives: ClassVar[Gives] = "units"

    def __init__(
        self, of: Of = "heads", by: By = "mean-ablation", objective: Objective = "first-token"
    ) -> None:
        if of not in get_args(Of):
            raise UsageError(f"There are no units '{of}'.", "Give heads or neurons.")
        if by not in get_args(By):
            raise UsageError(
                f"Units are not scored by '{by}'.", f"Give one of {', '.join(get_args(By))}."
            )
        if objective not in OF_FIRST_TOKENS or (by in SUMMED and objective != OF_FIRST_TOKENS[0]):
            raise UsageError(
                f"Units are not scored by '{by}' with '{objective}'.",
                f"Give {' or '.join(OF_FIRST_TOKENS)} with an ablation.",
            )
        self.of: Of = of
        self.by: By = by
        self.objective: Objective = objective

    def spec(self) -> dict[str, Any]:
        told = {} if self.objective == OF_FIRST_TOKENS[0] else {"objective": self.objective}
        return {"kind": self.kind, "of": self.of, "by": self.by, **told}

    def locate(self, subject: Subject, safety: Rows, utility: Rows = NO_ROWS) -> UnitScores:
        """Raises UsageError where more than 4096 units would be ablated one by one."""
        require_rows(safety, utility)
        places = Places.among(subject, self.of)
        if self.by in SUMMED:
            scores = self._summed(subject, places, safety)
        else:
            scores = self._ablated(subject, places, safety, utility)
        for block, one in scores.items():
            if not bool(one.isfinite().all()):
                raise DirectionError(
                    f"The scores of the {self.of} of block {block} are not finite.",
                    "Load the model in float32.",
                )
        found_by = made_of(self, subject, safety)
        if self.by == "mean-ablation" and len(utility):
            found_by["others"] = {
                "name": utility.name, "sha256": utility.sha256, "n": len(utility),
            }  # fmt: skip
        return UnitScores(self.kind, places, scores, found_by, once=self.by not in SUMMED)

    def _summed(self, subject: Subject, places: Places, rows: Rows) -> dict[int, Tensor]:
        method = Snip() if self.by == "snip" else Wanda()
        weights = method.locate(subject, rows)
        scores = {}
        for block, layer in places.layers.items():
            columns = layer.of(weights.tensors[layer.parameter.name]).double().sum(0)
            scores[block] = columns.reshape(-1, places.width).sum(1).float().cpu()
        return scores

    def _ablated(
        self, subject: Subject, places: Places, safety: Rows, utility: Rows
    ) -> dict[int, Tensor]:
        units = places.units
        if len(units) > MOST_ABLATED:
            raise UsageError(
                f"{len(units)} {self.of} would be ablated one by one.",
                f"Give units:{self.of},wanda, which takes one pass.",
            )
        openers = openers_of(subject, self.objective, safety, utility)
        asked = Refusing(subject, safety, self.objective, openers)
        before = float(asked.each().mean())
        without: Callable[[Unit], Any] = partial(_zeroed, subject, places)
        if self.by == "mean-ablation":
            means = mean_inputs(subject, places, utility if len(utility) else safety)
            without = partial(_one_ablated, places, means)
        scores = {
            block: torch.zeros(layer.inputs // places.width)
            for block, layer in places.layers.items()
        }
        LOG.info(
            "ablating %d %s one by one; the mean probability of a refusal's first token is %.3g",
            len(units), self.of, before,
        )  # fmt: skip
        for block, unit in units:
            with without((block, unit)):
                scores[block][unit] = before - float(asked.each().mean())
        return scores


def mean_inputs(subject: Subject, places: Places, rows: Rows) -> dict[int, Tensor]:
    """By block the mean of what enters the units' output matrix at the tokens of prompts: [in]."""
    layers = list(places.layers.values())
    found = {
        layer.parameter.layer or 0: mean.result()
        for layer, mean in gather(subject, rows.rows, MeanState, where="prompt", layers=layers)
    }
    return {block: found[block] for block in places.layers}


@contextmanager
def ablated(places: Places, chosen: Sequence[Unit], means: Mapping[int, Tensor]) -> Iterator[None]:
    """While the context lasts, what these units give is their mean, at every token.

    With no units the model is the model, bit for bit, and so it is afterwards.
    """
    with ExitStack() as stack:
        for block in dict.fromkeys(block for block, _ in chosen):
            columns = torch.zeros(places.layers[block].inputs, dtype=torch.bool)
            for own, unit in chosen:
                if own == block:
                    columns[places.columns(unit)] = True
            hook = partial(_replaced, columns, means[block])
            for module in places.layers[block].modules:
                stack.callback(module.register_forward_pre_hook(hook).remove)
        yield


def _replaced(columns: Tensor, mean: Tensor, module: nn.Module, given: Any) -> Any:
    x, *others = given
    return (torch.where(columns.to(x.device), mean.to(x.device, x.dtype), x), *others)


def _one_ablated(places: Places, means: Mapping[int, Tensor], unit: Unit) -> Any:
    return ablated(places, [unit], means)


def _zeroed(subject: Subject, places: Places, unit: Unit) -> Any:
    return subject.weights.displaced([(1.0, Pruned(places.mask([unit]), subject.weights))])
