"""Parameters that transformers has divided among processes (tensor parallelism, as DTensors).

Every process holds a part of such a tensor and has to make the same calls in the same order: to
see a tensor whole is a collective operation. What is called a tensor elsewhere in this package is
the whole one; only what is written in place is the process's own part.
"""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from torch import Tensor, nn

from safebasin.errors import CheckpointError


def is_divided(tensor: Tensor) -> bool:
    """Whether a tensor is a part that this process holds of a whole."""
    library = sys.modules.get("torch.distributed.tensor")  # without it there can be none
    return library is not None and isinstance(tensor, library.DTensor)


def has_parts(model: nn.Module) -> bool:
    """Whether one of a model's parameters is divided."""
    return any(map(is_divided, model.parameters()))


def own(tensor: Tensor) -> Tensor:
    """This process's part, sharing its memory; the tensor itself where it is not divided."""
    if not is_divided(tensor):
        return tensor
    divided: Any = tensor.detach()
    part: Tensor = divided.to_local()
    return part


def whole(part: Tensor, like: Tensor) -> Tensor:
    """All parts put together, bit for bit, on every process: `part` is this one's, of a tensor
    divided as `like`."""
    if not is_divided(like):
        return part
    from torch.distributed.tensor import DTensor

    divided: Any = like
    found = DTensor.from_local(
        part.detach().to(divided.to_local().device),
        divided.device_mesh,
        divided.placements,
        run_check=False,
        shape=divided.shape,
        stride=divided.stride(),
    )
    gathered: Tensor = found.full_tensor()
    return gathered


def own_of(tensor: Tensor, like: Tensor) -> Tensor:
    """This process's part of a whole tensor that is divided as `like` is."""
    if not is_divided(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    divided: Any = like
    on_device = tensor.to(divided.to_local().device)
    # Nothing is sent: every process has the whole, and keeps its part.
    kept = distribute_tensor(on_device, divided.device_mesh, divided.placements, src_data_rank=None)
    part: Tensor = kept.to_local()
    return part


def first_element(like: Tensor) -> int | None:
    """The index, in the whole, of the first element of this process's part.

    None where the part is not one stretch of the whole's elements in row-major order.
    """
    if not is_divided(like):
        return 0
    divided: Any = like
    [placement] = divided.placements
    if placement.is_replicate():
        return 0
    if placement.dim % divided.dim() != 0:
        return None
    size = -(-divided.shape[0] // divided.device_mesh.size())  # the last ones may have fewer
    rows: int = min(size * divided.device_mesh.get_local_rank(), divided.shape[0])
    return rows * math.prod(like.shape[1:])


def require_known_parts(name: str, tensor: Tensor) -> None:
    """Raise CheckpointError where a tensor is divided otherwise than along one dimension."""
    if not is_divided(tensor):
        return
    divided: Any = tensor
    kinds = [type(placement).__name__ for placement in divided.placements]
    if len(kinds) != 1 or kinds[0] not in ("Shard", "Replicate"):
        raise CheckpointError(
            f"'{name}' is divided among processes by {' and '.join(kinds)}, of which the parts of "
            "a direction are not known.",
            "Divide it with --engine vllm --tensor-parallel N instead.",
        )


def least(model: nn.Module, value: int) -> int:
    """The least that a number is on any process, where a model is divided; else the number.

    So that all choose alike by what each of them finds, such as its free memory.
    """
    found = next((p for p in model.parameters() if is_divided(p)), None)
    if found is None:
        return value
    divided: Any = found
    number = torch.tensor(value, dtype=torch.int64, device=divided.to_local().device)
    torch.distributed.all_reduce(
        number, torch.distributed.ReduceOp.MIN, group=divided.device_mesh.get_group()
    )
    return int(number)
