"""How `safebasin worst-case` runs: the search, then how far each direction is safe."""

from __future__ import annotations

import math
from collections.abc import Iterator

from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.planning import ends_with_plan
from safebasin.cli.steps import Steps
from safebasin.cli.threads import spare_threads
from safebasin.report.asked_under import told
from safebasin.worst_case.preparation import prepare
from safebasin.worst_case.settings import WorstCaseConfig
from safebasin.worst_case.study import Found, plan, search


def run_worst_case(
    config: WorstCaseConfig, *, as_json: bool, dry_run: bool = False, no_probe: bool = False
) -> None:
    """Search, measure and print."""
    tell(f"loading {config.scan.model}")
    prepared = prepare(config)
    spare_threads(prepared.subject.model)
    tell(f"system message: {told(prepared.subject.template.rendered.to_json())}")
    if ends_with_plan(
        lambda probe: plan(prepared, probe=probe), config.scan, prepared.folder,
        dry_run=dry_run, no_probe=no_probe, as_json=as_json,
    ):  # fmt: skip
        return
    tell(f"searching in {prepared.folder}")
    with resumable(prepared.folder), AnswerCount() as count:
        found = search(
            prepared, count, Steps("search", lambda score: f"{_share(score)} begin otherwise")
        )
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
    start, *reached = found.scores
    yield f"model    {found.model}"
    yield f"asked    {found.prompts} prompts that the search did not see; intervals are at 95 %"
    yield (
        f"search   answers that begin otherwise than refusals: {_share(start)} at the origin, "
        f"{_share(max(reached))} at the worst place"
    )
    yield ""
    yield f"effective length: how far ASR is at most {100 * found.tolerance:.0f} %, in ‖W‖"
    width = max(len(line.name) for line in found.lines)
    for line in found.lines:
        back = "" if line.back is None else f"   back {line.back.text('.3f')}"
        yield f"  {line.name:<{width}}  {line.length.text('.3f')}{back}"
    yield ""
    for path in found.files:
        yield f"saved    {path}"
    yield f"run      {found.folder}"
    for path in found.figures:
        if path.suffix == ".png":
            yield f"picture  {path}"


def _share(score: float) -> str:
    """A mean log-probability as the geometric mean of the probabilities."""
    return f"{100 * math.exp(score):.1f} %"
