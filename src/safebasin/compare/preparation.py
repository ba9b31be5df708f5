"""Everything that a comparison needs, loaded and checked before anything is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from safebasin import prompts as prompt_sets
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.mismatches import refuse
from safebasin.compare.distances import Distance, distances
from safebasin.compare.forensics import located_in, require_own
from safebasin.compare.settings import CompareConfig
from safebasin.config import ScanConfig
from safebasin.directions import Adapter, Direction, Toward
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.model_shape import vocabulary_rows
from safebasin.errors import DirectionError
from safebasin.judges import check_judges
from safebasin.plane import Axis, Plane, Point
from safebasin.prompts import PromptSet
from safebasin.prompts.expected import require_expected
from safebasin.reference import everyday_for
from safebasin.study.engine import build_engine
from safebasin.study.holding import holding
from safebasin.study.mismatches import between
from safebasin.study.parts import Part
from safebasin.study.preparation import (
    checked,
    folder_of,
    harmful_prompts,
    identity_of,
    judged_by,
    named,
    on_its_day,
    sampled,
    sampling_of,
)
from safebasin.study.tuned import direction_to, end_at, load_base, tuned_checkpoint
from safebasin.study.work import Work
from safebasin.weights.masks import Mask
from safebasin.weights.subspaces import HeldSubspace

PATH, BENIGN, CAPABILITY, LANDSCAPE = "path", "benign", "capability", "landscape"
DIRECTION = "tuned"
"""The name of the direction from base to tuned in the run folders."""
BASE, TUNED = Point(), Point.of({DIRECTION: 1.0})


@dataclass(frozen=True, kw_only=True)
class Prepared(Work[CompareConfig]):
    """A comparison with nothing measured or written yet.

    `friendly` are the prompts on which the models' next tokens are compared, and `located` is what
    the change is held against.
    """

    base: Checkpoint
    tuned: Checkpoint
    direction: Direction
    distances: tuple[Distance, ...]
    parts: tuple[Part, ...]
    notes: tuple[str, ...]
    friendly: PromptSet
    located: Mask | HeldSubspace | None = None

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


def prepare(config: CompareConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the base and find the direction.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    sets = {PATH: sampled(harmful_prompts(scan), scan)}
    if config.benign_set is not None:
        sets[BENIGN] = sampled(prompt_sets.load(config.benign_set, kind="benign"), scan)
    if config.capability_set is not None:
        questions = prompt_sets.load(config.capability_set, kind="capability")
        sets[CAPABILITY] = sampled(require_expected(questions), scan)
    check_judges(scan.judges)
    base = checked(scan)
    located = None if config.located is None else located_in(Path(config.located), base)
    tuned = tuned_checkpoint(config.tuned, base)
    tuned.check()
    subject = load_base(base, scan, (tuned,))
    direction = direction_to(tuned, subject, DIRECTION)
    if located is not None:
        require_own(located, subject.weights)
    asked = [prompt for found in sets.values() for prompt in found]
    mismatches = between(subject.template, base, tuned, asked, vocabulary_rows(subject.model))
    refuse(mismatches, DirectionError)
    scan, lexicon, judges = judged_by(subject, scan, asked)
    hold = holding(1, subject.weights)
    engine = build_engine(scan, subject, {DIRECTION: hold(direction)})
    other_ends = end_at(engine, {TUNED: tuned})
    sampling = sampling_of(scan, engine.own_limit)
    path, ends = Plane((config.path(DIRECTION),)), Plane((Axis(DIRECTION, (0.0, 1.0)),))
    parts = tuple(
        Part(PATH, found, (path,), judges, grows=True)
        if name == PATH
        else Part(name, found, (ends,), () if name == CAPABILITY else judges)
        for name, found in sets.items()
    )
    identity = identity_of(subject, engine, sampling, tuned=named(tuned)) | other_ends
    friendly = sets.get(BENIGN)
    # The sets and the path count too, so that other questions never meet these answers.
    whole = {**identity, "parts": [dict(part.manifest({}, {}).identity) for part in parts]}
    folder = folder_of(scan, f"compare-{base.name}-{tuned.name}", whole)
    return Prepared(
        config=replace(config, scan=scan), engine=engine, sampling=sampling, lexicon=lexicon,
        identity=on_its_day(identity, folder, scan, subject.template), folder=folder,
        build=_engine, base=base, tuned=tuned, direction=direction,
        distances=distances(direction, subject.weights), parts=parts,
        notes=(*_notes(direction), *(one.sentence for one in mismatches)),
        friendly=sampled(everyday_for(identity), scan) if friendly is None else friendly,
        located=located,
    )  # fmt: skip


def _engine(config: CompareConfig) -> AnyEngine:
    """The engine of a comparison with these settings, built anew."""
    return prepare(config).engine


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
