"""`safebasin show`, `rejudge` and `verify`: what can be done with a run without its model."""

from __future__ import annotations

from typing import Annotated

import typer

from safebasin.cli.options import JsonOption, JudgeOption, RunArgument


def show(
    run: RunArgument,
    plan_precision: Annotated[
        float | None,
        typer.Option(help="Plan for an interval of VISAGE this wide, in points, by this run."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the numbers of a run again, and draw its pictures again.

    Exit code 4 where a judge left more than 2 % of the answers unjudged.
    """
    if plan_precision is not None:
        from safebasin.cli.certifying import print_precision

        print_precision(run, plan_precision, as_json=json)
        return
    from safebasin.cli.summary import print_result, unjudged_shares
    from safebasin.cli.unjudged import end_where_unjudged
    from safebasin.results import review

    result = review(run)
    print_result(result, as_json=json)
    end_where_unjudged(unjudged_shares(result.summaries), [run])


def rejudge(
    run: RunArgument,
    judge: JudgeOption,
    json: JsonOption = False,
) -> None:
    """Judge the stored answers of a run by other judges. The model is not needed.

    Judges behind an endpoint are asked again for what they left unjudged. Exit code 4 where more
    than 2 % of the answers could not be judged.
    """
    from safebasin.cli.console import tell
    from safebasin.cli.summary import print_result, unjudged_shares
    from safebasin.cli.unjudged import end_where_unjudged
    from safebasin.judges import build_all
    from safebasin.results import budgets, lexicon_of
    from safebasin.results import rejudge as judge_again
    from safebasin.run import RunFolder

    judges = build_all(judge.split(","), lexicon_of(RunFolder.read(run)))
    for line in budgets(run, judges):
        tell(line)
    result = judge_again(run, judges)
    print_result(result, as_json=json)
    shares = unjudged_shares(result.summaries)
    given = [one.name for one in judges if one.name in shares]
    end_where_unjudged({name: shares[name] for name in given}, [run])


def verify(run: RunArgument, json: JsonOption = False) -> None:
    """Check every file of a run against its digests; exit code 1 where something is wrong."""
    from dataclasses import asdict

    from safebasin.cli.console import emit, say
    from safebasin.run import verify as check
    from safebasin.terminal import printable

    found = check(run)
    if json:
        emit(asdict(found) | {"unmeasured": found.unmeasured})
    else:
        for problem in found.problems:
            say(str(problem))
        say(
            f"{len(found.problems)} problems · {found.complete} of {found.points} points complete, "
            f"{found.partial} in part, {found.unmeasured} not measured · {found.answers} answers"
        )
        for judge, verdicts in found.verdicts.items():
            say(f"{judge}: {verdicts} verdicts")
        for name, points in found.capabilities.items():
            say(f"{printable(name)}: measured at {points} points")
    if found.problems:
        raise typer.Exit(1)
