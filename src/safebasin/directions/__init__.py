"""Directions in weight space: what the weights are moved along.

A direction is rebuilt from a few JSON values and drawn one parameter at a time. Its tensors are
float32 and scaled already, so a coefficient is all that is missing: W = W0 + Σ c_i·d_i
(Peng et al., NeurIPS 2024, arXiv 2405.17374, Sec. 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from safebasin.directions.adapter import Adapter
from safebasin.directions.base import Direction, cosine, digest
from safebasin.directions.combination import (
    Combination,
    Principal,
    Projection,
    gram,
    principal,
    project,
    relative,
)
from safebasin.directions.counter import CounterGaussian, random_direction
from safebasin.directions.gaussian import Gaussian
from safebasin.directions.given import Given
from safebasin.directions.orthogonal import Orthogonal
from safebasin.directions.resident import Resident
from safebasin.directions.toward import Difference, Toward
from safebasin.errors import DirectionError
from safebasin.terminal import shorten
from safebasin.weights import Weights

__all__ = [
    "Adapter",
    "Combination",
    "CounterGaussian",
    "Difference",
    "Direction",
    "Gaussian",
    "Given",
    "Orthogonal",
    "Principal",
    "Projection",
    "Resident",
    "Toward",
    "cosine",
    "digest",
    "gram",
    "principal",
    "project",
    "random_direction",
    "rebuild",
    "relative",
]


def rebuild(spec: Mapping[str, Any], weights: Weights) -> Direction:
    """The direction that `spec()` describes; raises DirectionError where it describes none."""
    try:
        match spec["kind"]:
            case "gaussian":
                law = spec.get("law", "stream")  # earlier versions knew no other
                return random_direction(
                    spec["seed"], weights, spec["normalise"], law, name=spec["name"]
                )
            case "orthogonal":
                second, first = (rebuild(spec[key], weights) for key in ("second", "first"))
                return Orthogonal(second, first, weights, spec["form"], name=spec["name"])
            case "given":
                return Given.rebuild(spec, weights)
            case "rounded":
                dtype = {"bfloat16": torch.bfloat16, "float16": torch.float16}[spec["dtype"]]
                return Resident(rebuild(spec["direction"], weights), weights, dtype=dtype)
            case "toward":
                return Toward.rebuild(spec, weights)
            case "difference":
                return Difference.rebuild(spec, weights)
            case "adapter":
                return Adapter.rebuild(spec, weights)
            case "combination":
                terms = [(float(c), rebuild(inner, weights)) for c, inner in spec["terms"]]
                return Combination(terms, name=spec["name"])
            case kind:
                raise DirectionError(
                    f"There is no kind of direction '{shorten(str(kind))}'.",
                    "Take the description from the manifest of a run, and use the version of "
                    "safebasin that wrote it.",
                )
    except (KeyError, TypeError) as error:
        raise DirectionError(
            f"The description of a direction lacks or misstates {error}.",
            "Take it from the manifest of a run.",
        ) from error
