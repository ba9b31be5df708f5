"""What the search for the worst direction needs, loaded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Combination, Difference, relative
from safebasin.engines import Sampling
from safebasin.errors import UsageError
from safebasin.judges import Judge, Lexicon, check_judges
from safebasin.prompts import PromptSet
from safebasin.study.engine import build_engine
from safebasin.study.preparation import (
    checked,
    folder_of,
    harmful_prompts,
    identity_of,
    judged_by,
    load,
    on_its_day,
    sampling_of,
)
from safebasin.subject.subject import Subject
from safebasin.worst_case.settings import WorstCaseConfig


@dataclass(frozen=True)
class Prepared:
    """A search with nothing computed or written yet."""

    config: WorstCaseConfig
    subject: Subject
    alignment: Combination | None
    searched: PromptSet
    asked: PromptSet
    judges: tuple[Judge, ...]
    lexicon: Lexicon
    sampling: Sampling
    identity: Mapping[str, Any]
    folder: Path


def _divided(everything: PromptSet, config: WorstCaseConfig) -> tuple[PromptSet, PromptSet]:
    """The prompts that the search sees, and others that measure what it found."""
    scan = config.scan
    wanted = config.search + (scan.limit or len(everything))
    taken = everything.take(wanted, scan.sample_seed, first=scan.first)
    size = config.search
    if scan.first:
        # The first ones are those that were asked for; the search takes what follows them.
        asked = min(scan.limit, len(taken) - size)
        return (
            replace(taken, prompts=taken.prompts[asked : asked + size]),
            replace(taken, prompts=taken.prompts[:asked]),
        )
    return (
        replace(taken, prompts=taken.prompts[:size]),
        replace(taken, prompts=taken.prompts[size:]),
    )


def prepare(config: WorstCaseConfig) -> Prepared:
    """Check what can be checked, cheap things first, then load the model.

    Raises a SafebasinError that names what is wrong; nothing is written.
    """
    scan = config.scan
    everything = harmful_prompts(scan)
    if len(everything) <= config.search:
        raise UsageError(
            f"'{everything.name}' has {len(everything)} prompts, and the search alone takes "
            f"{config.search}.",
            "Give more prompts, or a smaller --search.",
        )
    searched, asked = _divided(everything, config)
    check_judges(scan.judges)
    base = None
    if config.aligned_from is not None:
        base = Checkpoint.parse(config.aligned_from, trust_remote_code=scan.trust_remote_code)
    checkpoint = checked(scan)
    if base is not None:
        base.check()
    subject = load(checkpoint, scan)
    alignment = None
    if base is not None:
        difference = Difference(base, checkpoint, subject.weights)
        alignment = relative(difference, subject.weights, name="alignment")
    scan, lexicon, judges = judged_by(subject, scan, everything)
    engine = build_engine(scan, subject, {}, judges)
    sampling = sampling_of(scan, engine.own_limit)
    search = {
        "ball": config.ball,
        "iterations": config.iterations,
        "restarts": config.restarts,
        "prompts": list(searched.ids),
        "sha256": everything.sha256,
    }
    identity = identity_of(subject, engine, sampling, search=search)
    folder = folder_of(scan, f"worst-{checkpoint.name}", identity)
    return Prepared(
        replace(config, scan=scan), subject, alignment, searched, asked, judges, lexicon, sampling,
        on_its_day(identity, folder, scan, subject.template), folder,
    )  # fmt: skip
