"""The conditions of one study: the same model and directions, asked in several ways."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from safebasin.checkpoint import Checkpoint
from safebasin.conditions.attacks import Attack, load_attack
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.system_prompts import system_prompt
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.template import Template
from safebasin.errors import UsageError
from safebasin.judges import check_judges
from safebasin.prompts import PromptSet
from safebasin.run.identity import Identity, Late
from safebasin.run.names import slug
from safebasin.study.engine import build_directions, build_engine, late_description
from safebasin.study.parts import Part
from safebasin.study.plan import StudyPlan, study_plan
from safebasin.study.preparation import (
    checked,
    folder_of,
    harmful_prompts,
    identity_of,
    judged_by,
    load,
    on_its_day,
    sampled,
    sampling_of,
)
from safebasin.study.work import Work


@dataclass(frozen=True, kw_only=True)
class Condition(Work[ConditionsConfig]):
    """One way of asking: a system prompt and perhaps an attack."""

    name: str
    system: str | None
    attack: Attack | None
    part: Part


@dataclass(frozen=True)
class Prepared:
    """A study with nothing measured or written yet."""

    config: ConditionsConfig
    checkpoint: Checkpoint
    conditions: tuple[Condition, ...]
    folder: Path

    @property
    def parts(self) -> list[Part]:
        return [condition.part for condition in self.conditions]

    def plan(self, *, probe: bool) -> StudyPlan:
        """What the study will cost, by a measured batch if `probe`. Writes nothing."""
        return study_plan(self.conditions[0], self.parts, probe=probe)


def prepare(config: ConditionsConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the model once for all conditions.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    planes = scan.planes()
    ways = _ways(config, sampled(harmful_prompts(scan), scan))
    check_judges(scan.judges)
    checkpoint = checked(scan)
    first = load(checkpoint, replace(scan, system=ways[0][1]))
    directions = build_directions(scan, first.weights)
    asked = [prompt for _, _, _, found in ways for prompt in found]
    scan, lexicon, judges = judged_by(first, scan, asked)
    config = replace(config, scan=scan)
    described = late_description(scan, directions, first.weights)
    conditions: list[Condition] = []
    for name, system, attack, found in ways:
        subject = first
        if conditions:
            template = Template.of(first.tokenizer, scan.template, system, scan.marks)
            subject = replace(first, template=template)
        engine = build_engine(scan, subject, directions, judges)
        # The first engine takes over the model's own limit of new tokens.
        sampling = conditions[0].sampling if conditions else sampling_of(scan, engine.own_limit)
        own = {"directions": described, "attack": None if attack is None else attack.spec()}
        condition = Condition(
            config=config, engine=engine, sampling=sampling, lexicon=lexicon,
            identity=Identity(identity_of(subject, engine, sampling, **own)), folder=Path(),
            build=_engine, which=(name,), deciding=judges, name=name, system=system,
            attack=attack, part=Part(slug(name), found, planes, judges),
        )  # fmt: skip
        conditions.append(condition)
    folder = folder_of(
        scan,
        f"conditions-{checkpoint.name}",
        Identity(
            {
                "conditions": Late(
                    lambda: [dict(c.part.manifest(c.identity, {}).identity) for c in conditions]
                )
            }
        ),
    )
    # The day that each chat template is told is one for the study.
    settled = (
        replace(c, identity=on_its_day(c.identity, folder, scan, c.engine.template), folder=folder)
        for c in conditions
    )
    return Prepared(config, checkpoint, tuple(settled), folder)


def _engine(config: ConditionsConfig, name: str) -> AnyEngine:
    """The engine of one condition of a study with these settings, built anew."""
    return next(one.engine for one in prepare(config).conditions if one.name == name)


def _ways(
    config: ConditionsConfig, prompts: PromptSet
) -> list[tuple[str, str | None, Attack | None, PromptSet]]:
    """(name, system text, attack, prompts) of each condition."""
    systems = [system_prompt(name) for name in config.systems]
    ways: list[tuple[str, str | None, Attack | None, PromptSet]] = [
        (name, text, None, prompts) for name, text in systems
    ]
    for source in config.attacks:
        attack = load_attack(source)
        ways.append((attack.name, systems[0][1], attack, attack.on(prompts)))
    names = [name for name, *_ in ways]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UsageError(
                f"Two conditions would be named '{name}'.",
                "Give each once, and files of their own names.",
            )
    return ways
