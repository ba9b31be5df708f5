"""How a module stores its matrices: which dimension counts outputs, and which are stacked."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

_INPUT_FIRST = {"Llama4TextExperts", "CsmCodebooksHead", "RecurrentGemmaRglru"}
"""Modules that multiply from the right, x·W: each of their matrices is [in, out]."""

_STACKS = {"MoshiFlexibleLinear", "CsmCodebooksHead", "RecurrentGemmaRglru", "ZambaMambaMixer"}
"""Modules with one matrix a head or a codebook, which no name of a class tells."""

_OF_A_STACK = ("weight", "proj", "bias")


def layout(module: nn.Module, leaf: str, tensor: Tensor) -> tuple[int, tuple[int, ...] | None]:
    """(output dimension of one matrix, shape of one where several are stacked) of a parameter.

    A mixture of experts that is stored as one tensor of three dimensions is as many matrices as it
    has experts: [E, out, in], or [E, in, out] where the module says so (`is_transposed`) or is
    known for it; its biases [E, out] are as many vectors. The weights of a convolution are one
    matrix [out, rest]. The `Conv1D` of GPT-2 stores [in, out].
    """
    kind, shape = type(module).__name__, tuple(tensor.shape)
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return int(len(shape) > 1 and module.groups == 1), None
    if isinstance(module, nn.modules.conv._ConvNd):
        return 0, None
    if kind == "Conv1D":
        return int(len(shape) == 2), None
    if kind == "DbrxExpertGLU":  # [E·ffn, hidden], of which w2 maps ffn to hidden
        experts: Any = module.moe_num_experts
        return int(leaf == "w2"), (shape[0] // experts, *shape[1:])
    stacked = "Expert" in kind or (kind in _STACKS and leaf.endswith(_OF_A_STACK))
    if not stacked or len(shape) < 2 or (len(shape) == 2 and not leaf.endswith("bias")):
        return 0, None
    first: Any = getattr(module, "is_transposed", kind in _INPUT_FIRST)
    return int(bool(first) and len(shape) == 3), shape[1:]
