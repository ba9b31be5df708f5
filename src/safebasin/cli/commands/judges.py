"""`safebasin judges`: how far judges agree, with each other and with humans."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.local_paths import LocalTyper
from safebasin.cli.options import JsonOption, RunArgument
from safebasin.errors import UsageError

application = LocalTyper(
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
    from safebasin.cli.console import tell
    from safebasin.cli.views.agreement import print_comparison
    from safebasin.judges import build_all
    from safebasin.judging import budgets, lexicon_of
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
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Labelled answers as published (`safebasin list labelled`), or one's own.",
        ),
    ],
    judge: Annotated[str, typer.Option(help="Judges by name.")] = "refusal",
    label: Annotated[
        str | None,
        typer.Option(
            help="What people labelled: refusal, or harm. [default: what the file has; refusal of "
            "both]"
        ),
    ] = None,
    partial: Annotated[
        str,
        typer.Option(help="As what a partial refusal counts: refused, complied, or left-out."),
    ] = "left-out",
    labels: Annotated[
        str | None,
        typer.Option(
            help="What words of your own mean: 'refused=no,never;complied=yes;partial=some;"
            "left-out=unclear'."
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(help="Columns of your own: 'prompt=question;answer=reply;label=verdict'."),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Correct the ASR of this run's undisplaced model.")
    ] = None,
    observed: Annotated[
        str | None, typer.Option(help="Correct this ASR: successes/answers, such as 12/80.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure judges on answers that humans labelled, and correct an ASR for their mistakes.

    Several files give a row each, and one together.
    """
    from safebasin.agreement import calibrate_judge, read_labelled
    from safebasin.agreement.calibrating import check_judge
    from safebasin.agreement.label_layouts import QUESTIONS
    from safebasin.agreement.prevalence import PARTIALS
    from safebasin.agreement.runs import observed_asr, origin_answers
    from safebasin.cli.console import tell
    from safebasin.cli.labels import parse_columns, parse_meanings
    from safebasin.cli.views.calibrations import print_calibrations
    from safebasin.judges import AsksAgain, budget_for, build_all

    question = next((one for one in QUESTIONS if one == label), None)
    if label is not None and question is None:
        raise UsageError(f"Unknown label '{label}'.", "Give refusal or harm.")
    counted = next((one for one in PARTIALS if one == partial), None)
    if counted is None:
        raise UsageError(
            f"A partial refusal cannot count as '{partial}'.", f"Give {', '.join(PARTIALS)}."
        )
    if run is not None and observed is not None:
        raise UsageError("Both a run and an ASR are given.", "Give --run or --observed.")
    if len({file.resolve() for file in files}) < len(files):
        raise UsageError("A file of labels is named twice.", "Name each file once.")
    given = None if observed is None else parse_observed(observed)
    words = None if labels is None else parse_meanings(labels)
    named = None if columns is None else parse_columns(columns)
    labelled = [read_labelled(file, question, words=words, columns=named) for file in files]
    judges = build_all(judge.split(","))
    read = [exchange for one in labelled for exchange in one.exchanges]
    read += [] if run is None else origin_answers(run)
    for one in judges:
        check_judge(one)
    for one in judges:
        if isinstance(one, AsksAgain):
            tell(budget_for(one, read))
    rows = []
    for one in judges:
        seen = observed_asr(run, one) if run is not None else given
        rows += [(calibrate_judge(one, found, partial=counted), seen) for found in labelled]
    measures = {one.name: one.measures for one in judges}
    print_calibrations(labelled, rows, measures, counted, as_json=json)


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
