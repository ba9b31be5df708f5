"""Kernels that transformers would fetch from a hub and run, by a model's type alone.

With the package `kernels` installed it does so for some types (RWKV on a GPU, mixtures of experts),
whatever config.json asks for. Each has a way of its own in transformers and PyTorch.
"""

from __future__ import annotations

import sys

from safebasin.errors import CheckpointError


def leave_out() -> None:
    """Let transformers take the package for absent, in this process, from now on.

    Raises CheckpointError where it does not.
    """
    from transformers.utils.import_utils import is_kernels_available

    if not is_kernels_available():
        return
    kept = sys.modules.get("kernels")
    # What is None here cannot be imported; transformers then remembers that it found nothing.
    sys.modules["kernels"] = None  # type: ignore[assignment]
    try:
        is_kernels_available.cache_clear()
        found = is_kernels_available()
    finally:
        if kept is None:
            del sys.modules["kernels"]
        else:
            sys.modules["kernels"] = kept
    if found:
        raise CheckpointError(
            "The package kernels is installed, with which transformers may fetch code and run it.",
            "Uninstall kernels, or allow such code with --trust-remote-code.",
        )
