"""The conditions of one study: the same model and directions, asked in several ways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_mismatches import compare_adapter
from safebasin.compare.parts import Part
from safebasin.compare.plan import StudyPlan, study_plan
from safebasin.compare.preparation import sampling_of
from safebasin.conditions.attacks import Attack, load_attack
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.system_prompts import system_prompt
from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.clock import settle_day
from safebasin.engines.template import Template
from safebasin.errors import UsageError
from safebasin.judges import Lexicon, build_all, check_judges
from safebasin.preparation import (
    build_directions,
    build_engine,
    describe,
    harmful_of,
    settings_elsewhere,
)
from safebasin.prompts import PromptSet
from safebasin.run.names import default_folder, slug
from safebasin.spread.executor import Recipe
from safebasin.spread.study import Spread
from safebasin.weights import Weights


@dataclass(frozen=True)
class Condition:
    """One way of asking: a system prompt and perhaps an attack."""

    name: str
    system: str | None
    attack: Attack | None
    part: Part
    engine: AnyEngine
    identity: Mapping[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A study with nothing measured or written yet."""

    config: ConditionsConfig
    checkpoint: Checkpoint
    conditions: tuple[Condition, ...]
    sampling: Sampling
    lexicon: Lexicon
    folder: Path

    def plan(self, *, probe: bool) -> StudyPlan:
        """What the study will cost, by a measured batch if `probe`. Writes nothing."""
        parts = [condition.part for condition in self.conditions]
        engine = self.conditions[0].engine
        return study_plan(self.folder, parts, engine, self.sampling, self.config.scan, probe=probe)

    def spread(self, condition: Condition) -> Spread:
        """How the questions of a condition are spread; an actor draws the directions anew."""
        config = self.config
        day = condition.engine.template.day
        alone = replace(config, scan=settings_elsewhere(config.scan, condition.part.judges, day))
        return Spread(config.scan, Recipe(_engine, (alone, condition.name)))


def prepare(config: ConditionsConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the model once for all conditions.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    planes = scan.planes()
    everything = harmful_of(prompt_sets.load(scan.prompts, scan.column, scan.prompts_kind))
    ways = _ways(config, everything.take(scan.limit, scan.sample_seed, first=scan.first))
    check_judges(scan.judges)
    checkpoint = Checkpoint.parse(scan.model, trust_remote_code=scan.trust_remote_code)
    checkpoint.check()
    model, tokenizer = checkpoint.load(scan.dtype, scan.device)
    weights = Weights(
        model, include=scan.include, exclude=scan.exclude, layers=scan.layers, tied=scan.tied
    )
    directions = build_directions(scan, weights)
    texts = [prompt.text for _, _, _, found in ways for prompt in found]
    lexicon = Lexicon.of(tokenizer.get_vocab(), texts)
    judges = build_all(scan.judges, lexicon)
    scan = scan.judged_by([judge.name for judge in judges])
    config = replace(config, scan=scan)
    common = {
        "model": {"name": checkpoint.name, **checkpoint.spec()},
        "weights": weights.spec(),
        "directions": describe(directions, weights, scan.axes),
    }
    conditions = []
    sampling = None
    for name, system, attack, found in ways:
        template = Template.of(tokenizer, scan.template, system, scan.marks)
        if sampling is None:
            compare_adapter(checkpoint, tokenizer, template.source)
        engine = build_engine(scan, model, weights, directions, template, judges)
        # The first engine takes over the model's own limit of new tokens.
        sampling = sampling or sampling_of(engine, scan)
        identity = {
            **common,
            "attack": None if attack is None else attack.spec(),
            "engine": dict(engine.spec()),
            "sampling": sampling.spec(),
        }
        part = Part(slug(name), found, planes, judges)
        conditions.append(Condition(name, system, attack, part, engine, identity))
    if sampling is None:
        raise ValueError("a study without conditions was prepared")
    whole = {"conditions": [dict(c.part.manifest(c.identity, {}).identity) for c in conditions]}
    label = f"conditions-{checkpoint.name}"
    folder = Path(scan.out) if scan.out else default_folder(label, whole)
    return Prepared(
        config, checkpoint, tuple(_on_one_day(conditions, folder, scan)), sampling, lexicon, folder
    )


def _on_one_day(
    conditions: Sequence[Condition], folder: Path, scan: ScanConfig
) -> Iterator[Condition]:
    """The conditions with the day that each chat template is told, which is one for the study."""
    for one in conditions:
        template = one.engine.template
        identity = settle_day(one.identity, folder, scan.date, template.clock, template.source)
        yield replace(one, identity=identity)


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
                f"Two conditions would be named '{name}'.", "Give their files other names."
            )
    return ways
