"""`safebasin show`, `rejudge` and `verify`: what can be done with a run without its model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from safebasin.cli.options import JsonOption, JudgeOption, RunArgument

if TYPE_CHECKING:
    from safebasin.run import Verification
    from safebasin.run.kinds import StudyFolder


def show(
    run: RunArgument,
    plan_precision: Annotated[
        float | None,
        typer.Option(help="Plan for an interval of VISAGE this wide, in points, by this run."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print the numbers of a run again, and draw its pictures again.

    Of a comparison, evaluation, trajectory, conditions or worst case it prints the numbers, counted
    again from the records of its runs; of an attribution what it found.

    Exit code 4 where a judge left more than 2 % of the answers unjudged.
    """
    if plan_precision is not None:
        from safebasin.cli.views.certify import print_precision

        print_precision(run, plan_precision, as_json=json)
        return
    from safebasin.cli.summary import print_result, unjudged_shares
    from safebasin.cli.unjudged import end_where_unjudged
    from safebasin.results import review
    from safebasin.run.kinds import is_attribution, run_or_study

    if is_attribution(run):
        from safebasin.cli.views.attribute import show_attribution

        show_attribution(run, as_json=json)
        return
    if (study := run_or_study(run)) is not None:
        show_study(study, as_json=json)
        return
    result = review(run)
    print_result(result, as_json=json)
    end_where_unjudged(unjudged_shares(result.summaries), [run])


def show_study(study: StudyFolder, *, as_json: bool) -> None:
    """Print a study by its records; what its file says otherwise is an error."""
    from safebasin.cli.console import emit, say
    from safebasin.cli.unjudged import end_where_unjudged
    from safebasin.evidence.card import require_true, text_lines
    from safebasin.evidence.recount import recount

    found = recount(study)
    require_true(found)
    if as_json:
        emit(dict(found.stored) | {"kind": study.kind, "run": str(study.path)})
    else:
        for line in text_lines(found):
            say(line)
    head = found.headline
    end_where_unjudged({head.judge: head.unjudged_share}, [head.run.path])


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
    from safebasin.judging import budgets, lexicon_of
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
    """Check every file of a run, or of a study and its runs; exit code 1 where something is wrong.

    Files against their digests, records against the run and verdicts against the answers that they
    belong to, and what is derived from the records against them.
    """
    from dataclasses import asdict

    from safebasin.cli.console import emit, say
    from safebasin.evidence.verification import StudyVerification
    from safebasin.evidence.verification import verify as check

    found = check(run)
    if isinstance(found, StudyVerification):
        runs = {name: report_of(one) for name, one in found.runs.items()}
        if json:
            emit(
                {
                    "kind": found.kind,
                    "problems": [asdict(problem) for problem in found.problems],
                    "left_out": list(found.left_out),
                    "unsealed": list(found.unsealed),
                    "runs": runs,
                }
            )
        else:
            for problem in found.problems:
                say(str(problem))
            say(f"{found.kind}: {len(found.problems)} problems in it and its {len(runs)} runs")
            for name, one in found.runs.items():
                for line in verified_lines(one):
                    say(f"{name}: {line}")
            for what in found.left_out:
                say(f"not counted again: {what}")
            for name in found.unsealed:
                say(f"{name} holds no digest: an earlier version wrote it")
    elif json:
        emit(report_of(found))
    else:
        for problem in found.problems:
            say(str(problem))
        for line in verified_lines(found):
            say(line)
    if found.problems:
        raise typer.Exit(1)


def report_of(found: Verification) -> dict[str, object]:
    """What was found in a run, as JSON values."""
    from dataclasses import asdict

    return asdict(found) | {"unmeasured": found.unmeasured}


def verified_lines(found: Verification) -> Iterator[str]:
    """What a run holds, in lines for a person."""
    from safebasin.terminal import printable

    yield (
        f"{len(found.problems)} problems · {found.complete} of {found.points} points complete, "
        f"{found.partial} in part, {found.unmeasured} not measured · {found.answers} answers"
    )
    for judge, verdicts in found.verdicts.items():
        yield f"{printable(judge)}: {verdicts} verdicts"
    for name, points in found.capabilities.items():
        yield f"{printable(name)}: measured at {points} points"
    if found.unbound:
        yield (
            f"{found.unbound} records are not bound to this run or to the answers that they judge: "
            "an earlier version wrote them"
        )
    for name in found.unsealed:
        yield f"{printable(name)} holds no digest: an earlier version wrote it"
