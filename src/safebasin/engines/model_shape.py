"""A model's sizes, which its configuration may call otherwise, give a layer at a time, or lack."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from safebasin.weights.divided import own

_LAYERS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers", "num_blocks")
_HEADS = ("num_attention_heads", "n_heads", "n_head")
_KEY_VALUE_HEADS = ("num_key_value_heads", "num_kv_heads", *_HEADS)
_POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len")
_STATES = ("state_size", "ssm_state_size", "mamba_d_state")


def text_config(model: Any) -> Any:
    """The part of a model's configuration that is about text; the whole where it has no parts."""
    try:
        return model.config.get_text_config(decoder=True)
    except ValueError:  # several parts are about text
        return model.config


def vocabulary_rows(model: Any) -> int:
    """How many tokens a model gives logits for, padding rows of its table included."""
    head = model.get_output_embeddings()
    return table_rows(model) if head is None else int(head.weight.shape[0])


def table_rows(model: Any) -> int:
    """How many tokens a model's table of input embeddings has a row for."""
    return int(model.get_input_embeddings().weight.shape[0])


def most_positions(model: Any) -> int | None:
    """The most tokens that a row may have; None where the model names no limit."""
    found = [_number(text_config(model), (name,)) for name in _POSITIONS]
    return next((value for value in found if value), None)


def width(model: Any) -> int:
    """The width of what goes from layer to layer."""
    own = _number(text_config(model), ("hidden_size", "d_model", "n_embd"))
    return own or int(model.get_input_embeddings().weight.shape[1])


def key_value_shape(model: Any) -> tuple[int, int, int] | None:
    """(layers, heads, size of a head) of the keys and values that a model keeps of each token.

    None where it keeps none, as a recurrent model, or where its configuration does not tell. Of
    what differs from layer to layer the greatest; of a divided model the heads of this process.
    """
    config = text_config(model)
    layers, heads = _number(config, _LAYERS), _number(config, _KEY_VALUE_HEADS)
    queries = _number(config, _HEADS) or heads
    if not (layers and heads and queries):
        return None
    size = _number(config, ("head_dim",)) or width(model) // queries
    return layers, int(heads * _held(model)), size


def _held(model: Any) -> Fraction:
    """The share of the key-value heads whose keys this process computes."""
    for name, tensor in model.named_parameters():
        if name.rsplit(".", 2)[-2:] == ["k_proj", "weight"]:
            return Fraction(own(tensor).shape[0], tensor.shape[0])
    return Fraction(1)


def state_values(model: Any) -> int:
    """About how many numbers a recurrent model keeps of a row, however long it is; 0 for none."""
    config = text_config(model)
    states, layers = _number(config, _STATES), _number(config, _LAYERS)
    inner = _number(config, ("intermediate_size",)) or 2 * width(model)
    return (layers or 0) * (states or 0) * inner


def _number(config: Any, names: Iterable[str]) -> int | None:
    """The first of these attributes that is a positive number; of a list its greatest."""
    for name in names:
        try:
            value = getattr(config, name, None)
        except NotImplementedError:  # some configurations define a name only to say so
            continue
        values = value if isinstance(value, list | tuple) else [value]
        found = [one for one in values if isinstance(one, int) and not isinstance(one, bool)]
        if found and max(found) > 0:
            return max(found)
    return None
