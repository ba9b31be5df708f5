"""The defences by name."""

from __future__ import annotations

from safebasin.defences.base import Defence
from safebasin.defences.safe_lora import SafeLora

DEFENCES: dict[str, type[Defence]] = {one.kind: one for one in (SafeLora,)}
"""Every defence by what it is called: a new one is a file and its name here."""
