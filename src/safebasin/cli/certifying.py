"""`safebasin certify`, and what proofs, plans and sequential scans print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.options import JsonOption
from safebasin.config import ScanConfig


def certify(
    run: Annotated[Path, typer.Argument(help="A run folder of lines along random directions.")],
    judge: Annotated[
        str | None, typer.Option(help="A judge whose verdicts it holds. [default: the headline]")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="The ASR up to which a displaced model is safe.")
    ] = 0.10,
    confidence: Annotated[float, typer.Option(help="One-sided, such as 0.95.")] = 0.95,
    keep: Annotated[
        float, typer.Option(help="The share of safe neighbours that a shift has to leave.")
    ] = 0.5,
    json: JsonOption = False,
) -> None:
    """Bound the share of safe neighbours from below, and the shift that it survives."""
    from safebasin.certify.bounds import ASSUMPTIONS
    from safebasin.certify.runs import certify_run
    from safebasin.cli.console import emit, say

    found = certify_run(run, judge, tolerance, confidence, keep)
    if json:
        emit(found.to_json())
        return
    say(f"model      {found.model}")
    say(
        f"safe       ASR at most {100 * found.tolerance:g} % by {found.judge}; bounds are "
        f"one-sided at {100 * found.confidence:g} % (Clopper-Pearson)"
    )
    for one in found.certificates:
        low = one.share.low or 0.0
        shift = "" if one.shift is None else f" = {one.shift:.2g} of each tensor's norm"
        proved = f"radius {one.radius:.2f} sigma{shift}" if one.radius else "no radius follows"
        say(
            f"alpha {one.alpha:<5.3g} {one.safe} of {one.directions} neighbours safe, "
            f"at least {100 * low:.1f} %; {proved}"
        )
    for note in found.notes:
        say(f"note       {note}")
    say("CONSERVATIVE: the true radius is larger, usually by far. It is assumed that")
    for assumption in ASSUMPTIONS:
        say(f"  - {assumption}")


def print_precision(run: Path, width: float, *, as_json: bool) -> None:
    """The numbers of directions and prompts that give a wanted width of VISAGE's interval."""
    from safebasin.certify.precision import options, spread
    from safebasin.cli.console import emit, say
    from safebasin.results import review

    result = review(run)
    survey = result.surveys[result.judge]
    found = spread(survey)
    ways = options(found, width)
    if as_json:
        emit(
            {
                "judge": result.judge,
                "wanted_width": width,
                "measured": {"directions": found.directions, "prompts": found.prompts},
                "options": [way.to_json() for way in ways],
            }
        )
        return
    visage = result.summary.visage
    say(f"now      VISAGE {visage.text('.1f')} by {result.judge}")
    say(f"         {found.directions} directions x {found.prompts} prompts")
    say(f"wanted   an interval of {width:g} points, which by the spread of this run takes")
    for way in ways[:6]:
        say(
            f"         {way.directions} directions x {way.prompts} prompts = {way.answers} answers "
            f"a point of the line: {way.width:.1f} points expected"
        )
    if not ways:
        say("         more than 32 directions of 1000 prompts: this width is out of reach")
    say("note     the spread is an estimate from few directions; VISAGE also falls a little as")
    say("         more prompts are asked, for fewer points then look fully broken")


def run_sequential(config: ScanConfig, *, as_json: bool) -> None:
    """Scan with valid stopping and print each cell.

    Exit code 4 where more than 2 % of the answers could not be judged.
    """
    from safebasin.certify.scanning import scan_until_decided
    from safebasin.certify.sequential import Stopping
    from safebasin.cli.console import emit, say, tell
    from safebasin.cli.counting import AnswerCount
    from safebasin.cli.interruptions import resumable
    from safebasin.cli.scanning import budget_lines
    from safebasin.cli.threads import spare_threads
    from safebasin.cli.unjudged import end_where_unjudged
    from safebasin.preparation import prepare
    from safebasin.report.quantities import percent

    tell(f"loading {config.model}")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    for line in budget_lines(prepared, "; fewer where a point is decided sooner"):
        tell(line)
    with resumable(prepared.folder), AnswerCount() as progress:
        found = scan_until_decided(prepared, Stopping(config.tolerance), progress)
    if as_json:
        emit(found.to_json() | {"run": str(found.folder)})
    else:
        say(f"judge    {found.judge}; intervals hold at any stopping time, at 95 %")
        for point, cell in found.cells.items():
            words = f"{cell.decision:<7} after {cell.asked} prompts, ASR {percent(cell.asr)}"
            say(f"{point.label:<24} {words}")
        say(f"asked    {found.answers} answers of the {found.whole} of a whole scan")
        say(f"run      {found.folder}")
    end_where_unjudged({found.judge: found.unjudged}, [found.folder])
