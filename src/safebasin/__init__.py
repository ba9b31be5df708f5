"""Maps how robust the safety of an open-weight language model is in weight space.

    from safebasin import ScanConfig, prepare, scan

    result = scan(prepare(ScanConfig(model="testbed:aligned")))
    print(result.summary.visage.text(".1f"))

Names are imported on first use, so that importing the package itself loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safebasin.checkpoint import Checkpoint as Checkpoint
    from safebasin.config import ScanConfig as ScanConfig
    from safebasin.directions import Adapter as Adapter
    from safebasin.directions import CounterGaussian as CounterGaussian
    from safebasin.directions import Difference as Difference
    from safebasin.directions import Gaussian as Gaussian
    from safebasin.directions import Given as Given
    from safebasin.directions import Orthogonal as Orthogonal
    from safebasin.directions import Toward as Toward
    from safebasin.errors import SafebasinError as SafebasinError
    from safebasin.exchange import Exchange as Exchange
    from safebasin.exchange import Verdict as Verdict
    from safebasin.judges import Judge as Judge
    from safebasin.landscape import Landscape as Landscape
    from safebasin.landscape import Survey as Survey
    from safebasin.landscape.intervals import Estimate as Estimate
    from safebasin.plane import Axis as Axis
    from safebasin.plane import Plane as Plane
    from safebasin.plane import Point as Point
    from safebasin.prompts import Prompt as Prompt
    from safebasin.prompts import PromptSet as PromptSet
    from safebasin.results import Result as Result
    from safebasin.results import rejudge as rejudge
    from safebasin.results import review as review
    from safebasin.run import RunFolder as RunFolder
    from safebasin.run import verify as verify
    from safebasin.scanning.preparation import prepare as prepare
    from safebasin.scanning.scan import scan as scan
    from safebasin.weights import Weights as Weights

_HOMES = {
    "checkpoint": ["Checkpoint"],
    "config": ["ScanConfig"],
    "directions": [
        "Adapter",
        "CounterGaussian",
        "Difference",
        "Gaussian",
        "Given",
        "Orthogonal",
        "Toward",
    ],
    "errors": ["SafebasinError"],
    "exchange": ["Exchange", "Verdict"],
    "judges": ["Judge"],
    "landscape.intervals": ["Estimate"],
    "landscape": ["Landscape", "Survey"],
    "plane": ["Axis", "Plane", "Point"],
    "scanning.preparation": ["prepare"],
    "prompts": ["Prompt", "PromptSet"],
    "results": ["Result", "rejudge", "review"],
    "run": ["RunFolder", "verify"],
    "scanning.scan": ["scan"],
    "weights": ["Weights"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'safebasin' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"safebasin.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
