"""The defences by name."""

from __future__ import annotations

from safebasin.defences.base import Defence
from safebasin.defences.derta import Derta
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.safe_lora import SafeLora
from safebasin.defences.scans import Scans
from safebasin.defences.sppft import Sppft

DEFENCES: dict[str, type[Defence]] = {
    one.kind: one for one in (SafeLora, Sppft, FrozenWeights, Derta, Scans)
}
"""Every defence by what it is called: a new one is a file and its name here."""
