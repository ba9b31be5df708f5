"""The defences that take part in a fine-tuning, as its settings name them."""

from __future__ import annotations

from collections.abc import Sequence

from safebasin.checkpoint import Checkpoint
from safebasin.defences.base import TrainingDefence
from safebasin.defences.derta import Derta
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.models import require_made_for
from safebasin.defences.sppft import Sppft
from safebasin.finetune.settings import FinetuneConfig
from safebasin.subject.row_sources import packaged_refusal, rows_of
from safebasin.weights.masks import Mask


def defences_of(config: FinetuneConfig) -> tuple[TrainingDefence, ...]:
    """Raises DirectionError where a mask cannot be read, and what `rows_of` does."""
    found: list[TrainingDefence] = []
    if config.recipe == "derta":
        own = 1.0 if config.lora else 0.05
        share = own if config.refusal_share is None else config.refusal_share
        word = config.refusal_word or "Sorry"
        found.append(Derta(_refusals(config), word, share, config.seed))
    if config.freeze_blocks is not None:
        found.append(Sppft(config.freeze_blocks))
    if config.freeze_mask is not None:
        found.append(FrozenWeights(Mask.read(config.freeze_mask)))
    return tuple(found)


def require_own_masks(defences: Sequence[TrainingDefence], base: Checkpoint) -> None:
    """Raise DirectionError for a mask that says it was made for another checkpoint than the base.

    A fine-tune of the same model is another one.
    """
    for one in defences:
        if isinstance(one, FrozenWeights):
            hint = "Give the mask of an attribution of the model that is tuned."
            require_made_for(one.mask, [base], hint)


def _refusals(config: FinetuneConfig) -> dict[str, str]:
    """A refusal by prompt: the given one, or a packaged one that seed and prompt choose."""
    if config.refusals is not None:
        rows = rows_of(config.refusals, config.seed).rows
        return {row.messages[-2].content: row.messages[-1].content for row in rows}
    data = rows_of(config.data, config.seed).first(config.rows)
    asked = [row.messages[-2].content for row in data.rows]
    return {prompt: packaged_refusal(prompt, config.seed) for prompt in asked}
