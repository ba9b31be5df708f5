"""Everything that a comparison needs, loaded and checked before anything is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_tables import separates_tables, untie_tables
from safebasin.checkpoint.mismatches import refuse
from safebasin.compare.distances import Distance, distances
from safebasin.compare.mismatches import between
from safebasin.compare.parts import Part
from safebasin.compare.settings import CompareConfig
from safebasin.config import DEFAULT_MAX_NEW_TOKENS, ScanConfig
from safebasin.directions import Adapter, Direction, Toward
from safebasin.directions.lora import NotLowRank
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.clock import settle_day
from safebasin.engines.end_tokens import EndTokens
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.engines.template import Template
from safebasin.engines.vllm.session import require_vllm
from safebasin.errors import CheckpointError, DirectionError
from safebasin.judges import Lexicon, build_all, check_judges
from safebasin.plane import Axis, Plane, Point
from safebasin.preparation import build_engine, harmful_of, settings_elsewhere
from safebasin.prompts import PromptSet
from safebasin.prompts.expected import require_expected
from safebasin.reference import everyday_for
from safebasin.run.names import default_folder
from safebasin.spread.executor import Recipe
from safebasin.spread.study import Spread
from safebasin.weights import Weights

PATH, BENIGN, CAPABILITY, LANDSCAPE = "path", "benign", "capability", "landscape"
DIRECTION = "tuned"
"""The name of the direction from base to tuned in the run folders."""
BASE, TUNED = Point(), Point.of({DIRECTION: 1.0})


@dataclass(frozen=True)
class Loaded:
    """A model with its weights, norm layers included, ready to be moved and asked."""

    checkpoint: Checkpoint
    model: Any
    tokenizer: Any
    weights: Weights
    template: Template


@dataclass(frozen=True)
class Prepared:
    """A comparison with nothing measured or written yet.

    `friendly` are the prompts on which the models' next tokens are compared.
    """

    config: CompareConfig
    base: Checkpoint
    tuned: Checkpoint
    direction: Direction
    distances: tuple[Distance, ...]
    parts: tuple[Part, ...]
    engine: AnyEngine
    sampling: Sampling
    lexicon: Lexicon
    identity: Mapping[str, Any]
    folder: Path
    notes: tuple[str, ...]
    friendly: PromptSet

    def part(self, name: str) -> Part | None:
        return next((part for part in self.parts if part.name == name), None)

    @property
    def tuned_scan(self) -> ScanConfig:
        """The scan of the tuned model's own landscape."""
        config = self.config
        own = config.tuned_scan(str(self.folder / LANDSCAPE))
        if self.tuned.adapter == config.tuned:  # the folder of an adapter, which is no model
            own = replace(own, model=f"{config.scan.model}+{config.tuned}")
        if own.date is None and self.engine.template.clock.told:
            own = replace(own, date=self.engine.template.day)
        return own

    @property
    def spread(self) -> Spread:
        """How the questions are spread; an actor finds the direction anew."""
        whole, day = replace(self.config.scan, full_responses=True), self.engine.template.day
        scan = settings_elsewhere(whole, (), day)
        return Spread(self.config.scan, Recipe(_engine, (replace(self.config, scan=scan),)))


