"""Which models the packed passes can run, and a check that they do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from safebasin.directions import Direction
from safebasin.engines.fast.forward import Forward
from safebasin.engines.fast.layout import Feed
from safebasin.engines.fast.pooled import Pool
from safebasin.engines.fast.slots import CacheShape, SlotStorage
from safebasin.engines.memory import is_out_of_memory
from safebasin.engines.model_shape import key_value_shape, text_config
from safebasin.weights import Weights

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
"""How far logits may differ between two ways of computing them, relative to their size."""


def unsupported(model: Any, longest: int) -> str | None:
    """Why a model cannot run packed rows of up to `longest` tokens; None where it can."""
    config = text_config(model)
    if getattr(model.config, "is_encoder_decoder", False):
        return "the model is an encoder and a decoder"
    if key_value_shape(model) is None:
        return "the model keeps no keys and values of what it read"
    kinds = set(getattr(config, "layer_types", None) or ())
    others = kinds - {"full_attention", "sliding_attention"}
    if others:
        return f"the model has layers of {_text(others)}"
    window = getattr(config, "sliding_window", None)
    slides = "sliding_attention" in kinds or not kinds
    if slides and isinstance(window, int) and 0 < window < longest:
        return f"the model's attention slides over {window} tokens"
    chunk = getattr(config, "attention_chunk_size", None)
    if isinstance(chunk, int) and chunk < longest:
        return f"the model's attention is cut into {chunk} tokens"
    if getattr(config, "attn_logit_softcapping", None):
        return "the model caps its attention"
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if {rope.get("rope_type"), rope.get("type")} & {"dynamic", "longrope"}:
        return "the model's positions depend on the length of the batch"
    if model.get_output_embeddings() is None:
        return "the model has no output layer of its own"
    if len({parameter.device for parameter in model.parameters()}) > 1:
        return "the model lies on several devices"
    return None


def mismatch(forward: Forward, tokens: list[int]) -> str | None:
    """Why packed passes do not give what the model's own forward gives; None where they do."""
    model = forward.model
    tokens = tokens if len(tokens) > 3 else tokens * 4
    cut = len(tokens) // 2
    try:
        with torch.inference_mode():
            ids = torch.tensor([tokens], device=forward.device)
            expected = model(input_ids=ids, use_cache=False).logits[0]
        storage = SlotStorage(CacheShape.of(model), 2, len(tokens), forward.device)
        with forward.attached():
            first = forward.logits(storage, [Feed(1, 0, tokens[:cut], cut)])
            feeds = [Feed(0, 0, tokens, len(tokens)), Feed(1, cut, tokens[cut:], len(tokens) - cut)]
            rest = forward.logits(storage, feeds)
    except Exception as error:  # whatever a model's own code raises means that it cannot
        if is_out_of_memory(error):
            raise
        return f"the model does not take packed rows ({type(error).__name__})"
    found = torch.cat([rest[: len(tokens)], first, rest[len(tokens) :]])
    if differ(found, torch.cat([expected, expected]), model.dtype):
        return "the model computes something else with packed rows"
    return None


def differ(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether two computations of the same logits [tokens, vocabulary] disagree."""
    if found.shape != expected.shape:
        return True
    found, expected = found.double(), expected.double()
    error = (found - expected).norm() / expected.norm().clamp(min=1e-30)
    return not bool(error <= TOLERANCE.get(dtype, 0.1))


def _text(kinds: set[str]) -> str:
    return ", ".join(sorted(kind.replace("_", " ") for kind in kinds))


def pool_mismatch(
    forward: Forward, weights: Weights, direction: Direction, value: float, tokens: list[int]
) -> str | None:
    """Why a pool does not give what materialised weights give; None where it does."""
    shape = CacheShape.of(forward.model)
    # Several tokens, so that a module which reorders or drops some does not go unnoticed.
    feeds = [Feed(0, 0, tokens, len(tokens)), Feed(1, 0, tokens[::-1], len(tokens))]

    def logits(coefficients: list[float] | None) -> Tensor:
        storage = SlotStorage(shape, 2, len(tokens), forward.device)
        with forward.attached():
            return forward.logits(storage, feeds, coefficients)

    with weights.displaced([(value, direction)]):
        expected = logits(None)
    try:
        forward.pool = Pool.of(forward.model, weights, direction)
        found = logits([value, value])
    except RuntimeError as error:
        if is_out_of_memory(error):
            return "a direction does not fit beside the weights"
        return f"a pooled pass fails ({type(error).__name__})"
    finally:
        forward.pool = None
    if differ(found, expected, forward.dtype):
        return "a pooled pass computes something else than displaced weights"
    return None
