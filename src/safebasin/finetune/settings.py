"""What a fine-tuning is asked to do, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Any

from safebasin.errors import UsageError
from safebasin.finetune.recipes import DECAY, MAX_LENGTH, recipe_named
from safebasin.finetune.row_sources import rows_of
from safebasin.finetune.rows import Rows


@dataclass(frozen=True)
class FinetuneConfig:
    """Everything that `finetune` can be told; None leaves the recipe's own value.

    base           the model to tune
    recipe         one of `finetune.recipes.RECIPES`
    data, safe     rows to train on, and safe rows that are mixed in at `ratio` to one
    lora, rank     train LoRA factors of every linear layer, with lora_alpha = 2 rank
    rate, batch, epochs  of the recipe, unless given; a batch is one step of the optimiser
    device_batch   rows that go through the model at a time; None for the batch
    max_length     tokens of a row, from the front
    system         system message of the rows that have none, in training and in the test after it
    out            the folder of the checkpoints
    """

    base: str
    recipe: str
    data: str
    safe: str | None = None
    ratio: float | None = None
    rows: int | None = None
    lora: bool = False
    rank: int = 8
    rate: float | None = None
    batch: int | None = None
    epochs: int | None = None
    device_batch: int | None = None
    max_length: int = MAX_LENGTH
    decay: float = DECAY
    system: str | None = None
    template: str | None = None
    seed: int = 42
    dtype: str | None = None
    device: str | None = None
    trust_remote_code: bool = False
    out: str | None = None

    def __post_init__(self) -> None:
        recipe_named(self.recipe)
        for name in ("rank", "batch", "epochs", "device_batch", "max_length", "rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"The {name} is {value}.", "Give at least 1.")
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"The learning rate is {self.rate}.", "Give a positive number.")
        if not (math.isfinite(self.decay) and 0 < self.decay <= 1):
            raise UsageError(f"The decay is {self.decay}.", "Give a factor in (0, 1].")
        if self.ratio is not None and not (math.isfinite(self.ratio) and self.ratio >= 0):
            raise UsageError(f"The ratio is {self.ratio}.", "Give 0 or more safe rows a row.")
        if self.safe_ratio and self.safe is None:
            raise UsageError(
                f"{self.safe_ratio:g} safe rows a row are asked for, and no safe rows are given.",
                "Give --safe FILE, or --ratio 0.",
            )
        if self.safe is not None and not self.safe_ratio:
            raise UsageError(
                "Safe rows are given, and none are asked for.", "Give --ratio, such as --ratio 1."
            )

    @property
    def safe_ratio(self) -> float:
        return recipe_named(self.recipe).ratio if self.ratio is None else self.ratio

    def resolved(self) -> FinetuneConfig:
        """The same with the recipe's values filled in."""
        recipe = recipe_named(self.recipe)
        hyper = recipe.lora if self.lora else recipe.full
        return replace(
            self,
            ratio=self.safe_ratio,
            rows=self.rows or recipe.rows,
            rate=self.rate or hyper.rate,
            batch=self.batch or hyper.batch,
            epochs=self.epochs or hyper.epochs,
        )

    def load(self) -> Rows:
        """The rows to train on: those of the data, and the safe ones mixed in by the seed.

        Raises DataError where there are too few.
        """
        own = self.resolved()
        data = rows_of(self.data, self.seed).first(own.rows)
        count = round((own.ratio or 0.0) * len(data))
        if self.safe is None or not count:
            return data
        safe = rows_of(self.safe, self.seed).first(count)
        mixed = [*data.rows, *safe.rows]
        Random(f"mixture {self.seed}").shuffle(mixed)
        return Rows(f"{data.name} and {count} of {safe.name}", tuple(mixed))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FinetuneConfig:
        """The settings that `to_json` wrote."""
        return cls(**value)
