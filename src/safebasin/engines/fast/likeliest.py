"""The likeliest next tokens, of logits."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor


@torch.inference_mode()
def likeliest(logits: Tensor) -> Tensor:
    """int64 [2, predictions]: the likeliest tokens, and whether their logits are numbers."""
    if logits.dtype == torch.float32 and logits.device.type == "cpu":
        # Its search is vectorised, torch's is not; both take what is not a number for the largest.
        values = logits.numpy()
        best = values.argmax(-1)
        finite = numpy.isfinite(values[numpy.arange(len(best)), best])
        return torch.from_numpy(numpy.stack((best, finite)))
    most = logits.max(dim=-1)
    return torch.stack((most.indices, most.values.isfinite().long()))
