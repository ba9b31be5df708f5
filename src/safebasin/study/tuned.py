"""Models that training made of a base: which they are, how to get to them, where they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_tables import separates_tables, untie_tables
from safebasin.config import ScanConfig
from safebasin.directions import Adapter, Direction, Toward
from safebasin.directions.lora import NotLowRank
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.end_tokens import EndTokens
from safebasin.errors import CheckpointError, DirectionError
from safebasin.plane import Point
from safebasin.study.preparation import load_with
from safebasin.subject.subject import Subject
from safebasin.weights import Weights


def tuned_checkpoint(text: str, base: Checkpoint) -> Checkpoint:
    """The checkpoint that a text names; the folder of an adapter is one over the base."""
    folder = Path(text).expanduser()
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").exists():
        if base.adapter is not None:
            raise DirectionError(
                f"'{base.name}' has an adapter already; '{folder}' is another one.",
                "Give the second model as BASE+ADAPTER.",
            )
        return Checkpoint(base.base, text, base.revision, trust_remote_code=base.trust_remote_code)
    return Checkpoint.parse(text, trust_remote_code=base.trust_remote_code)


def load_base(base: Checkpoint, scan: ScanConfig, tuned: Sequence[Checkpoint] = ()) -> Subject:
    """Load a base with all of its weights, norm layers included.

    Where a tuned model has other values in two tables that the base ties, each of them gets its
    own here, too.
    """

    def whole(model: Any) -> Weights:
        if any(separates_tables(one, model) for one in tuned):
            untie_tables(model)
        return Weights(model, exclude_norms=False)

    return load_with(base, scan, whole)


def direction_to(tuned: Checkpoint, subject: Subject, name: str) -> Direction:
    """The direction whose coefficient 1 is the tuned model.

    An adapter over the loaded base stays low-rank where it is plain LoRA; anything else is the
    difference of the weights, for which an adapter is merged.
    """
    base = subject.checkpoint
    folder, adapter = tuned.folders
    if adapter is not None and base.folders == (folder, None):
        try:
            return Adapter(adapter, subject.weights, name=name, merge=False)
        except NotLowRank as error:
            no_factors = error
        try:
            return Toward(tuned, subject.weights, name=name)
        except CheckpointError:
            # Merging fails, too: then the names that are not there are the plainer reason.
            if "another base" in no_factors.message:
                raise no_factors from None
            raise
    return Toward(tuned, subject.weights, name=name, vocabulary=subject.tokenizer.get_vocab())


def end_at(engine: AnyEngine, places: Mapping[Point, Checkpoint]) -> dict[str, Any]:
    """Have answers where another checkpoint lies end by that one's end tokens.

    Returns what the identity of a run has to hold of it: nothing where all end alike, so that
    the runs of such models stay what they were.
    """
    plain = engine.plain
    at = {point: one.end_tokens() for point, one in places.items()}
    if all(ends == plain.end_tokens for ends in at.values()):
        return {}
    plain.ends = EndTokens(plain.end_tokens, at)
    return {"end_tokens": {point.label: list(ends) for point, ends in at.items()}}
