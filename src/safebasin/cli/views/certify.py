"""What proofs and plans print. No torch is loaded."""

from __future__ import annotations

from pathlib import Path

from safebasin.certify.bounds import ASSUMPTIONS
from safebasin.certify.precision import options, spread
from safebasin.certify.runs import Certified
from safebasin.cli.console import emit, say
from safebasin.results import review


def print_certified(found: Certified, *, as_json: bool) -> None:
    """The bounds of a run as one JSON object, or as a few lines."""
    if as_json:
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
