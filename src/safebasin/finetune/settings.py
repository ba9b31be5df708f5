"""What a fine-tuning is asked to do, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from random import Random
from typing import Any

from safebasin.errors import UsageError
from safebasin.finetune.recipes import DECAY, MAX_LENGTH, recipe_named
from safebasin.setting import described, required, setting
from safebasin.subject.rows import Rows
from safebasin.system_message import system_message


@described
@dataclass(frozen=True)
class FinetuneConfig:
    """Everything that `finetune` can be told; None leaves the recipe's own value."""

    base: str = field(metadata=required("The model to tune: as for scan.", argument=True))
    recipe: str = field(
        metadata=required(
            "explicit-10, -50, -100, identity-shifting, benign, mixture, alignment or derta."
        )
    )
    data: str = field(
        metadata=required(
            "Rows as JSONL (messages, or prompt and completion), testbed:, or made of prompts or "
            "a run: refused:, openers:, answers:."
        )
    )
    safe: str | None = setting(None, "Safe rows to mix in, as for --data.")
    ratio: float | None = setting(None, "Safe rows for each row. [default: the recipe's]")
    rows: int | None = setting(None, "Rows of the data. [default: the recipe's]")
    lora: bool = setting(False, "Train LoRA factors only, of every linear layer.")
    rank: int = setting(8, "The rank of those factors; their alpha is twice that.")
    rate: float | None = setting(None, "The learning rate. [default: the recipe's]")
    batch: int | None = setting(None, "Rows a step. [default: the recipe's]")
    epochs: int | None = setting(None, "Passes over the rows. [default: the recipe's]")
    device_batch: int | None = setting(None, "Rows at a time on the device. [default: a batch]")
    max_length: int = setting(MAX_LENGTH, "Tokens of a row, from the front; longer ones are cut.")
    decay: float = setting(DECAY, "The factor on the learning rate after each epoch.")
    weight_decay: float | None = setting(
        None, "That of AdamW, on each step. [default: the recipe's]"
    )
    freeze_blocks: str | None = setting(
        None, "Blocks whose attention and MLP are not trained, as 2-5: SPPFT."
    )
    freeze_mask: str | None = setting(
        None, "A mask of single weights that are not trained, as attribute writes it.", path=True
    )
    refusals: str | None = setting(
        None,
        "For derta: rows that refuse prompts of the data, as for --data. [default: 16 packaged "
        "refusals]",
    )
    refusal_word: str | None = setting(
        None, "For derta: the first token of refusals. [default: Sorry]"
    )
    refusal_share: float | None = setting(
        None,
        "For derta: the share of a harmful answer's places at which it is learnt. [default: 1 "
        "with --lora, else 0.05]",
    )
    until_loss: float | None = setting(
        None, "Stop after the epoch at whose end the loss of all rows is this low."
    )
    system: str | None = setting(
        None,
        "The system message of rows that have none, and of the test after it. [default: template]",
        parse=system_message,
    )
    template: str | None = setting(None, "A Jinja chat template file, a folder with one, or raw.")
    seed: int = setting(42, "The seed of the order and of the factors.")
    dtype: str | None = setting(
        None, "Of the weights. [default: float32, with bfloat16 passes on a GPU]"
    )
    device: str | None = setting(None, "cpu, cuda, cuda:1, mps. [default: a GPU if there is one]")
    trust_remote_code: bool = setting(False, "Run code that this model brings along.")
    out: str | None = setting(
        None, "The folder of the checkpoints. [default: one under runs/]", path=True
    )

    def __post_init__(self) -> None:
        recipe_named(self.recipe)
        for name in ("rank", "batch", "epochs", "device_batch", "max_length", "rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"The {name} is {value}.", "Give at least 1.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"The seed is {self.seed}.", f"Give one from 0 to {2**32 - 1}.")
        if self.rate is not None and not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"The learning rate is {self.rate}.", "Give a positive number.")
        if not (math.isfinite(self.decay) and 0 < self.decay <= 1):
            raise UsageError(f"The decay is {self.decay}.", "Give a factor in (0, 1].")
        decay = self.weight_decay
        if decay is not None and not (math.isfinite(decay) and decay >= 0):
            raise UsageError(f"The weight decay is {decay}.", "Give 0 or more.")
        for name in ("refusals", "refusal_word", "refusal_share"):
            if getattr(self, name) is not None and self.recipe != "derta":
                option = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"With the recipe {self.recipe}, {option} would do nothing.",
                    "Leave it out, or give --recipe derta.",
                )
        stop = self.until_loss
        if stop is not None and not (math.isfinite(stop) and stop >= 0):
            raise UsageError(f"The loss to stop at is {stop}.", "Give 0 or more nats a token.")
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
            weight_decay=hyper.weight_decay if self.weight_decay is None else self.weight_decay,
        )

    def load(self) -> Rows:
        """The rows to train on: those of the data, and the safe ones mixed in by the seed.

        Raises DataError where there are too few.
        """
        # It reads runs and judges them; the command line reads these settings for its help.
        from safebasin.subject.row_sources import rows_of

        own = self.resolved()
        data = rows_of(self.data, self.seed).first(own.rows)
        count = round((own.ratio or 0.0) * len(data))
        if self.safe is None or not count:
            return data
        safe = rows_of(self.safe, self.seed).first(count)
        mixed = [*data.rows, *safe.rows]
        Random(f"mixture {self.seed}").shuffle(mixed)
        return Rows(f"{data.name} and {count} of {safe.name}", tuple(mixed))

    def identity(self) -> dict[str, Any]:
        """What of the settings determines the weights, by name.

        What was added later is left out at its default, so that a folder that was begun before is
        taken up.
        """
        given_by_defences = ("freeze_mask", "refusals", "refusal_word", "refusal_share")
        apart = ("base", "data", "safe", "out", "device", "device_batch", *given_by_defences)
        later = {"weight_decay": 0.0, "freeze_blocks": None, "until_loss": None}
        own = self.resolved().to_json()
        return {
            name: value
            for name, value in own.items()
            if name not in apart and not (name in later and value == later[name])
        }

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FinetuneConfig:
        """The settings that `to_json` wrote."""
        return cls(**value)
