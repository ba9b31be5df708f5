"""Who computes attention and experts: we choose, whatever a checkpoint's files ask for.

transformers takes these entries for names of code: one such as `org/kernel@revision:function` is
fetched from a hub and run, and others (`flash_attention_2`, `sonicmoe`) may be.
"""

from __future__ import annotations

import re
from typing import Any

ATTENTION = ("eager", "sdpa")
EXPERTS = ("eager", "batched_mm", "grouped_mm")
"""What is part of transformers and PyTorch, and is left as a checkpoint asks for it."""

_ENTRY = re.compile(r"_*(?:attn|attention|experts?|moe)_implementation(?:_internal)?")


def kernel_entry(value: Any) -> str | None:
    """The first entry at any depth of a JSON value that names code on a hub; None for none."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            for name, one in item.items():
                if _ENTRY.fullmatch(str(name)) and _names_repository(one):
                    return str(name)
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return None


def choose(config: Any) -> None:
    """Leave to transformers what computes attention and experts, in all parts of a configuration.

    What a checkpoint asks for is kept where it is one of `ATTENTION` or `EXPERTS`.
    """
    parts = [config]
    while parts:
        part = parts.pop()
        # Setting an entry of the whole sets those of its parts, too, which keep their own.
        nested = [one for name in part.sub_configs if (one := getattr(part, name, None))]
        attention, experts = part._attn_implementation, part._experts_implementation
        asked = [(one._attn_implementation, one._experts_implementation) for one in nested]
        part._attn_implementation = attention if attention in ATTENTION else None
        part._experts_implementation = experts if experts in EXPERTS else None
        for one, own in zip(nested, asked, strict=True):
            one._attn_implementation, one._experts_implementation = own
        parts.extend(nested)


def _names_repository(value: Any) -> bool:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str) and "/" in item:
            return True
        if isinstance(item, dict):
            pending.extend([*item.keys(), *item.values()])
        elif isinstance(item, list):
            pending.extend(item)
    return False
