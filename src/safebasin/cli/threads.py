"""How many threads a model's work gets."""

from __future__ import annotations

import os
from typing import Any


def spare_threads(model: Any) -> None:
    """Use one thread for a small model on the CPU, unless the user chose a number.

    With matrices this small the threads wait for one another longer than they work.
    """
    import torch

    from safebasin.study.spread import SMALL_MODEL

    parameters = sum(p.numel() for p in model.parameters())
    small = model.device.type == "cpu" and parameters < SMALL_MODEL
    if small and not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(1)
