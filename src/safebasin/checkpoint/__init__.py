"""A model on the disk or on the hub: what it is, whether it is safe to open, and how to open it."""

from __future__ import annotations

from safebasin.checkpoint.checkpoint import Checkpoint
from safebasin.checkpoint.dtypes import DTYPES

__all__ = ["DTYPES", "Checkpoint"]
