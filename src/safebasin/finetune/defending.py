"""The defences that take part in a fine-tuning, as its settings name them."""

from __future__ import annotations

from safebasin.defences.base import TrainingDefence
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.sppft import Sppft
from safebasin.finetune.settings import FinetuneConfig
from safebasin.weights.masks import Mask


def defences_of(config: FinetuneConfig) -> tuple[TrainingDefence, ...]:
    """Raises DirectionError where a mask cannot be read."""
    found: list[TrainingDefence] = []
    if config.freeze_blocks is not None:
        found.append(Sppft(config.freeze_blocks))
    if config.freeze_mask is not None:
        found.append(FrozenWeights(Mask.read(config.freeze_mask)))
    return tuple(found)