def prepare(config: CompareConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the base and find the direction.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    harmful = harmful_set(scan)
    others: list[tuple[str, PromptSet]] = []
    if config.benign_set is not None:
        others.append((BENIGN, _sampled(prompt_sets.load(config.benign_set, kind="benign"), scan)))
    if config.capability_set is not None:
        questions = prompt_sets.load(config.capability_set, kind="capability")
        others.append((CAPABILITY, _sampled(require_expected(questions), scan)))
    check_judges(scan.judges)
    base = Checkpoint.parse(scan.model, trust_remote_code=scan.trust_remote_code)
    tuned = tuned_checkpoint(config.tuned, base)
    for checkpoint in (base, tuned):
        checkpoint.check()
    loaded = load(base, scan, (tuned,))
    direction = direction_to(tuned, loaded, DIRECTION)
    sets = [harmful, *(found for _, found in others)]
    asked = [prompt for found in sets for prompt in found]
    mismatches = between(loaded.template, base, tuned, asked, output_rows(loaded.model))
    refuse(mismatches, DirectionError)
    texts = [prompt.text for prompt in asked]
    lexicon = Lexicon.of(loaded.tokenizer.get_vocab(), texts)
    judges = build_all(scan.judges, lexicon)
    scan = scan.judged_by([judge.name for judge in judges])
    config = replace(config, scan=scan)
    engine = engine_for(loaded, {DIRECTION: direction}, scan)
    other_ends = end_at(engine, {TUNED: tuned})
    sampling = sampling_of(engine, scan)
    ends = (Plane((Axis(DIRECTION, (0.0, 1.0)),)),)
    parts = [Part(PATH, harmful, (Plane((config.path(DIRECTION),)),), judges, grows=True)]
    for name, found in others:
        parts.append(Part(name, found, ends, () if name == CAPABILITY else judges))
    identity = {
        "model": {"name": base.name, **base.spec()},
        "tuned": {"name": tuned.name, **tuned.spec()},
        "weights": loaded.weights.spec(),
        "engine": dict(engine.spec()),
        "sampling": sampling.spec(),
        **other_ends,
    }
    benign = next((found for name, found in others if name == BENIGN), None)
    friendly = _sampled(everyday_for(identity), scan) if benign is None else benign
    label = f"compare-{base.name}-{tuned.name}"
    # The sets and the path count too, so that other questions never meet these answers.
    whole = {**identity, "parts": [dict(part.manifest({}, {}).identity) for part in parts]}
    folder = Path(scan.out) if scan.out else default_folder(label, whole)
    template = loaded.template
    identity = settle_day(identity, folder, scan.date, template.clock, template.source)
    return Prepared(
        config, base, tuned, direction, distances(direction, loaded.weights), tuple(parts),
        engine, sampling, lexicon, identity, folder,
        (*_notes(direction), *(one.sentence for one in mismatches)), friendly,
    )  # fmt: skip


def _engine(config: CompareConfig) -> AnyEngine:
    """The engine of a comparison with these settings, built anew."""
    return prepare(config).engine


def harmful_set(scan: ScanConfig) -> PromptSet:
    """The requests that should be refused, as many of them as the settings ask for."""
    return _sampled(
        harmful_of(prompt_sets.load(scan.prompts, scan.column, scan.prompts_kind)), scan
    )


def _sampled(found: PromptSet, scan: ScanConfig) -> PromptSet:
    return found.take(scan.limit, scan.sample_seed, first=scan.first)


def tuned_checkpoint(text: str, base: Checkpoint) -> Checkpoint:
    """The checkpoint that a text names; the folder of an adapter is one over the base."""
    folder = Path(text).expanduser()
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").exists():
        if base.adapter is not None:
            raise DirectionError(
                f"'{base.name}' has an adapter already; '{folder}' is another one.",
                "Give the second model as BASE+ADAPTER.",
            )
        return Checkpoint(base.base, text, base.revision, trust_remote_code=base.trust_remote_code)
    return Checkpoint.parse(text, trust_remote_code=base.trust_remote_code)


def load(base: Checkpoint, scan: ScanConfig, tuned: Sequence[Checkpoint] = ()) -> Loaded:
    """Load a model as the settings say, all of its weights selected.

    Where a tuned model has other values in two tables that the base ties, each of them gets its
    own here, too. For the engine vllm the model stays in host memory: vLLM has the device's to
    itself.
    """
    on_host = scan.engine == "vllm"
    if on_host:
        require_vllm()
    model, tokenizer = base.load(scan.dtype, scan.device, keep_on_host=on_host)
    if any(separates_tables(one, model) for one in tuned):
        untie_tables(model)
    weights = Weights(model, exclude_norms=False)
    template = Template.of(tokenizer, scan.template, scan.system, scan.marks)
    return Loaded(base, model, tokenizer, weights, template)


def direction_to(tuned: Checkpoint, loaded: Loaded, name: str) -> Direction:
    """The direction whose coefficient 1 is the tuned model.

    An adapter over the loaded base stays low-rank where it is plain LoRA; anything else is the
    difference of the weights, for which an adapter is merged.
    """
    base = loaded.checkpoint
    folder, adapter = tuned.folders
    if adapter is not None and base.folders == (folder, None):
        try:
            return Adapter(adapter, loaded.weights, name=name, merge=False)
        except NotLowRank as error:
            no_factors = error
        try:
            return Toward(tuned, loaded.weights, name=name)
        except CheckpointError:
            # Merging fails, too: then the names that are not there are the plainer reason.
            if "another base" in no_factors.message:
                raise no_factors from None
            raise
    return Toward(tuned, loaded.weights, name=name, vocabulary=loaded.tokenizer.get_vocab())


def engine_for(loaded: Loaded, directions: Mapping[str, Direction], scan: ScanConfig) -> AnyEngine:
    """The engine that the settings name. Answers are kept whole: they are read in several ways."""
    whole = replace(scan, full_responses=True)
    return build_engine(whole, loaded.model, loaded.weights, directions, loaded.template, ())


def sampling_of(engine: AnyEngine, scan: ScanConfig) -> Sampling:
    """How answers are drawn, by the settings, else the model's own limit, else the default."""
    return Sampling(scan.max_new_tokens or engine.own_limit or DEFAULT_MAX_NEW_TOKENS)


def output_rows(model: Any) -> int:
    """How many tokens a model has an output for."""
    return vocabulary_rows(model)


def end_at(engine: AnyEngine, places: Mapping[Point, Checkpoint]) -> dict[str, Any]:
    """Have answers where another checkpoint lies end by that one's end tokens.

    Returns what the identity of a run has to hold of it: nothing where all end alike, so that
    the runs of such models stay what they were.
    """
    plain = engine.plain
    at = {point: one.end_tokens() for point, one in places.items()}
    if all(ends == plain.end_tokens for ends in at.values()):
        return {}
    plain.ends = EndTokens(plain.end_tokens, at)
    return {"end_tokens": {point.label: list(ends) for point, ends in at.items()}}


def _notes(direction: Direction) -> list[str]:
    """How the weights get from the base to the tuned model."""
    notes = []
    if isinstance(direction, Adapter):
        notes.append(f"LoRA of rank up to {direction.rank}, never merged")
    if isinstance(direction, Toward):
        for name, (ours, theirs) in direction.other.resized.items():
            shared = min(ours, theirs)
            notes.append(f"'{name}' has {ours} and {theirs} rows; the first {shared} are moved")
    return notes
