"""`safebasin card` and `export`: what leaves a run folder, with nothing harmful by default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.options import JsonOption, RunArgument


def card(
    run: RunArgument,
    out: Annotated[
        Path | None, typer.Option(help="A file for the section. [default: standard output]")
    ] = None,
    eval_results: Annotated[
        Path | None, typer.Option(help="Also write the hub's .eval_results YAML to this file.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="The hub data set of the prompts. [default: the set's own]")
    ] = None,
) -> None:
    """Write a section for a model card: numbers, judges, prompts' revision, command. No texts.

    RUN is a run, or the folder of a comparison, evaluation, trajectory, conditions or worst case.
    All numbers are counted from the records. Of a comparison the hub is given the ASR of the tuned
    model, of a trajectory that of the last checkpoint.

    Exit code 4 where a judge left more than 2 % of the answers unjudged; the section says so, and
    no .eval_results are written.
    """
    from safebasin.cli.console import tell
    from safebasin.cli.unjudged import end_where_unjudged
    from safebasin.report import card as cards
    from safebasin.report.target import check_target
    from safebasin.run.atomic import write_atomic
    from safebasin.run.provenance import hide

    if dataset is not None:
        cards.check_dataset(dataset)
    if out is not None:
        check_target(out, cards.OWN_CARD)
    if eval_results is not None:
        check_target(eval_results, cards.OWN_RESULTS)
    section, results, unjudged = contents(run, dataset, with_results=eval_results is not None)
    section = hide(section)
    if out is None:
        print(section, end="")
    else:
        write_atomic(out, section.encode())
        tell(f"written to {out}")
    if eval_results is not None and results is not None:
        write_atomic(eval_results, results.encode())
        tell(f"written to {eval_results}")
    shares, folder = unjudged
    end_where_unjudged(shares, [folder])


def contents(
    folder: Path, dataset: str | None, *, with_results: bool
) -> tuple[str, str | None, tuple[dict[str, float], Path]]:
    """The section and the hub's YAML of a run or a study, counted from the records.

    And the share that each judge left unjudged, with the run folder whose verdicts say why.
    """
    from safebasin.evidence import card as studies
    from safebasin.evidence.recount import recount
    from safebasin.report import card as cards
    from safebasin.results import look
    from safebasin.run import RunFolder
    from safebasin.run.kinds import run_or_study

    study = run_or_study(folder)
    if study is not None:
        found = recount(study)
        head = found.headline
        section = studies.card(found)
        results = studies.eval_results(found, dataset) if with_results else None
        return section, results, ({head.judge: head.unjudged_share}, head.run.path)
    opened, summary = RunFolder.read(folder), look(folder).to_json()
    section = cards.card(opened, summary)
    results = cards.eval_results(opened, summary, dataset) if with_results else None
    return section, results, (cards.unjudged_shares(summary), folder)


def export(
    run: RunArgument,
    form: Annotated[str, typer.Option("--format", help="csv, json, parquet or inspect.")] = "csv",
    out: Annotated[Path | None, typer.Option(help="The file. [default: RUN.csv and so on]")] = None,
    with_prompts: Annotated[
        bool, typer.Option("--with-prompts", help="Include the prompts; mind their licence.")
    ] = False,
    with_answers: Annotated[
        bool, typer.Option("--with-answers", help="Include the answers, harmful ones too.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write every answer's verdicts as one flat table.

    Of a study, such as `compare` writes, the table holds the rows of all its runs, and a column
    `run` says of which; an Inspect log is of one run.
    """
    from safebasin.cli.console import emit, say
    from safebasin.evidence.export import export as write
    from safebasin.report.inspect_log import inspect_log
    from safebasin.run import RunFolder

    texts = {"with_prompts": with_prompts, "with_answers": with_answers}
    if form == "inspect":
        path = out or Path(f"{run.resolve().name}.eval")
        count = inspect_log(RunFolder.read(run), path, **texts)
    else:
        path = out or Path(f"{run.resolve().name}.{form}")
        count = write(run, path, form, **texts)
    if json:
        emit({"rows": count, "file": str(path)})
        return
    say(f"{count} rows in {path}")
    left_out = [
        name for name, given in (("prompts", with_prompts), ("answers", with_answers)) if not given
    ]
    if left_out:
        options = " and ".join(f"--with-{name}" for name in left_out)
        include = "include them" if len(left_out) > 1 else "includes them"
        say(f"{' and '.join(left_out)} are left out; {options} {include}")
