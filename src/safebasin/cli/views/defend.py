"""How `safebasin defend` runs: the model, then its comparison with the one that it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.threads import spare_threads
from safebasin.cli.views import compare as view
from safebasin.compare.comparison import Comparison
from safebasin.compare.preparation import prepare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare
from safebasin.defences.making import Defended, defend
from safebasin.defences.settings import DefendConfig

COMPARED = "compare"
"""The folder of the comparison within that of the model."""


def run_defend(config: DefendConfig, *, as_json: bool) -> None:
    """Make the model, measure it unless that is off, and print."""
    tell(f"loading {config.model}")
    with resumable(Path(config.out or "runs"), "a model that was finished"):
        made = defend(config, sys.argv)
    tell(f"{'written to' if made.made else 'was made before:'} {made.folder}")
    found = measured(config, made) if config.measure else None
    if as_json:
        compared = None if found is None else found.stored() | {"run": str(found.folder)}
        emit(made.to_json() | {"comparison": compared})
        return
    for line in lines(made):
        say(line)
    if found is not None:
        say("")
        view.print_comparison(found, as_json=False)


def measured(config: DefendConfig, made: Defended) -> Comparison:
    """The defended model against the model as it was."""
    prepared = prepare(comparison(config, made))
    spare_threads(prepared.engine.model)
    tell(f"comparing in {prepared.folder}")
    with resumable(prepared.folder), AnswerCount() as count:
        return compare(prepared, count)


def comparison(config: DefendConfig, made: Defended) -> CompareConfig:
    """What is measured of both."""
    packaged = config.model.startswith("testbed:")
    return CompareConfig(
        tuned=str(made.folder),
        scan=config.measured_in(str(made.folder / COMPARED)),
        benign=config.benign or ("testbed:benign" if packaged else None),
        capability=config.questions or ("testbed:capability" if packaged else None),
        reach=config.reach,
        steps=config.steps,
        refine=config.refine,
        # Whether the defended model is safe: what it was before may have been at the top already.
        max_asr=config.scan.tolerance,
        max_asr_rise=None,
        min_margin=None,
    )


def lines(made: Defended) -> Iterator[str]:
    """What was made, as a person reads it."""
    record = made.record
    method, model = record["identity"]["method"], record["identity"]["model"]
    settings = [
        f"{key} {value['name'] if isinstance(value, dict) else value}"
        for key, value in method.items()
        if key != "kind" and value is not None
    ]
    yield f"defence  {method['kind']} at strength {record['identity']['strength']:g}"
    for setting in settings:
        yield f"         {setting}"
    yield f"model    {model['name']}, fingerprint {model['fingerprint'][:12]}"
    yield f"moved    {record['moved']} of {record['of']} weights, by {_share(record)} of their norm"
    chosen = (record.get("found") or {}).get("chosen")
    if chosen:
        place = f"the entrance of block {chosen['block']}, token {chosen['token']}"
        odds = f"{chosen['bypass']:.1f} without it, {chosen['induce']:.1f} with it added"
        yield f"found    at {place}, KL {chosen['kl']:.3f} nats"
        yield f"         refusal at log-odds {odds}"
    yield f"written  {made.folder}, {record['dtype']}, fingerprint {record['fingerprint'][:12]}"
    for note in record["notes"]:
        yield f"note     {note}"


def _share(record: Mapping[str, Any]) -> str:
    return f"{100 * record['relative_length']:.3g} %"
