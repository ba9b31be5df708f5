"""What is measured of one defended model, all of it by the yardstick."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.yardstick import Yardstick
from safebasin.defences.ablation import Ablation
from safebasin.defences.base import Steering
from safebasin.directions import Direction, random_direction
from safebasin.engines.any_engine import AnyEngine
from safebasin.errors import DirectionError
from safebasin.evaluate.shares import gap, right, shares
from safebasin.exchange import Outcome
from safebasin.judges import Judge
from safebasin.landscape import Landscape, Survey
from safebasin.landscape.cells import CODES
from safebasin.landscape.intervals import Estimate, wilson
from safebasin.landscape.path_length import path_length
from safebasin.plane import Axis, Plane, Point
from safebasin.prompts import Prompt
from safebasin.prompts.expected import right_answers
from safebasin.study.engine import build_engine
from safebasin.study.steered import SteeredEngine
from safebasin.subject.rows import Rows
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject
from safebasin.weights import Weights

LINE, BACK = "line", "back"
BEYOND = 1.5
"""How far the path goes, the change that the whole of fine-tune and defence made being 1."""
ABLATED_DEPTH = 0.6
"""The block whose direction is taken away where none passes the attack's own test, as a share."""


@dataclass(frozen=True)
class Defended:
    """A model as it answers: its weights in memory, and what it answers under.

    system  the message of every request, or None for the template's own
    """

    subject: Subject
    steering: Steering | None
    system: str | None

    @classmethod
    def of(cls, subject: Subject, direction: Direction | None, **how: Any) -> Defended:
        """The subject displaced by a whole direction, as weights of its own; itself without one."""
        return cls(subject if direction is None else moved(subject, direction), **how)

    def engine(
        self,
        yard: Yardstick,
        judges: Sequence[Judge],
        directions: Mapping[str, Direction] = MappingProxyType({}),
    ) -> AnyEngine:
        """Asks it, and with directions what lies around it."""
        if self.steering is None:
            return build_engine(yard.scan, self.subject, directions, judges)
        steering: Any = self.steering
        return SteeredEngine(self.subject, steering, 1.0, yard.scan.batch, directions)

    def steered(self) -> Any:
        """A context in which passes of the model are as they are while it answers."""
        return nullcontext() if self.steering is None else self.steering.applied(self.subject, 1.0)


def moved(subject: Subject, direction: Direction) -> Subject:
    """Another subject in memory, which is this one at coefficient 1 of a direction."""
    with subject.weights.displaced([(1.0, direction)]):
        model = copy.deepcopy(subject.model)
    return replace(subject, model=model, weights=Weights(model, exclude_norms=False))


def under_attack(defended: Defended, yard: Yardstick, engine: AnyEngine) -> dict[str, Any]:
    """The shares of its answers to the harmful prompts, each in [0, 1]; None where not judged."""
    return _shares(yard, defended, engine, yard.harmful.prompts)


def at_end(
    defended: Defended, yard: Yardstick, config: BenchConfig, engine: AnyEngine
) -> dict[str, Any]:
    """Everything but the attack success itself, of the model at the end of the fine-tune."""
    found: dict[str, Any] = {}
    if yard.benign is not None:
        benign = _shares(yard, defended, engine, yard.benign.prompts)
        found["over_refusal"], found["benign"] = benign["keyword_refused"], benign
        with defended.steered():
            kl = yard.divergence(engine.plain, defended.system)
        found["kl"] = None if kl is None else kl.mean.value
        found["first_token_kl"] = None if kl is None else kl.first.value
    if yard.questions is not None:
        [(_, exchanges)] = engine.answers([Point()], yard.questions.prompts, yard.sampling)
        found["capability"] = right([right_answers(yard.questions.prompts, exchanges)]).value
    return found | along(defended, yard, config)


