"""Everything that an evaluation needs, loaded and checked before anything is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_mismatches import compare_adapter
from safebasin.compare.parts import Part
from safebasin.compare.plan import StudyPlan, study_plan
from safebasin.config import DEFAULT_MAX_NEW_TOKENS, ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.clock import settle_day
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.evaluate.settings import NONE, EvaluateConfig, twin_advice
from safebasin.judges import Judge, Lexicon, build_all, check_judges
from safebasin.plane import Axis, Plane
from safebasin.preparation import harmful_of, settings_elsewhere
from safebasin.prompts import PromptSet
from safebasin.prompts.expected import require_expected
from safebasin.run.names import default_folder
from safebasin.spread.executor import Recipe
from safebasin.spread.study import Spread
from safebasin.weights import Weights

HARMFUL, BENIGN, CAPABILITY = "harmful", "benign", "capability"
ORIGIN = Plane((Axis("origin", (0.0,)),))
"""The undisplaced model alone."""


@dataclass(frozen=True)
class Target:
    """The model that is asked, and how. It is let go before the judges read."""

    model: Any
    weights: Weights
    template: Template
    batch: int | None
    sampling: Sampling

    def engine(self, config: EvaluateConfig, sample: int) -> PlainEngine:
        """The engine of one sample; samples count from 1."""
        if config.temperature == 0:
            return PlainEngine(self.model, self.weights, {}, self.template, self.batch)
        from safebasin.evaluate.sampler import SampledEngine

        return SampledEngine(
            self.model,
            self.weights,
            self.template,
            self.batch,
            temperature=config.temperature,
            seed=config.noise_seed,
            sample=sample,
        )


@dataclass(frozen=True)
class Prepared:
    """An evaluation with nothing asked or written yet."""

    config: EvaluateConfig
    checkpoint: Checkpoint
    target: Target
    sets: Mapping[str, PromptSet]
    lexicon: Lexicon
    judges: tuple[Judge, ...]
    identity: Mapping[str, Any]
    folder: Path
    notes: tuple[str, ...]

    def read_by(self, judge: Judge) -> tuple[str, ...]:
        """The kinds of prompts whose answers this judge reads.

        One that measures harm cannot tell a refusal of a benign prompt from help with it.
        """
        kinds = (HARMFUL,) if judge.measures == "harm" else (HARMFUL, BENIGN)
        return tuple(kind for kind in kinds if kind in self.sets)

    def plan(self, *, probe: bool) -> StudyPlan:
        """What the evaluation will cost, by a measured batch if `probe`. Writes nothing."""
        samples = range(1, self.config.samples + 1)
        parts = [part for sample in samples for part in self.parts(sample)]
        engine, sampling = self.target.engine(self.config, 1), self.target.sampling
        return study_plan(self.folder, parts, engine, sampling, self.config.scan, probe=probe)

    def spread(self, sample: int) -> Spread:
        """How the questions of a sample are spread; samples count from 1."""
        config = self.config
        whole, day = replace(config.scan, full_responses=True), self.target.template.day
        scan = settings_elsewhere(whole, (), day)
        return Spread(config.scan, Recipe(_engine, (replace(config, scan=scan), sample)))

    def parts(self, sample: int) -> list[Part]:
        """The run folders of one sample. They are judged afterwards, so no judge is named."""
        tail = "" if sample == 1 else f"-{sample}"
        readers = {name: () if name == CAPABILITY else self.judges for name in self.sets}
        return [
            Part(f"{name}{tail}", found, (ORIGIN,), readers=readers[name])
            for name, found in self.sets.items()
        ]


def prepare(config: EvaluateConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the model.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    sets, notes = _sets(config)
    check_judges(scan.judges)
    checkpoint = Checkpoint.parse(scan.model, trust_remote_code=scan.trust_remote_code)
    checkpoint.check()
    model, tokenizer = checkpoint.load(scan.dtype, scan.device)
    weights = Weights(model)
    template = Template.of(tokenizer, scan.template, scan.system, scan.marks)
    compare_adapter(checkpoint, tokenizer, template.source)
    texts = [prompt.text for found in sets.values() for prompt in found]
    lexicon = Lexicon.of(tokenizer.get_vocab(), texts)
    own_limit = model.generation_config.max_new_tokens
    sampling = Sampling(scan.max_new_tokens or own_limit or DEFAULT_MAX_NEW_TOKENS)
    target = Target(model, weights, template, scan.batch, sampling)
    identity = {
        "model": {"name": checkpoint.name, **checkpoint.spec()},
        "sampling": sampling.spec(),
    }
    whole = {
        **identity,
        "engine": dict(target.engine(config, 1).spec()),
        "parts": {name: found.sha256 for name, found in sets.items()},
        **sets[HARMFUL].order(),
        "samples": [config.temperature, config.noise_seed],
    }
    label = f"evaluate-{checkpoint.name}"
    folder = Path(scan.out) if scan.out else default_folder(label, whole)
    identity = settle_day(identity, folder, scan.date, template.clock, template.source)
    judges = build_all(scan.judges, lexicon)
    scan = scan.judged_by([judge.name for judge in judges])
    config = replace(config, scan=scan)
    if BENIGN in sets:
        notes += [
            f"{judge.name} judges harm, so over-refusal is not measured by it"
            for judge in judges
            if judge.measures == "harm"
        ]
    return Prepared(
        config, checkpoint, target, sets, lexicon, judges, identity, folder, tuple(notes)
    )


def _engine(config: EvaluateConfig, sample: int) -> PlainEngine:
    """The engine of one sample of an evaluation with these settings, built anew."""
    return prepare(config).target.engine(config, sample)


def _sets(config: EvaluateConfig) -> tuple[dict[str, PromptSet], list[str]]:
    """The sets by name, and what a reader has to know of them."""
    scan = config.scan
    notes: list[str] = []
    loaded = prompt_sets.load(scan.prompts, scan.column, scan.prompts_kind)
    sets = {HARMFUL: _sampled(harmful_of(loaded), scan)}
    own = tuple(prompt for prompt in loaded if prompt.kind == "benign")
    mixed = len(own) < len(loaded) and bool(own)
    if config.benign is None and mixed:
        sets[BENIGN] = _sampled(replace(loaded, prompts=own), scan)
    elif config.benign_set is not None:
        found = prompt_sets.load(config.benign_set, unstated="benign")
        kinds = {prompt.kind for prompt in found}
        if kinds >= {"harmful", "benign"}:
            found = replace(found, prompts=tuple(p for p in found if p.kind == "benign"))
        sets[BENIGN] = _sampled(found, scan)
    elif config.benign != NONE:
        notes.append(f"over-refusal is not measured: {twin_advice(scan.prompts)}")
    if config.capability_set is not None:
        questions = prompt_sets.load(config.capability_set, kind="capability")
        sets[CAPABILITY] = _sampled(require_expected(questions), scan)
    elif config.capability != NONE:
        notes.append("capability is not measured: give --capability FILE")
    return sets, notes


def _sampled(found: PromptSet, scan: ScanConfig) -> PromptSet:
    return found.take(scan.limit, scan.sample_seed, first=scan.first)
