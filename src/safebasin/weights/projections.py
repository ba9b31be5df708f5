"""What the matrices of a block are for, by how architectures name them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from safebasin.weights.parameters import Parameter

Writer = Literal["attention", "mlp"]

WRITERS: dict[Writer, tuple[str, ...]] = {
    "attention": (
        "*attn.o_proj.weight", "*attention.o_proj.weight", "*attn.c_proj.weight",
        "*attn.out_proj.weight", "*attention.out_proj.weight", "*attn.dense.weight",
        "*attention.dense.weight", "*self_attention.dense.weight",
    ),
    "mlp": (
        "*mlp.down_proj.weight", "*mlp.c_proj.weight", "*mlp.fc2.weight", "*mlp.fc_out.weight",
        "*mlp.dense_4h_to_h.weight", "*layers.*.fc2.weight", "*feed_forward.w2.weight",
    ),
}  # fmt: skip
"""Names of the output matrices of attention and of the MLP; experts' own are in none."""


ROUTERS = (
    "*.gate.weight", "*.router.weight", "*.router.*.weight", "*.router_gate.weight",
    "*.shared_expert_gate.weight",
)  # fmt: skip
"""Names of what tells how much of an expert a token gets."""


def is_router(parameter: Parameter) -> bool:
    """Whether it chooses or weighs experts, and is no matrix of attention or of an MLP."""
    return parameter.layer is not None and parameter.matches(ROUTERS)


def writers(parameters: Sequence[Parameter], of: Writer) -> tuple[Parameter, ...]:
    """Those of the parameters that are the output matrix of a block's attention, or of its MLP."""
    return tuple(
        one
        for one in parameters
        if one.layer is not None
        and one.stacked is None
        and len(one.shape) == 2
        and one.matches(WRITERS[of])
    )
