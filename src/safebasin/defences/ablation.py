"""Direction ablation: the attack that every defence is tried against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from safebasin.checkpoint import Checkpoint
from safebasin.defences.models import held, named, require_finite, told
from safebasin.defences.refusal_direction import Candidate, best, candidates
from safebasin.directions import Held, Toward
from safebasin.engines.model_shape import width
from safebasin.errors import CheckpointError, UsageError
from safebasin.subject.hooks import hooked
from safebasin.subject.row_sources import rows_of
from safebasin.subject.rows import Rows
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject
from safebasin.weights import Direction
from safebasin.weights.parameters import Parameter

WRITERS = (
    "o_proj", "down_proj", "out_proj", "c_proj", "dense", "dense_4h_to_h", "fc2", "w2", "wo",
)  # fmt: skip
"""What modules are called that write to the residual stream, in the models of transformers."""

Side = Literal["rows", "columns"]

LEFT = 1e-3
"""How much of the direction may be left in a state, as a share of its norm."""


class Ablation:
    """W - r·rᵀ·W for every matrix that writes to the residual stream: no state has a part in r.

    r is the unit refusal direction: the difference of mean states of harmful and of harmless
    prompts, at the block and token that `candidates` and `best` choose, or at the last token at the
    entrance of the `block` that is given (Arditi et al., NeurIPS 2024, arXiv 2406.11717, Sec. 2.4
    and 4.1). Moved are the tables of tokens and of positions, the attention's and the MLP's output
    matrices, and their biases; an output layer that is tied to the table moves with it. This is no
    defence but the attack that one has to withstand: `harmful` are rows with refusals as answers.

    With `base` the model is W_base + λ·(W - W_base) before that, `scale` being λ: the direction is
    found there, and 1 along what `direction` gives is both done.

    Raises UsageError for a scale that is not finite or has no base, for less than one token, and
    what `candidates` and `best` raise; CheckpointError where the direction is still in the states,
    as with blocks that norm what they write.
    """

    kind: ClassVar[str] = "ablation"
    reference: ClassVar[str] = "Arditi et al., NeurIPS 2024, arXiv 2406.11717, Sec. 4.1"

    def __init__(
        self,
        harmful: Rows | str,
        harmless: Rows | str,
        block: int | None = None,
        tokens: int | None = None,
        base: Checkpoint | str | None = None,
        scale: float = 1.0,
    ) -> None:
        require_finite(scale=scale)
        if base is None and scale != 1:
            raise UsageError(
                f"The model cannot be scaled by {scale:g} without the base that it came from.",
                "Give the base, or leave out the scale.",
            )
        if tokens is not None and tokens < 1:
            raise UsageError(f"{tokens} last tokens cannot be looked at.", "Give at least 1.")
        self.harmful, self.harmless = (
            rows_of(one, 0) if isinstance(one, str) else one for one in (harmful, harmless)
        )
        self.block, self.tokens = block, tokens
        self.base, self.scale = None if base is None else named(base), scale
        self.candidates: tuple[Candidate, ...] = ()
        self.chosen: Candidate | None = None

    def spec(self) -> dict[str, Any]:
        """The rows by digest, the base, and every setting."""
        rows = {
            key: {"name": one.name, "sha256": one.sha256, "n": len(one)}
            for key, one in (("harmful", self.harmful), ("harmless", self.harmless))
        }
        settings = {"block": self.block, "tokens": self.tokens, "scale": self.scale}
        return {"kind": self.kind, **rows, **told(base=self.base), **settings}

    def found(self) -> dict[str, Any]:
        """What `direction` last chose, and all that it chose from."""
        chosen = None if self.chosen is None else self.chosen.to_json()
        return {"chosen": chosen, "candidates": [one.to_json() for one in self.candidates]}

    def direction(self, subject: Subject) -> Direction:
        """W_λ - r·rᵀ·W_λ - W, in float64 and rounded once; `found` tells what r is."""
        before = self._before(subject)
        written = _written(subject)
        name = f"{self.kind}-{self.scale:g}" if self.base else self.kind

        @contextmanager
        def at(vector: Tensor | None) -> Iterator[None]:
            step = before if vector is None else _without(name, subject, before, written, vector)
            with subject.weights.displaced([] if step is None else [(1.0, step)]):
                yield

        tokens = 1 if self.tokens is None and self.block is not None else self.tokens
        self.candidates = candidates(subject, self.harmful, self.harmless, at, tokens, self.block)
        self.chosen = best(self.candidates) if self.block is None else self.candidates[-1]
        with at(self.chosen.vector):
            _require_gone(subject, self.harmful, self.chosen.vector)
        return _without(name, subject, before, written, self.chosen.vector)

    def _before(self, subject: Subject) -> Held | None:
        """(λ - 1)·(W - W_base); None without a base."""
        if self.base is None:
            return None
        back = Toward(self.base, subject.weights)

        def step(parameter: Parameter) -> Tensor | None:
            found = back.tensor(parameter)
            return None if found is None else found.double().mul_(1 - self.scale).float()

        return held("scaled", subject, step)


def _without(
    name: str, subject: Subject, before: Held | None, written: Mapping[str, Side], vector: Tensor
) -> Held:
    """The whole step to the scaled model without the direction."""
    unit = vector / vector.norm()

    def step(parameter: Parameter) -> Tensor | None:
        first = None if before is None else before.tensor(parameter)
        if parameter.name not in written:
            return first
        own = subject.weights.pristine(parameter.name).double()
        if first is not None:
            own = own + first.to(own.device)
        r = unit.to(own.device)
        parts = []
        for one in parameter.split(own):
            if written[parameter.name] == "columns":
                one = one.T
            # Each row is what is written for one token or one input.
            lost = torch.outer(one @ r, r) if one.ndim == 2 else (one @ r) * r
            parts.append(lost.T if written[parameter.name] == "columns" else lost)
        removed = torch.stack(parts).reshape(parameter.shape)
        return (first.double().to(own.device) - removed if first is not None else -removed).float()

    return held(name, subject, step)


def _written(subject: Subject) -> dict[str, Side]:
    """The parameters that write to the residual stream, and where their written vectors lie."""
    model, size = subject.model, width(subject.model)
    found: dict[str, Side] = {}
    modules = dict(model.named_modules())
    linear = {one.parameter.name: one for one in subject.linear}
    for parameter in subject.weights.parameters:
        for name in parameter.names:
            owner, _, leaf = name.rpartition(".")
            module = modules[owner]
            if isinstance(module, nn.Embedding) and parameter.shape[-1] == size:
                found[parameter.name] = "rows"
                break
            called = owner.rpartition(".")[2] if leaf in ("weight", "bias") else leaf
            if called.removesuffix("_bias") not in WRITERS or parameter.layer is None:
                continue
            matrix = parameter.matrix
            if len(matrix.shape) == 1 and matrix.shape == (size,):
                found[parameter.name] = "rows"
            elif parameter.name in linear and linear[parameter.name].outputs == size:
                found[parameter.name] = "rows" if parameter.output_dim == 1 else "columns"
    return found


def _require_gone(subject: Subject, rows: Rows, vector: Tensor) -> None:
    """Raise CheckpointError where a block's state still has a part in the direction."""
    unit, shares = vector / vector.norm(), []

    def keep(_: nn.Module, given: object, out: Tensor | tuple[Tensor, ...]) -> None:
        state = (out[0] if isinstance(out, tuple) else out).double().cpu()
        shares.append(float(((state @ unit).abs() / state.norm(dim=-1).clamp_min(1e-30)).max()))

    [encoded] = subject.encode(rows.rows[:1])
    ids = torch.tensor([encoded.ids], device=subject.model.device)
    with torch.no_grad(), hooked([(block, keep) for block in blocks_of(subject)]):
        subject.model(input_ids=ids, use_cache=False)
    if max(shares) > LEFT:
        raise CheckpointError(
            f"Of the direction {100 * max(shares):.2g} % of a state is left in "
            f"'{subject.checkpoint.name}': something else writes to its residual stream.",
            "Select all weights; models that norm what a block writes cannot be ablated so.",
        )
