"""What the blocks of a model give at the last token of a prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from safebasin.errors import CheckpointError, EngineError
from safebasin.subject.gathering import positions_of
from safebasin.subject.hooks import hooked
from safebasin.subject.passes import without_logits
from safebasin.subject.rows import Row
from safebasin.subject.subject import Subject


def blocks_of(subject: Subject) -> tuple[nn.Module, ...]:
    """The model's blocks, from the first on; CheckpointError where they are in no list."""
    parameter = subject.linear[0].parameter
    prefix, _, _ = parameter.name.partition(f".{parameter.layer}.")
    found = subject.model.get_submodule(prefix)
    if not isinstance(found, nn.ModuleList):
        raise CheckpointError(
            f"The blocks of this model are not in a list at '{prefix}'.",
            "Give a model of transformers whose blocks are in an nn.ModuleList.",
        )
    return tuple(found)


def last_states(subject: Subject, rows: Sequence[Row]) -> Tensor:
    """float64 [rows, blocks, width]: what each block adds up to, before any final norm.

    At the last token before the last answer, which has not seen it. One row at a time, so that
    padding plays no part. Raises DataError for a row that begins with its answer, and EngineError
    where a state is not finite.
    """
    blocks = blocks_of(subject)
    made = torch.empty(0)
    for number, (row, encoded) in enumerate(zip(rows, subject.encode(rows), strict=True)):
        at = int(positions_of(encoded, "last"))
        states: list[Tensor] = []

        def keep(_: nn.Module, given: object, out: Tensor | tuple[Tensor, ...]) -> None:
            whole = out[0] if isinstance(out, tuple) else out
            states.append(whole[0, -1].double().cpu())  # noqa: B023 - called within the turn

        ids = torch.tensor([encoded.ids[: at + 1]], device=subject.model.device)
        with torch.no_grad(), hooked([(block, keep) for block in blocks]):
            subject.model(input_ids=ids, use_cache=False, **without_logits(subject.model))
        found = torch.stack(states)
        if not bool(found.isfinite().all()):
            raise EngineError(
                f"{row.where}: what the blocks give is not finite.",
                "Load the model in float32, or leave out the row.",
            )
        if not number:
            made = torch.empty(len(rows), *found.shape, dtype=torch.float64)
        made[number] = found
    return made