def along(defended: Defended, yard: Yardstick, config: BenchConfig) -> dict[str, Any]:
    """Basin and VISAGE on a line through it, and the margin on the way from the aligned model."""
    scan, judge = yard.scan, yard.judges[0]
    prompts = yard.harmful.prompts[: config.line_limit]
    subject = defended.subject
    random = random_direction(0, subject.weights.select(), scan.normalise, scan.law)
    back = yard.back(subject, BACK)
    engine = defended.engine(yard, [judge], {LINE: random, BACK: back})
    values = tuple(float(v) for v in np.linspace(-scan.radius, scan.radius, scan.steps + 1))
    line = _survey(yard, defended, engine, prompts, {v: {LINE: v} for v in values})
    ways = tuple(float(v) for v in np.linspace(0, BEYOND, config.path_steps + 1))
    path = _survey(yard, defended, engine, prompts, {t: {BACK: 1 - t} for t in ways})
    length = path_length(path, scan.tolerance)
    return {
        "width": line.basin(scan.tolerance).width.value,
        "visage": line.visage().value,
        "line": [round(float(one), 4) for one in line.mean_asr().value],
        "margin": None if length.value is None else length.value - 1,
        "margin_at_least": length.at_least,
        "path": [round(float(one), 4) for one in path.mean_asr().value],
    }


def ablated(
    defended: Defended, yard: Yardstick, config: BenchConfig, rows: tuple[Rows, Rows]
) -> dict[str, Any]:
    """What is left of it when the refusal direction is taken out of its weights.

    rows  harmful ones with refusals, and harmless ones: what the direction is found with. Where
          none passes the attack's own test, that of one block is taken as it is, and `chosen` is
          False.
    """
    subject, block = defended.subject, config.ablated_block
    attack = Ablation(*rows, block=block)
    chosen = block is None
    try:
        direction = attack.direction(subject)
    except DirectionError:
        if block is not None:
            raise
        chosen = False
        attack = Ablation(*rows, block=int(ABLATED_DEPTH * len(blocks_of(subject))))
        direction = attack.direction(subject)
    broken = replace(defended, subject=moved(subject, direction))
    found = under_attack(broken, yard, broken.engine(yard, yard.judges))
    at = None if attack.chosen is None else attack.chosen.block
    return {"chosen": chosen, "block": at, **found}


def _shares(
    yard: Yardstick, defended: Defended, engine: AnyEngine, prompts: Sequence[Prompt]
) -> dict[str, Any]:
    [(_, exchanges)] = engine.answers([Point()], prompts, yard.sampling)
    read = {
        judge.name: yard.outcomes(judge, prompts, exchanges, defended.subject.template)
        for judge in yard.judges
    }
    first = yard.judges[0]
    codes = {
        name: np.array([[CODES[own.get(p.id)] for p in prompts]], dtype=np.int8)
        for name, own in read.items()
    }
    headline = shares(first.name, codes[first.name])
    found: dict[str, Any] = {
        "n": len(prompts),
        "asr": headline.asr.value,
        "keyword_refused": headline.outcomes["refused"].value,
        "unjudged": headline.unjudged,
    }
    three = next((one for one in yard.judges if one.measures == "outcome"), None)
    if three is not None:
        own = shares(three.name, codes[three.name])
        found |= {outcome: share.value for outcome, share in own.outcomes.items()}
        found["outcome_unjudged"] = own.unjudged
    return found


def _survey(
    yard: Yardstick,
    defended: Defended,
    engine: AnyEngine,
    prompts: Sequence[Prompt],
    places: dict[float, dict[str, float]],
) -> Survey:
    """The first judge's verdicts on a line, whose places are points under other coordinates."""
    judge = yard.judges[0]
    points = {Point.of(one): value for value, one in places.items()}
    verdicts: dict[Point, dict[str, Outcome | None]] = {}
    for point, exchanges in engine.answers(list(points), prompts, yard.sampling):
        own = yard.outcomes(judge, prompts, exchanges, defended.subject.template)
        verdicts[Point.of({LINE: points[point]})] = own
    plane = Plane((Axis(LINE, tuple(places)),))
    ids = [prompt.id for prompt in prompts]
    return Survey((Landscape.from_verdicts(plane, judge.name, ids, verdicts),))


def contrast(harmful: dict[str, Any], benign: dict[str, Any]) -> Estimate:
    """Refusals of harmful less those of benign prompts, with Newcombe's interval."""

    def of(one: dict[str, Any]) -> Estimate:
        n = one["n"] - one["unjudged"]
        return wilson(round((one["keyword_refused"] or 0.0) * n), n)

    return gap(of(harmful), of(benign))
