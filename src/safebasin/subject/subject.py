"""One loaded model to work on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from safebasin.checkpoint import Checkpoint
from safebasin.engines.memory import free_model
from safebasin.engines.model_shape import most_positions
from safebasin.engines.plain import end_tokens_of
from safebasin.engines.template import Template
from safebasin.engines.token_table import pad_token_of, require_rows
from safebasin.errors import DataError
from safebasin.subject.encoding import Encoded, encode
from safebasin.subject.linear import Linear, linear_layers
from safebasin.subject.rows import Row
from safebasin.weights import Weights


@dataclass(frozen=True)
class Subject:
    """A checkpoint with its model in memory, and what belongs to it.

    The model is in eval mode and frozen; methods leave it as they found it, bit for bit.
    """

    checkpoint: Checkpoint
    model: Any
    tokenizer: Any
    weights: Weights
    template: Template

    @classmethod
    def load(
        cls,
        checkpoint: Checkpoint | str,
        *,
        dtype: torch.dtype | str = "float32",
        device: torch.device | str | None = None,
        template: str | None = None,
        system: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        layers: str | Collection[int] | None = None,
    ) -> Subject:
        """Load a checkpoint, with the selection of `Weights` and the prompt of `Template.of`.

        float32 unless told otherwise: gradients in bfloat16 are far off where a model is sure of
        its answers. Raises what `Checkpoint.load`, `Weights` and `Template.of` do.
        """
        if isinstance(checkpoint, str):
            checkpoint = Checkpoint.parse(checkpoint)
        checkpoint.check()
        model, tokenizer = checkpoint.load(dtype, device)
        weights = Weights(model, include=include, exclude=exclude, layers=layers)
        return cls(checkpoint, model, tokenizer, weights, Template.of(tokenizer, template, system))

    @cached_property
    def linear(self) -> tuple[Linear, ...]:
        """The linear layers among the selected weights; CheckpointError where there are none."""
        return linear_layers(self.weights)

    @cached_property
    def pad_token(self) -> int:
        """The token that fills up rows; a mask hides it."""
        return pad_token_of(self.model, self.tokenizer, self.end_tokens)

    @cached_property
    def end_tokens(self) -> tuple[int, ...]:
        """The tokens that end an answer."""
        return tuple(end_tokens_of(self.model, self.tokenizer))

    def encode(self, rows: Sequence[Row]) -> tuple[Encoded, ...]:
        """The rows as token ids and labels, as they are when the model is trained and asked.

        Raises DataError, naming the row, where the chat template does not write it, or where it
        does not fit in the model's context, and EngineError where the model has no such token.
        """
        most = most_positions(self.model)
        encoded = [encode(row, self.template, 2**31, self.end_tokens) for row in rows]
        for row, one in zip(rows, encoded, strict=True):
            if most and len(one.ids) > most:
                raise DataError(
                    f"{row.where} has {len(one.ids)} tokens, and the model takes {most}.",
                    "Shorten it, or leave it out.",
                )
            require_rows(self.model, self.tokenizer, [one.ids], row.where)
        return tuple(encoded)

    def release(self) -> None:
        """Give back the memory of the model, with which nothing can be done any more."""
        self.weights.forget_pristine()
        free_model(self.model)
