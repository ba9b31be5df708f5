"""How the weights of a checkpoint are stored where they are codes and not numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told_storage(stored: Mapping[str, Any]) -> str:
    """What a manifest records of it, for a person: `GGUF MOSTLY_Q4_1 (Q4_1 in 210 tensors, ...)`.

    Types beyond the third are left to the record.
    """
    name = " ".join(str(stored[key]) for key in ("format", "file_type") if stored.get(key))
    tensors = stored.get("tensors")
    if not isinstance(tensors, Mapping) or not tensors:
        return name
    kinds = [f"{kind} in {count}" for kind, count in list(tensors.items())[:3]]
    more = ", ..." if len(tensors) > 3 else ""
    return f"{name} ({', '.join(kinds)}{more} tensors)"
