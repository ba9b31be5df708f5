"""What the search for the worst direction needs, loaded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_mismatches import compare_adapter
from safebasin.compare.preparation import sampling_of
from safebasin.directions import Combination, Difference, relative
from safebasin.engines import Sampling
from safebasin.engines.clock import settle_day
from safebasin.engines.template import Template
from safebasin.errors import UsageError
from safebasin.judges import Judge, Lexicon, build_all, check_judges
from safebasin.preparation import build_engine, harmful_of
from safebasin.prompts import PromptSet
from safebasin.run.names import default_folder
from safebasin.weights import Weights
from safebasin.worst_case.settings import WorstCaseConfig


@dataclass(frozen=True)
class Prepared:
    """A search with nothing computed or written yet."""

    config: WorstCaseConfig
    checkpoint: Checkpoint
    model: Any
    tokenizer: Any
    weights: Weights
    template: Template
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
    everything = harmful_of(prompt_sets.load(scan.prompts, scan.column, scan.prompts_kind))
    if len(everything) <= config.search:
        raise UsageError(
            f"'{everything.name}' has {len(everything)} prompts, and the search alone takes "
            f"{config.search}.",
            "Give more prompts, or a smaller --search.",
        )
    searched, asked = _divided(everything, config)
    check_judges(scan.judges)
    checkpoint = Checkpoint.parse(scan.model, trust_remote_code=scan.trust_remote_code)
    base = None if config.aligned_from is None else Checkpoint.parse(config.aligned_from)
    for one in (checkpoint, base):
        if one is not None:
            one.check()
    model, tokenizer = checkpoint.load(scan.dtype, scan.device)
    weights = Weights(model, include=scan.include, exclude=scan.exclude, layers=scan.layers)
    template = Template.of(tokenizer, scan.template, scan.system, scan.marks)
    compare_adapter(checkpoint, tokenizer, template.source)
    alignment = None
    if base is not None:
        alignment = relative(Difference(base, checkpoint, weights), weights, name="alignment")
    lexicon = Lexicon.of(tokenizer.get_vocab(), [prompt.text for prompt in everything])
    judges = build_all(scan.judges, lexicon)
    scan = scan.judged_by([judge.name for judge in judges])
    config = replace(config, scan=scan)
    engine = build_engine(scan, model, weights, {}, template, judges)
    sampling = sampling_of(engine, scan)
    identity = {
        "model": {"name": checkpoint.name, **checkpoint.spec()},
        "weights": weights.spec(),
        "engine": dict(engine.spec()),
        "sampling": sampling.spec(),
        "search": {
            "ball": config.ball,
            "iterations": config.iterations,
            "restarts": config.restarts,
            "prompts": list(searched.ids),
            "sha256": everything.sha256,
        },
    }
    folder = Path(scan.out) if scan.out else default_folder(f"worst-{checkpoint.name}", identity)
    identity = settle_day(identity, folder, scan.date, template.clock, template.source)
    return Prepared(
        config, checkpoint, model, tokenizer, weights, template, alignment, searched, asked,
        judges, lexicon, sampling, identity, folder,
    )  # fmt: skip
