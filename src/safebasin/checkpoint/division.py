"""A checkpoint whose matrices transformers divides among processes, by the model's own plan."""

from __future__ import annotations

from typing import Any

from safebasin.errors import CheckpointError, EngineError

HEADS = {"num_key_value_heads": "key-value heads", "num_attention_heads": "attention heads"}


def require_heads(name: str, config: Any, processes: int) -> None:
    """Raise CheckpointError for a model without a plan, or whose heads cannot be shared evenly.

    `config` is that of its language model, of transformers.
    """
    if not getattr(config, "base_model_tp_plan", None):
        raise CheckpointError(
            f"transformers has no plan by which '{name}' ({config.model_type}) is divided among "
            "processes.",
            "Give --engine vllm with --tensor-parallel, or leave it out.",
        )
    for key, what in HEADS.items():
        heads = getattr(config, key, None)
        if isinstance(heads, int) and heads % processes:
            raise CheckpointError(
                f"'{name}' has {heads} {what}, which {processes} processes cannot share evenly.",
                f"Give a --tensor-parallel that divides {heads}.",
            )


def divided_among(processes: int) -> dict[str, Any]:
    """What the loader of transformers is told so that each process gets its part.

    Raises EngineError where its version divides models in another way.
    """
    try:
        from transformers.distributed import DistributedConfig
    except ImportError as error:
        raise EngineError(
            "This version of transformers does not divide models by a DistributedConfig.",
            "Install transformers 5.17 or later, or give --engine vllm.",
        ) from error
    return {"distributed_config": DistributedConfig(tp_size=processes)}
