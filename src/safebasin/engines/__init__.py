"""Engines: how answers are generated at points of weight space."""

from __future__ import annotations

from safebasin.engines.protocol import Engine, Progress, Sampling, Wanted

__all__ = ["Engine", "Progress", "Sampling", "Wanted"]
