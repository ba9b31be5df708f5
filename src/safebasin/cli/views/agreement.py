"""The agreement of judges as a person reads it."""

from __future__ import annotations

from safebasin.agreement import JudgeComparison
from safebasin.cli.console import emit, say
from safebasin.cli.summary import share, unjudged_shares
from safebasin.cli.unjudged import end_where_unjudged
from safebasin.landscape.intervals import Estimate
from safebasin.landscape.summary import Summary
from safebasin.report.quantities import percent


def print_comparison(result: JudgeComparison, *, as_json: bool) -> None:
    """A table of the judges, one of their agreement, and what depends on the judge.

    Exit code 4 where a judge left more than 2 % of the answers unjudged.
    """
    if as_json:
        emit(
            result.to_json()
            | {"run": str(result.folder), "figures": [str(path) for path in result.figures]}
        )
    else:
        _print_comparison(result)
    end_where_unjudged(unjudged_shares(result.summaries), [result.folder])


def _print_comparison(result: JudgeComparison) -> None:
    width = max(len(name) for name in result.summaries)
    say(f"{'judge':<{width}}  the map by each; intervals are at 95 %")
    for name, summary in result.summaries.items():
        say(f"{name:<{width}}  {_map(summary)}")
    say()
    say("agreement on every answer, with Cohen's kappa and Gwet's AC1")
    for pair in result.pairs:
        say(f"{pair.first} and {pair.second}: {share(pair.share, f'of {pair.both} answers alike')}")
        say(f"  all outcomes  kappa {noted(pair.kappa)}  AC1 {noted(pair.ac1)}")
        for outcome, (kappa, ac1) in pair.per_outcome.items():
            say(f"  {outcome:<12}  kappa {noted(kappa)}  AC1 {noted(ac1)}")
        if pair.either:
            say(f"  not judged by both: {pair.either}")
    for name in result.left_out:
        say(f"{name}: left out; it tells only broken text and has nothing in common to agree on")
    say()
    for warning in result.warnings:
        say(f"WARNING  depends on the judge: {warning}")
    if not result.warnings:
        say("the conclusions are the same by every judge")
    for path in result.figures:
        if path.suffix == ".png":
            say(f"picture  {path}")


def noted(found: Estimate) -> str:
    """An estimate with its interval and its note, if it has one."""
    return f"{found.text()} ({found.note})" if found.note else found.text()


def _map(summary: Summary) -> str:
    origin = "origin not in the grid"
    if summary.origin is not None:
        origin = f"origin ASR {percent(summary.origin.asr)}"
    extent = ""
    if summary.basin is not None:
        extent = f", basin width {summary.basin.width.text()}"
    if summary.region is not None:
        area = summary.region.area_share
        extent = ", basin not defined"
        if area.value is not None:
            extent = f", basin {percent(area)} of the plane"
    unjudged = f", unjudged {summary.unjudged}" if summary.unjudged else ""
    return f"{origin}{extent}, VISAGE {summary.visage.text('.1f')}{unjudged}"
