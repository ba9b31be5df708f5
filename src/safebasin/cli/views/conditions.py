"""How `safebasin conditions` runs: progress, then a few lines a condition."""

from __future__ import annotations

from collections.abc import Iterator

from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.planning import ends_with_plan, whole_or_share
from safebasin.cli.threads import spare_threads
from safebasin.conditions.preparation import prepare
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.study import Found, study, study_shard
from safebasin.report.asked_under import told
from safebasin.report.quantities import percent


def run_conditions(
    config: ConditionsConfig, *, as_json: bool, dry_run: bool = False, no_probe: bool = False
) -> None:
    """Measure and print."""
    tell(f"loading {config.scan.model}")
    prepared = prepare(config)
    spare_threads(prepared.conditions[0].engine.model)
    if ends_with_plan(
        lambda probe: prepared.plan(probe=probe), config.scan, prepared.folder,
        dry_run=dry_run, no_probe=no_probe, as_json=as_json,
    ):  # fmt: skip
        return
    count = len(prepared.conditions)
    tell(f"measuring {count} condition{'s' * (count != 1)} in {prepared.folder}")
    with resumable(prepared.folder), AnswerCount() as heard:
        found = whole_or_share(
            config.scan,
            lambda: study(prepared, heard),
            lambda shard: study_shard(prepared, shard, heard),
            prepared.folder,
            as_json=as_json,
        )
    if found is None:
        return
    if as_json:
        emit(
            found.to_json()
            | {"run": str(found.folder), "figures": [str(path) for path in found.figures]}
        )
        return
    for line in lines(found):
        say(line)


def lines(found: Found) -> Iterator[str]:
    """The result as a person reads it."""
    yield f"model    {found.model}"
    yield f"judge    {found.judge}; every interval is at 95 %"
    yield ""
    for one in found.conditions:
        kind = (
            f"system prompt {told(one.rendered)}"
            if one.attack is None
            else f"attack ({one.attack})"
        )
        yield f"{one.name}: {kind}, {one.prompts} prompts"
        origin = one.summary.origin
        if origin is not None:
            yield f"  origin   ASR {percent(origin.asr)}"
        yield f"  VISAGE   {one.summary.visage.text('.1f')}"
        if one.summary.basin is not None:
            yield f"  width    {one.summary.basin.width.text()}"
        note = f" ({one.stopped.note})" if one.stopped.note else ""
        yield f"  stopped  {percent(one.stopped)} within {found.neighbourhood:g}{note}"
    yield ""
    yield f"run      {found.folder}"
    for path in found.figures:
        if path.suffix == ".png":
            yield f"picture  {path}"
