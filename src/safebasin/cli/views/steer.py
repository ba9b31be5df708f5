"""How `safebasin steer` runs: the steering, and how well its threshold tells prompts apart."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safebasin import prompts as prompt_sets
from safebasin.cli.console import emit, say, tell
from safebasin.defences.scans import Scans
from safebasin.defences.scans_fit import MOST, fit
from safebasin.defences.scans_settings import SteerConfig
from safebasin.errors import DataError
from safebasin.run.names import canonical, digest, slug
from safebasin.subject.subject import Subject
from safebasin.terminal import printable
from safebasin.weights.parameters import layer_set

SHOWN = 9
"""How many thresholds of the curve are printed; the file and --json hold all."""


def run_steer(config: SteerConfig, *, as_json: bool) -> None:
    """Find, write and print.

    Raises DataError where the file that is to be written is there and holds no steering.
    """
    if config.out is not None and os.path.lexists(config.out):
        _require_steering(config.out)
    loaded = (
        prompt_sets.load(config.harmful, unstated="harmful"),
        prompt_sets.load(config.benign, unstated="benign"),
    )
    sets = [one.take(config.limit or 2 * MOST, config.sample_seed) for one in loaded]
    tell(f"loading {config.model}")
    subject = _loaded(config)
    blocks = None
    if config.blocks is not None:
        blocks = layer_set(config.blocks, subject.weights.parameters)
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


def _require_steering(path: str) -> None:
    try:
        Scans.read(path)
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
    for third in how["thirds"]:
        blocks = ", ".join(map(str, third["blocks"])) or "none"
        top = _tokens(third["top"])
        yield f"blocks     {blocks}: {third['refusal_tokens']} of them among {top}"
    norms = ", ".join(f"{block} (norm {norm:.1f})" for block, norm in spec["norms"].items())
    yield f"steered    after block {norms}, by {spec['share']:g} of the norm"
    yield f"scored     blocks {', '.join(map(str, spec['scored']))}"
    accuracy = f"balanced accuracy {100 * how['balanced_accuracy']:.1f} % where chosen"
    yield f"threshold  {spec['threshold']:.3f}: {accuracy}"
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
