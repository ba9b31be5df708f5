"""The defences by name."""

from __future__ import annotations

from safebasin.defences.ablation import Ablation
from safebasin.defences.base import Defence
from safebasin.defences.derta import Derta
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.lox import Lox
from safebasin.defences.resta import Resta
from safebasin.defences.restoration import RandomPerturbation, RandomRestoration
from safebasin.defences.safe_lora import SafeLora
from safebasin.defences.safe_merge import SafeMerge
from safebasin.defences.scans import Scans
from safebasin.defences.somf import Somf
from safebasin.defences.sppft import Sppft

DEFENCES: dict[str, type[Defence]] = {
    one.kind: one
    for one in (
        SafeLora,
        Lox,
        Resta,
        SafeMerge,
        Somf,
        RandomRestoration,
        RandomPerturbation,
        Ablation,
        Sppft,
        FrozenWeights,
        Derta,
        Scans,
    )
}
"""Every defence by what it is called: a new one is a file and its name here.

`ablation` is the attack that the others are tried against.
"""
