"""The tree of commands. Each command's module is imported only when it runs."""

from __future__ import annotations

import typer

from safebasin.cli import (
    certifying,
    compare,
    conditions,
    evaluate,
    finetune,
    judging,
    listing,
    merge,
    report,
    runs,
    scan,
    sharing,
    testbed,
    trajectory,
    watch,
    worst_case,
)

application = typer.Typer(
    name="safebasin",
    help="Maps how robust the safety of an open-weight language model is in weight space.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
application.command("scan")(scan.scan)
application.command("compare")(compare.compare)
application.command("trajectory")(trajectory.trajectory)
application.command("finetune")(finetune.finetune)
application.command("merge")(merge.merge)
application.command("conditions")(conditions.conditions)
application.command("worst-case")(worst_case.worst_case)
application.command("evaluate")(evaluate.evaluate)
application.command("rejudge")(runs.rejudge)
application.command("certify")(certifying.certify)
application.command("report")(report.report)
application.command("figure")(report.figure)
application.command("watch")(watch.watch)
application.command("card")(sharing.card)
application.command("export")(sharing.export)
application.command("show")(runs.show)
application.command("verify")(runs.verify)
application.command("list")(listing.list_known)
application.add_typer(judging.application, name="judges")
application.add_typer(testbed.application, name="testbed")


@application.callback(invoke_without_command=True)
def version(
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"safebasin {installed('safebasin')}")
        raise typer.Exit
