"""What the JSON file of a study holds, as far as it is read again.

Fields that earlier versions did not write may be absent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from safebasin.run.typed import Count, Name, Shape, Share, Text

Number = float | None


class Estimate(Shape):
    """A number with its interval."""

    value: Number
    low: Number
    high: Number
    level: Share = 0.95
    note: Text = ""
    at_least: bool = False


class Pair(Shape):
    """A share before and after, on the same prompts."""

    n: Count
    unpaired: Count = 0
    before: Estimate
    after: Estimate
    rise: Estimate
    mcnemar_p: Number = None


class Check(Shape):
    name: Name
    value: Number = None
    limit: float
    side: Name
    passed: bool = False
    note: Text = ""
    state: Name | None = None
    low: Number = None
    high: Number = None
    unit: Literal["points", "%", "nats", ""] | None = None


class Distance(Shape):
    where: Name
    relative: Number
    weights: Count


class Divergence(Shape):
    prompts: Name
    first_token: Estimate
    answer: Estimate


class PromptDivergence(Shape):
    id: Name
    tokens: Count
    first: Number
    mean: Number


class MeasuredDivergence(Shape):
    """What determines the values of one set of prompts, and the values."""

    identity: dict[Text, Any]
    prompts: list[PromptDivergence]


class StoredDivergence(Shape):
    """`divergence.json` of a comparison."""

    measured: list[MeasuredDivergence]


class Landscape(Shape):
    """The map of a run inside, of which the file has a copy."""

    headline: Name = ""


class Comparison(Shape):
    """`comparison.json`."""

    base: Name
    tuned: Name
    prompts: Name
    judge: Name
    tolerance: Share
    verdict: Literal["PASS", "FAIL", "INCONCLUSIVE"]
    reasons: list[Text] = Field(default_factory=list)
    doubts: list[Text] = Field(default_factory=list)
    notes: list[Text] = Field(default_factory=list)
    checks: list[Check]
    asr: Pair
    complied: Pair | None
    over_refusal: Pair | None
    incoherent: Pair | None
    capability: Pair | None
    effective_length: Estimate
    margin: Estimate | None = None
    divergence: Divergence | None = None
    distances: Annotated[list[Distance], Field(min_length=1)]
    landscape: Landscape | None


class Shares(Shape):
    """What one judge said of one set of prompts."""

    prompts: Count
    samples: Annotated[int, Field(ge=1, le=100_000)]
    judged: Count
    asr: Estimate
    refused: Estimate
    complied: Estimate
    incoherent: Estimate


class Evaluation(Shape):
    """`evaluation.json`."""

    model: Name
    headline: Name
    harmful: dict[Text, Shares]
    benign: dict[Text, Shares]
    capability: Estimate | None
    notes: list[Text] = Field(default_factory=list)


class Prompted(Shape):
    prompts: Count


class PlaneMap(Shape):
    headline: Name
    judges: dict[Text, Prompted]


class Gap(Shape):
    rise: Estimate


class Station(Shape):
    name: Name
    coordinates: Annotated[list[float], Field(min_length=2, max_length=2)]
    residual: float
    asr: Estimate
    asr_on_the_plane: Estimate
    gap: Gap


class Trajectory(Shape):
    """`trajectory.json`."""

    base: Name
    prompts: Name
    tolerance: Share
    axes: list[Name]
    explained: list[float]
    stations: Annotated[list[Station], Field(min_length=1)]
    plane: PlaneMap


class Origin(Shape):
    asr: Estimate


class OneMap(Shape):
    origin: Origin


class Condition(Shape):
    name: Name
    prompts: Count
    stopped: Estimate
    landscape: OneMap


class Conditions(Shape):
    """`conditions.json`."""

    model: Name
    judge: Name
    neighbourhood: float
    conditions: list[Condition]


class MapWithoutOrigin(Shape):
    origin: Origin | None


class ChosenDirection(Shape):
    name: Name
    landscape: MapWithoutOrigin
    effective_length: Estimate | None
    effective_length_back: Estimate | None


class WorstCase(Shape):
    """`worst-case.json`."""

    model: Name
    tolerance: Share
    prompts: Count
    directions: Annotated[list[ChosenDirection], Field(min_length=1)]


FILES: dict[str, type[Shape]] = {
    "comparison.json": Comparison,
    "evaluation.json": Evaluation,
    "trajectory.json": Trajectory,
    "conditions.json": Conditions,
    "worst-case.json": WorstCase,
}
"""What the files of studies hold, by their names."""
