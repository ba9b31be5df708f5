"""The methods of attribution by name."""

from __future__ import annotations

from safebasin.attribution.base import Attribution
from safebasin.attribution.random import Random
from safebasin.attribution.snip import Snip
from safebasin.attribution.wanda import Wanda

ATTRIBUTIONS: dict[str, type[Attribution]] = {one.kind: one for one in (Snip, Wanda, Random)}
"""Every method by what it is called: a new one is a file and its name here."""
