"""How many threads a model's work gets."""

from __future__ import annotations

import os
from typing import Any

SPINS = "20000"
"""About a millisecond: longer than from one operator to the next, so that a quiet machine loses
nothing."""


def yield_soon() -> None:
    """Have a thread that waits for the others sleep soon, unless the user chose otherwise.

    Takes effect before torch is imported. GNU OpenMP, which PyTorch brings on Linux, lets such a
    thread spin for 300,000 turns. Where other work needs the processors, too, the thread that is
    waited for gets none of them meanwhile, and each operator takes that long.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = SPINS


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
