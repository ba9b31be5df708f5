"""Everything that an evaluation needs, loaded and checked before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from safebasin import prompts as prompt_sets
from safebasin.defences.scans import Scans
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.plain import PlainEngine
from safebasin.evaluate.sampler import SampledEngine
from safebasin.evaluate.settings import NONE, EvaluateConfig, twin_advice
from safebasin.judges import Judge, check_judges
from safebasin.plane import Axis, Plane
from safebasin.prompts import PromptSet
from safebasin.prompts.expected import require_expected
from safebasin.study.parts import Part
from safebasin.study.plan import StudyPlan, study_plan
from safebasin.study.preparation import (
    checked,
    folder_of,
    harmful_of,
    judged_by,
    load,
    named,
    on_its_day,
    sampled,
    sampling_of,
)
from safebasin.study.steered import SteeredEngine
from safebasin.study.work import Work
from safebasin.subject.subject import Subject

HARMFUL, BENIGN, CAPABILITY = "harmful", "benign", "capability"
ORIGIN = Plane((Axis("origin", (0.0,)),))
"""The undisplaced model alone."""


@dataclass(frozen=True, kw_only=True)
class Sample(Work[EvaluateConfig]):
    """The sets of prompts asked once; they are judged afterwards, so no part names a judge."""

    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Prepared:
    """An evaluation with nothing asked or written yet."""

    config: EvaluateConfig
    subject: Subject
    sets: Mapping[str, PromptSet]
    judges: tuple[Judge, ...]
    samples: tuple[Sample, ...]
    folder: Path
    notes: tuple[str, ...]

    @property
    def parts(self) -> list[Part]:
        return [part for sample in self.samples for part in sample.parts]

    def read_by(self, judge: Judge) -> tuple[str, ...]:
        """The kinds of prompts whose answers this judge reads.

        One that measures harm cannot tell a refusal of a benign prompt from help with it.
        """
        kinds = (HARMFUL,) if judge.measures == "harm" else (HARMFUL, BENIGN)
        return tuple(kind for kind in kinds if kind in self.sets)

    def plan(self, *, probe: bool) -> StudyPlan:
        """What the evaluation will cost, by a measured batch if `probe`. Writes nothing."""
        return study_plan(self.samples[0], self.parts, probe=probe)


def prepare(config: EvaluateConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the model.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    sets, notes = _sets(config)
    check_judges(scan.judges)
    checkpoint = checked(scan)
    subject = load(checkpoint, scan)
    asked = [prompt for found in sets.values() for prompt in found]
    scan, lexicon, judges = judged_by(subject, scan, asked)
    config = replace(config, scan=scan)
    engines = [_sampler(config, subject, number) for number in range(1, config.samples + 1)]
    sampling = sampling_of(scan, engines[0].own_limit)
    common = {"model": named(checkpoint), "sampling": sampling.spec()}
    whole = {
        **common,
        "engine": dict(engines[0].spec()),
        "parts": {name: found.sha256 for name, found in sets.items()},
        **sets[HARMFUL].taken(),
        "samples": [config.temperature, config.noise_seed],
    }
    folder = folder_of(scan, f"evaluate-{checkpoint.name}", whole)
    common = on_its_day(common, folder, scan, subject.template)
    samples = tuple(
        Sample(
            config=config, engine=engine, sampling=sampling, lexicon=lexicon,
            identity={**common, "engine": dict(engine.spec())}, folder=folder, build=_engine,
            which=(number,), parts=_parts(sets, judges, number),
        )
        for number, engine in enumerate(engines, 1)
    )  # fmt: skip
    if isinstance(engines[0], SteeredEngine):
        notes.append(engines[0].note)
    if BENIGN in sets:
        notes += [
            f"{judge.name} judges harm, so over-refusal is not measured by it"
            for judge in judges
            if judge.measures == "harm"
        ]
    return Prepared(config, subject, sets, judges, samples, folder, tuple(notes))


def _sampler(config: EvaluateConfig, subject: Subject, sample: int) -> PlainEngine:
    """The engine of one sample; samples count from 1."""
    asked = subject.model, subject.weights
    if config.steer is not None:
        return SteeredEngine(
            subject, Scans.read(config.steer), config.steer_strength, config.scan.batch
        )
    if config.temperature == 0:
        return PlainEngine(*asked, {}, subject.template, config.scan.batch)
    return SampledEngine(
        *asked, subject.template, config.scan.batch,
        temperature=config.temperature, seed=config.noise_seed, sample=sample,
    )  # fmt: skip


def _parts(
    sets: Mapping[str, PromptSet], judges: tuple[Judge, ...], sample: int
) -> tuple[Part, ...]:
    """The run folders of one sample."""
    tail = "" if sample == 1 else f"-{sample}"
    return tuple(
        Part(f"{name}{tail}", found, (ORIGIN,), readers=() if name == CAPABILITY else judges)
        for name, found in sets.items()
    )


def _engine(config: EvaluateConfig, sample: int) -> AnyEngine:
    """The engine of one sample of an evaluation with these settings, built anew."""
    return prepare(config).samples[sample - 1].engine


def _sets(config: EvaluateConfig) -> tuple[dict[str, PromptSet], list[str]]:
    """The sets by name, and what a reader has to know of them."""
    scan = config.scan
    notes: list[str] = []
    loaded = prompt_sets.load(scan.prompts, scan.column, scan.prompts_kind)
    sets = {HARMFUL: sampled(harmful_of(loaded, scan.prefill), scan)}
    own = tuple(prompt for prompt in loaded if prompt.kind == "benign")
    mixed = len(own) < len(loaded) and bool(own)
    if config.benign is None and mixed:
        sets[BENIGN] = sampled(replace(loaded, prompts=own), scan)
    elif config.benign_set is not None:
        found = prompt_sets.load(config.benign_set, unstated="benign")
        kinds = {prompt.kind for prompt in found}
        if kinds >= {"harmful", "benign"}:
            found = replace(found, prompts=tuple(p for p in found if p.kind == "benign"))
        sets[BENIGN] = sampled(found, scan)
    elif config.benign != NONE:
        notes.append(f"over-refusal is not measured: {twin_advice(scan.prompts)}")
    if config.capability_set is not None:
        questions = prompt_sets.load(config.capability_set, kind="capability")
        sets[CAPABILITY] = sampled(require_expected(questions), scan)
    elif config.capability != NONE:
        notes.append("capability is not measured: give --capability FILE")
    return sets, notes
