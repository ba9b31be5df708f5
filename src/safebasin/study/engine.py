"""The engine that settings name, with its directions; and by which settings another is the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from safebasin.blocks import interval_named
from safebasin.config import DEFAULT_JUDGES, PLATEAU_POINTS, ScanConfig
from safebasin.directions import (
    Direction,
    Given,
    Orthogonal,
    Restricted,
    cosine,
    digest,
    random_direction,
)
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm.engine import VllmEngine
from safebasin.judges import Judge, KeywordJudge, common_stop_rule
from safebasin.run.identity import Late
from safebasin.study.holding import as_it_is, holding
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)


class Askable(Protocol):
    """What has a model with weights to move and a way to ask it, as an engine has, too."""

    @property
    def model(self) -> Any: ...

    @property
    def weights(self) -> Weights: ...

    @property
    def template(self) -> Template: ...


def settings_elsewhere(config: ScanConfig, judges: Sequence[Judge], day: str | None) -> ScanConfig:
    """The settings by which a process elsewhere answers just so, alone and for itself.

    The judges read here, and a judge of one's own may be nowhere else: of them the other process
    is told when an answer is decided. Where a walk ends is known here, too, and on which `day`
    the chat template is told that it is asked, None where it does not matter.
    """
    alone = replace(
        config, executor="local", ray_address=None, workers=1, shard=None, stop_at_plateau=False,
        plateau_points=PLATEAU_POINTS, date=day,
    )  # fmt: skip
    stop = None if config.full_responses else common_stop_rule(judges)
    if stop is None:
        return replace(alone, judges=DEFAULT_JUDGES[:1], full_responses=True)
    judge = KeywordJudge("decided", stop.keywords, ignore_case=stop.ignore_case)
    return replace(alone, judges=(judge,))


def build_directions(config: ScanConfig, weights: Weights) -> dict[str, Direction]:
    """The directions that the configuration names, by name.

    Of a plane's two directions the second one is made orthogonal to the first (Gram-Schmidt). With
    `blocks` each is restricted to them, at the length that it has in all weights together.
    They are held in memory where there is room, and otherwise drawn at every point.
    """
    where_added = config.law == "counter" and weights.device.type != "cpu"
    hold = as_it_is if where_added else holding(len(config.direction_names), weights)
    directions: dict[str, Direction] = {}
    if config.directions:
        for name, path in zip(config.direction_names, config.directions, strict=True):
            directions[name] = Given(Path(path), weights, scale=config.direction_scale, name=name)
    else:
        for name, seed in zip(config.direction_names, config.random_seeds, strict=True):
            directions[name] = random_direction(seed, weights, config.normalise, config.law)
    if config.axes == 2 and not config.directions:
        names = list(directions)
        for first, second in zip(names[::2], names[1::2], strict=True):
            if config.blocks is None:
                directions[first] = hold(directions[first])
            directions[second] = Orthogonal(directions[second], directions[first])
    if config.blocks is not None:
        interval = interval_named(config.blocks)
        for name, whole in directions.items():
            directions[name] = Restricted(whole, *interval, weights, name=name)
    return {name: hold(direction) for name, direction in directions.items()}


def build_engine(
    config: ScanConfig,
    subject: Askable,
    directions: Mapping[str, Direction],
    judges: Sequence[Judge] = (),
    fast: Callable[..., FastEngine] = FastEngine,
) -> AnyEngine:
    """The engine that the configuration names; answers end early only where no verdict changes.

    Without judges they are whole. `fast` makes the fast engine, where it is another.
    """
    asked = subject.model, subject.weights, directions, subject.template
    if config.engine == "plain":
        return PlainEngine(*asked, config.batch)
    stop = None if config.full_responses else common_stop_rule(judges)
    # Only judges of whole answers read how likely they are.
    scores = stop is None
    if config.engine == "vllm":
        return VllmEngine(
            *asked, stop=stop, rows=config.batch, scores=scores, device=config.device,
            trust_remote_code=config.trust_remote_code, tensor_parallel=config.tensor_parallel,
        )  # fmt: skip
    return fast(
        *asked, stop=stop, mode=config.mode, rows=config.batch, drafts=config.drafts, scores=scores
    )


def describe(
    directions: Mapping[str, Direction], weights: Weights, axes: int
) -> list[dict[str, Any]]:
    """For the manifest: what rebuilds each direction, its digest, and the cosine of each pair.

    All of their numbers are drawn for it: `late_description` leaves that for later.
    """
    described = []
    names = list(directions)
    LOG.info("drawing %d %s", len(names), "direction" if len(names) == 1 else "directions")
    for i, name in enumerate(names):
        entry = _anywhere(directions[name].spec())
        entry["digest"] = digest(directions[name], weights)
        if axes == 2 and i % 2:
            entry["cosine"] = cosine(directions[names[i - 1]], directions[name], weights)
        described.append(entry)
    return described


def late_description(
    config: ScanConfig, directions: Mapping[str, Direction], weights: Weights
) -> Late:
    """The same once it is asked for; at once of given directions, whose files may be wrong.

    At once, too, of a divided model, to whose norms all processes have to add.
    """
    found = Late(lambda: describe(directions, weights, config.axes))
    if config.directions or weights.divided:
        found.value()
    return found


def _anywhere(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A specification without where files lie: their digests are what matters."""
    return {
        key: _anywhere(value) if isinstance(value, Mapping) else value
        for key, value in spec.items()
        if key != "path"
    }
