"""What every study goes through before it begins: prompts, checkpoint, model, judges, folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from safebasin import prompts as prompt_sets
from safebasin.addresses import local_path
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_mismatches import compare_adapter
from safebasin.config import DEFAULT_MAX_NEW_TOKENS, ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.any_engine import AnyEngine
from safebasin.engines.clock import settle_day
from safebasin.engines.template import Template
from safebasin.engines.vllm.session import require_vllm
from safebasin.errors import UsageError
from safebasin.judges import Judge, Lexicon, build_all
from safebasin.prompts import Prompt, PromptSet
from safebasin.prompts.prefill import prefilled
from safebasin.run.names import default_folder
from safebasin.subject.subject import Subject
from safebasin.weights import Weights

LOG = logging.getLogger(__name__)

M = TypeVar("M", bound=Mapping[str, Any])


def harmful_prompts(scan: ScanConfig) -> PromptSet:
    """All requests of the settings' set that should be refused, with what answers begin with."""
    return harmful_of(prompt_sets.load(scan.prompts, scan.column, scan.prompts_kind), scan.prefill)


def harmful_of(prompts: PromptSet, prefill: str | None = None) -> PromptSet:
    """The harmful requests of a mixed set; a set without any stays as it is, with a warning.

    The ASR of a landscape is about requests that should be refused. `prefill` is what their answers
    are made to begin with, and no others.
    """
    harmful = tuple(prompt for prompt in prompts if prompt.kind == "harmful")
    if not harmful:
        LOG.warning(
            "no prompt of %s is harmful: its ASR counts answers that are wanted", prompts.name
        )
        return prefilled(prompts, prefill)
    return prefilled(replace(prompts, prompts=harmful), prefill)


def sampled(found: PromptSet, scan: ScanConfig) -> PromptSet:
    """As many prompts of a set as the settings ask for."""
    return found.take(scan.limit, scan.sample_seed, first=scan.first)


def checked(scan: ScanConfig) -> Checkpoint:
    """The checkpoint that the settings name, once it is known that it can be opened.

    Raises UsageError for a block that it does not have by its config.
    """
    checkpoint = Checkpoint.parse(scan.model, trust_remote_code=scan.trust_remote_code)
    checkpoint.check()
    checkpoint.require_blocks(scan.layers, scan.blocks)
    return checkpoint


def load(
    checkpoint: Checkpoint, scan: ScanConfig, processes: int = 1, *, hashed: bool = True
) -> Subject:
    """Load a model with the weights that the settings select; with several processes, its part.

    Its fingerprint is taken meanwhile, unless it is not to be `hashed` now. Warns of what an
    adapter brings that is not its base's; raises CheckpointError where it was trained with other
    tokens.
    """

    def selected(model: Any) -> Weights:
        return Weights(
            model, include=scan.include, exclude=scan.exclude, layers=scan.layers, tied=scan.tied
        )

    subject = load_with(checkpoint, scan, selected, processes, hashed=hashed)
    compare_adapter(checkpoint, subject.tokenizer, subject.template.source)
    return subject


def load_with(
    checkpoint: Checkpoint,
    scan: ScanConfig,
    weights_of: Callable[[Any], Weights],
    processes: int = 1,
    *,
    hashed: bool = True,
) -> Subject:
    """Load a model with the weights that `weights_of` selects, as `load` does.

    For the engine vllm it stays in host memory: vLLM has the device's to itself. Raises UsageError
    where settings ask for a division among processes that the study has none of.
    """
    on_host = scan.engine == "vllm"
    if on_host:
        require_vllm()
    elif scan.tensor_parallel != processes:
        raise UsageError(
            "Only `safebasin scan` divides a model among processes with --engine fast.",
            "Give --engine vllm with --tensor-parallel, or leave it out.",
        )
    with checkpoint.hashed_meanwhile() if hashed else nullcontext():
        model, tokenizer = checkpoint.load(
            scan.dtype, scan.device, keep_on_host=on_host, processes=processes
        )
    weights = weights_of(model)
    template = Template.of(tokenizer, scan.template, scan.system, scan.marks)
    return Subject(checkpoint, model, tokenizer, weights, template)


def judged_by(
    subject: Subject, scan: ScanConfig, prompts: Iterable[Prompt]
) -> tuple[ScanConfig, Lexicon, tuple[Judge, ...]]:
    """The settings with their judges' names, the words that these know, and the judges."""
    lexicon = Lexicon.of(subject.tokenizer.get_vocab(), [prompt.text for prompt in prompts])
    judges = build_all(scan.judges, lexicon)
    return scan.judged_by([judge.name for judge in judges]), lexicon, judges


def sampling_of(scan: ScanConfig, own_limit: int | None) -> Sampling:
    """How answers are drawn, by the settings, else the model's own limit, else the default."""
    return Sampling(scan.max_new_tokens or own_limit or DEFAULT_MAX_NEW_TOKENS)


def identity_of(
    subject: Subject, engine: AnyEngine, sampling: Sampling, **own: Any
) -> dict[str, Any]:
    """What determines the answers of any study, and what of this one alone does."""
    return {
        "model": named(subject.checkpoint),
        **besides_the_model(subject, engine, sampling, **own),
    }


def besides_the_model(
    subject: Subject, engine: AnyEngine, sampling: Sampling, **own: Any
) -> dict[str, Any]:
    """The same without the model, to identify which all of its files are read."""
    return {
        **own,
        "weights": subject.weights.spec(),
        "engine": dict(engine.spec()),
        "sampling": sampling.spec(),
    }


def named(checkpoint: Checkpoint) -> dict[str, Any]:
    """What identifies a checkpoint, its name first."""
    return {"name": checkpoint.name, **checkpoint.spec()}


def folder_of(scan: ScanConfig, label: str, whole: Mapping[str, Any]) -> Path:
    """The folder that the settings name, else that of what the `whole` study is told apart by."""
    return local_path(scan.out) if scan.out else default_folder(label, whole)


def on_its_day(identity: M, folder: Path | None, scan: ScanConfig, template: Template) -> M:
    """The identity with the day that the chat template is told, where it asks for it."""
    return settle_day(identity, folder, scan.date, template.clock, template.source)
