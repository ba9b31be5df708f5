"""`safebasin judges`: how far judges agree, with each other and with humans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.options import JsonOption, RunArgument
from safebasin.errors import UsageError

application = typer.Typer(
    help="How far judges agree, with each other and with humans.", no_args_is_help=True
)


@application.callback()
def group() -> None:
    """How far judges agree, with each other and with humans."""


@application.command()
def agree(
    run: RunArgument,
    judge: Annotated[
        str | None, typer.Option(help="Judges to add to those whose verdicts the run holds.")
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="The ASR up to which a point passes. [default: the run's]"),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Hold the judges of a run against each other, and say what depends on the judge."""
    from safebasin.agreement import compare_judges
    from safebasin.cli.agreement import print_comparison
    from safebasin.cli.console import tell
    from safebasin.judges import build_all
    from safebasin.results import budgets, lexicon_of
    from safebasin.run import RunFolder

    if tolerance is not None and not 0 <= tolerance < 1:
        raise UsageError(f"The tolerance is {tolerance}.", "Give a share in [0, 1).")
    lexicon = lexicon_of(RunFolder.read(run))
    more = () if judge is None else build_all(judge.split(","), lexicon)
    for line in budgets(run, more):
        tell(line)
    print_comparison(compare_judges(run, more, tolerance), as_json=json)


@application.command()
def calibrate(
    file: Annotated[
        Path, typer.Argument(help="Labelled answers as WildGuardTest or xstest-response has them.")
    ],
    judge: Annotated[str, typer.Option(help="Judges by name.")] = "refusal",
    label: Annotated[
        str, typer.Option(help="What the humans labelled: refusal, or harm.")
    ] = "refusal",
    run: Annotated[
        Path | None, typer.Option(help="Correct the ASR of this run's undisplaced model.")
    ] = None,
    observed: Annotated[
        str | None, typer.Option(help="Correct this ASR: successes/answers, such as 12/80.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure judges on answers that humans labelled, and correct an ASR for their mistakes."""
    from safebasin.agreement import calibrate_judge, read_labelled
    from safebasin.agreement.labelled import check_judge
    from safebasin.agreement.runs import observed_asr, origin_answers
    from safebasin.cli.agreement import print_calibrations
    from safebasin.cli.console import tell
    from safebasin.judges import AsksAgain, budget_for, build_all

    if label == "refusal":
        labelled = read_labelled(file, "refusal")
    elif label == "harm":
        labelled = read_labelled(file, "harm")
    else:
        raise UsageError(f"Unknown label '{label}'.", "Give refusal or harm.")
    if run is not None and observed is not None:
        raise UsageError("Both a run and an ASR are given.", "Give --run or --observed.")
    given = None if observed is None else parse_observed(observed)
    judges = build_all(judge.split(","))
    read = [*labelled.exchanges, *(() if run is None else origin_answers(run))]
    for one in judges:
        check_judge(one)
    for one in judges:
        if isinstance(one, AsksAgain):
            tell(budget_for(one, read))
    rows = []
    for one in judges:
        seen = observed_asr(run, one) if run is not None else given
        rows.append((calibrate_judge(one, labelled), seen))
    print_calibrations(rows, as_json=json)


def parse_observed(text: str) -> tuple[int, int]:
    """`12/80`: successes and answers."""
    parts = text.split("/")
    try:
        successes, answers = (int(part) for part in parts)
    except ValueError:
        raise UsageError(f"'{text}' is no share.", "Give --observed 12/80.") from None
    if not 0 <= successes <= answers or answers < 1:
        raise UsageError(f"'{text}' is no share of answers.", "Give --observed 12/80.")
    return successes, answers
