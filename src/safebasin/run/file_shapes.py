"""What the JSON files of a run folder hold, as far as it is read.

Fields that earlier versions did not write may be absent.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from safebasin.exchange import Finish
from safebasin.run.typed import Count, Name, Shape, Share, Text


def _named(value: object) -> object:
    """A library's own run may describe by a word what the commands describe by an object."""
    return {"name": value} if isinstance(value, str) else value


class Model(Shape):
    """What a run says of a model."""

    name: Name | None = None
    fingerprint: Text | None = None
    revision: Text | None = None


class Prompts(Shape):
    name: Name | None = None
    sha256: Text = ""
    revision: Text | None = None


class Direction(Shape):
    kind: Name = ""
    name: Name = ""
    direction: Direction | None = None


class Weights(Shape):
    n: Count | None = None


class Template(Shape):
    name: Name | None = None
    kind: Name | None = None
    system: Text | None = None


class Engine(Shape):
    name: Name | None = None
    template: Annotated[Template, BeforeValidator(_named)] | None = None


class Sampling(Shape):
    method: Name = ""
    max_new_tokens: Count | None = None


class Axis(Shape):
    direction: Name
    values: list[float]


class Plane(Shape):
    axes: list[Axis]


class Identity(Shape):
    """What determines the answers."""

    model: Annotated[Model, BeforeValidator(_named)] | None = None
    tuned: Annotated[Model, BeforeValidator(_named)] | None = None
    prompts: Annotated[Prompts, BeforeValidator(_named)] | None = None
    directions: list[Direction] = Field(default_factory=list)
    planes: list[Plane] = Field(default_factory=list)
    weights: Weights = Weights()
    engine: Annotated[Engine, BeforeValidator(_named)] | None = None
    sampling: Sampling = Sampling()


class Settings(Shape):
    """The settings of a run that are read again; the others are shown alone."""

    tolerance: Share | None = None
    judges: list[Any] = Field(default_factory=list)
    engine: Name | None = None
    protocol: Name | None = None
    system: Text | None = None
    model: Text | None = None


class StudySettings(Settings):
    """Those of a run inside a study, which hold the scan's one level down."""

    scan: Settings | None = None


class Session(Shape):
    started: Name = ""
    command: list[Text] = Field(default_factory=list)
    versions: dict[Text, Text | None] = Field(default_factory=dict)
    git: dict[Text, Any] | None = None


class Capability(Shape):
    kind: Name
    higher_is_better: bool = True
    metric: Name = ""
    chance: Share | None = None


class Rendered(Shape):
    system: Text | None = None
    source: Name | None = None
    before: Text = ""
    after: Text = ""


class PromptIds(Shape):
    ids: list[Name]
    content: Text = ""
    rendered: dict[Text, Text] = Field(default_factory=dict)


class ManifestFile(Shape):
    """`manifest.json`."""

    schema_version: Count
    identity: Identity
    prompts: PromptIds
    config: StudySettings
    sessions: list[Session]
    capabilities: dict[Text, Capability] = Field(default_factory=dict)
    rendered: Rendered | None = None
    files: dict[Text, Text] = Field(default_factory=dict)


class JudgeFile(Shape):
    """`judge.json` of a folder of verdicts."""

    schema_version: Count
    name: Name
    spec: dict[Text, Any]
    measures: Name | None = None


class Cell(Shape):
    """A point of a map in `landscape.json`."""

    point: dict[Text, float]
    n: Count
    refused: Count
    complied: Count
    incoherent: Count
    unjudged: Count
    assumed: bool = False


class JudgeSummary(Shape):
    prompts: Count
    landscapes: list[list[Cell]]


class Landscape(Shape):
    """`landscape.json`."""

    headline: Name = ""
    judges: dict[Text, JudgeSummary] = Field(default_factory=dict)


class Answer(Shape):
    """An answer as a record has it."""

    prompt_id: Name
    prompt: Text
    response: Text
    finish: Finish
    prompt_tokens: Count
    new_tokens: Count
    origin_logprob: float | None
    origin_logprobs: list[float] | None = None
    marks: Annotated[list[Text], Field(min_length=2, max_length=2)] | None = None


class Reference(Shape):
    """`reference.json`: the undisplaced model's answers to everyday questions."""

    questions: Name = ""
    lacks: Text = ""
    answers: list[Answer]
    own: list[Text] = Field(default_factory=list)


class Further(Shape):
    """`further.json`: answers that were given again, with more tokens."""

    max_new_tokens: Count
    answers: list[Answer]


class Assumed(Shape):
    """`assumed.json`: the points that were left out."""

    points: list[Text] = Field(default_factory=list)


class Adaptive(Shape):
    """`adaptive.json`."""

    placed_by: Text = ""


class DecidedCell(Shape):
    point: dict[Text, float]
    asked: Count
    judged: Count
    successes: Count
    decision: Text | None = None


class Sequential(Shape):
    """`sequential.json`: where asking stopped, and what was decided by then."""

    judge: Name = ""
    answers: Count = 0
    cells: list[DecidedCell] = Field(default_factory=list)


FILES: dict[str, type[Shape]] = {
    "landscape.json": Landscape,
    "reference.json": Reference,
    "further.json": Further,
    "assumed.json": Assumed,
    "adaptive.json": Adaptive,
    "sequential.json": Sequential,
}
"""What the files that are made from the records hold, by their names."""
