"""How `safebasin steer` runs: the steering, and how well its threshold tells prompts apart."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.cli.console import emit, say, tell
from safebasin.defences.scans import Scans
from safebasin.defences.scans_fit import MOST, described, fit, require_prompts
from safebasin.defences.scans_settings import SteerConfig
from safebasin.errors import DataError, UsageError
from safebasin.landscape.intervals import wilson
from safebasin.prompts import PromptSet
from safebasin.prompts.prompt import Kind
from safebasin.report.quantities import percent
from safebasin.run.manifest import require_same
from safebasin.run.names import canonical, digest, slug
from safebasin.subject.subject import Subject
from safebasin.terminal import printable
from safebasin.weights.parameters import layer_set

SHOWN = 9
"""How many thresholds of the curve are printed; the file and --json hold all."""


def run_steer(config: SteerConfig, *, as_json: bool) -> None:
    """Find, write and print.

    Raises DataError where the file that is to be written is there and holds no steering, and
    RunMismatch where it holds one that was found otherwise.
    """
    there = config.out is not None and os.path.lexists(config.out)
    earlier = _earlier(str(config.out)) if there else None
    loaded = _of_kind(config.harmful, "harmful"), _of_kind(config.benign, "benign")
    sets = [one.take(config.limit or 2 * MOST, config.sample_seed) for one in loaded]
    require_prompts(*sets)
    tell(f"loading {config.model}")
    subject = _loaded(config)
    blocks = None
    if config.blocks is not None:
        blocks = layer_set(config.blocks, subject.weights.parameters)
    if earlier is not None:
        _require_same(earlier, config, subject, sets, blocks)
    found = fit(subject, *sets, blocks=blocks, share=config.share)
    path = found.save(Path(config.out) if config.out else _default(found))
    if as_json:
        emit({**found.spec(), "found": dict(found.found), "file": str(path)})
        return
    for line in lines(found):
        say(line)
    say("")
    say(f"written  {path}")
    say(f"measure  safebasin evaluate {config.model} --steer {path}")


def _of_kind(name: str, kind: Kind) -> PromptSet:
    """The prompts of a set that are of this kind; UsageError where there are none."""
    found = prompt_sets.load(name, unstated=kind)
    own = tuple(prompt for prompt in found if prompt.kind == kind)
    if not own:
        raise UsageError(
            f"'{printable(name)}' holds no {kind} prompts.",
            "Give requests to be refused as --harmful, and such as resemble them as --benign.",
        )
    return found if len(own) == len(found) else replace(found, prompts=own)


def _require_same(
    earlier: Scans,
    config: SteerConfig,
    subject: Subject,
    sets: Sequence[PromptSet],
    blocks: Collection[int] | None,
) -> None:
    """Raise RunMismatch where the file holds a steering of other settings than those given."""
    kinds = ("harmful", "benign")
    recorded = {
        "model": earlier.model["fingerprint"],
        "share": earlier.share,
        **{kind: earlier.found[kind] for kind in kinds},
    }
    given = {
        "model": subject.checkpoint.fingerprint(),
        "share": config.share,
        **{kind: described(one) for kind, one in zip(kinds, sets, strict=True)},
    }
    if blocks is not None:
        recorded["blocks"], given["blocks"] = sorted(earlier.vectors), sorted(blocks)
    require_same(
        recorded,
        given,
        f"'{printable(config.out or '')}' holds a steering that was found otherwise",
        "Give another --out.",
    )


def _earlier(path: str) -> Scans:
    """The steering that is there."""
    try:
        return Scans.read(path)
    except DataError as error:
        raise DataError(
            f"'{printable(path)}' is there already and holds no steering that can be read, so that "
            "it is not overwritten.",
            "Give another --out.",
        ) from error


def lines(found: Scans) -> Iterator[str]:
    """What was found, as a person reads it."""
    spec, how = found.spec(), found.found
    yield f"model      {spec['model']['name']}, fingerprint {spec['model']['fingerprint'][:12]}"
    for kind in ("harmful", "benign"):
        yield f"{kind:10} {how[kind]['name']} ({how[kind]['prompts']})"
    yield f"refusals   begin with {_tokens(how['refusal_tokens'])}"
    if "begin_so" in how:  # not in files of earlier versions
        so, benign = how["begin_so"][1], how["anchors"][1]
        none = "" if so else ": no over-refusal is seen that steering could take away"
        yield f"           so begin the answers to {so} of {benign} benign anchors{none}"
    for third in how["thirds"]:
        blocks = ", ".join(map(str, third["blocks"])) or "none"
        top = _tokens(third["top"])
        yield f"blocks     {blocks}: {third['refusal_tokens']} of them among {top}"
    norms = ", ".join(f"{block} (norm {norm:.1f})" for block, norm in spec["norms"].items())
    yield f"steered    after block {norms}, by {spec['share']:g} of the norm"
    yield f"scored     blocks {', '.join(map(str, spec['scored']))}"
    accuracy = f"balanced accuracy {100 * how['balanced_accuracy']:.1f} % where chosen"
    yield f"threshold  {spec['threshold']:.3f}: {accuracy}"
    if "at_threshold" in how:  # not in files of earlier versions
        for kind in ("harmful", "benign"):
            own = how["at_threshold"][kind]
            share = wilson(own["above"], own["prompts"])
            counts = f"{own['above']} of {own['prompts']}"
            yield f"           {kind} at or above: {counts}, {percent(share)} at 95 %"
    yield "           threshold  harmful at or above  benign at or above"
    curve = how["curve"]
    for i in sorted({round(k * (len(curve) - 1) / (SHOWN - 1)) for k in range(SHOWN)}):
        at, harmful, benign = curve[i]
        yield f"           {at:9.3f}  {100 * harmful:17.1f} %  {100 * benign:16.1f} %"


def _loaded(config: SteerConfig) -> Subject:
    from safebasin.checkpoint import Checkpoint
    from safebasin.engines.template import Template
    from safebasin.weights import Weights

    checkpoint = Checkpoint.parse(config.model, trust_remote_code=config.trust_remote_code)
    checkpoint.check()
    checkpoint.require_blocks(config.blocks)
    model, tokenizer = checkpoint.load(config.dtype, config.device)
    template = Template.of(tokenizer, config.template, config.system)
    return Subject(checkpoint, model, tokenizer, Weights(model), template)


def _default(found: Scans) -> Path:
    spec: dict[str, Any] = found.spec()
    label = slug(f"steer-{spec['model']['name']}").rsplit("-", 1)[0]
    return Path("runs", f"{label}-{digest(canonical(spec).encode(), 8)}.safetensors")


def _tokens(tokens: list[str]) -> str:
    return " ".join(repr(printable(one)) for one in tokens)
