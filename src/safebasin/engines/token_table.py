"""The table of embeddings against the tokens that a tokenizer makes: every id needs a row."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any
from weakref import WeakSet

from safebasin.engines.model_shape import table_rows, text_config, vocabulary_rows
from safebasin.errors import EngineError
from safebasin.terminal import shorten

LOG = logging.getLogger(__name__)

_SAID: WeakSet[Any] = WeakSet()


def require_rows(model: Any, tokenizer: Any, rows: Iterable[Sequence[int]], what: str) -> None:
    """Raise EngineError where the model's table has no row for a token of `what`."""
    most = table_rows(model)
    for row in rows:
        beyond = next((token for token in row if not 0 <= token < most), None)
        if beyond is not None:
            raise EngineError(
                f"The token {_named(tokenizer, beyond)} of {what} has the id {beyond}, and the "
                f"model's table of embeddings has {most} rows.",
                "Give the tokenizer that the model was trained with, or a model whose table was "
                "enlarged for it.",
            )


def pad_token_of(model: Any, tokenizer: Any, end_tokens: Sequence[int]) -> int:
    """The token that fills up rows; one that has no row in the table is replaced, and said.

    A mask hides it, so that any token would do.
    """
    named = (tokenizer.pad_token_id, text_config(model).pad_token_id)
    values = [one for one in named if isinstance(one, int) and one >= 0]
    most = table_rows(model)
    found = next((one for one in (*values, *end_tokens) if one < most), 0)
    if values and values[0] >= most and model not in _SAID:
        _SAID.add(model)
        LOG.warning(
            "the pad token %s (%d) has no row in the model's table of %d; rows are filled up "
            "with token %d, which is masked out",
            _named(tokenizer, values[0]), values[0], most, found,
        )  # fmt: skip
    return found


def require_end(model: Any, tokenizer: Any, end_tokens: Sequence[int]) -> None:
    """Raise EngineError where the model can give none of the tokens that end an answer."""
    most = vocabulary_rows(model)
    if end_tokens and all(token >= most for token in end_tokens):
        raise EngineError(
            f"The end token {_named(tokenizer, end_tokens[0])} has the id {end_tokens[0]}, and the "
            f"model gives logits for {most} tokens, so that no answer would ever end.",
            "Name an end token that the model has in generation_config.json.",
        )


def _named(tokenizer: Any, token: int) -> str:
    text = tokenizer.convert_ids_to_tokens(token)
    return f"'{shorten(str(text))}'" if text is not None else "without a name"
