"""The weights of a model as a point in weight space: named, selected, and displaced in place."""

from __future__ import annotations

from safebasin.weights.direction import Direction
from safebasin.weights.displacement import Weights
from safebasin.weights.parameters import Parameter

__all__ = ["Direction", "Parameter", "Weights"]
