"""The tree of commands. Each command's module is imported only when it runs."""

from __future__ import annotations

import errno
from typing import Any

import typer

from safebasin.cli.commands import (
    attribute,
    bench_defences,
    certify,
    compare,
    conditions,
    defend,
    evaluate,
    finetune,
    judges,
    listing,
    merge,
    report,
    runs,
    scan,
    sharing,
    steer,
    testbed,
    trajectory,
    watch,
    worst_case,
)
from safebasin.cli.console import emit_error
from safebasin.cli.local_paths import LocalTyper
from safebasin.errors import UsageError
from safebasin.terminal import shorten

application = LocalTyper(
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
application.command("attribute")(attribute.attribute)
application.command("defend")(defend.defend)
application.command("bench-defences")(bench_defences.bench_defences)
application.command("steer")(steer.steer)
application.command("evaluate")(evaluate.evaluate)
application.command("rejudge")(runs.rejudge)
application.command("certify")(certify.certify)
application.command("report")(report.report)
application.command("figure")(report.figure)
application.command("watch")(watch.watch)
application.command("card")(sharing.card)
application.command("export")(sharing.export)
application.command("show")(runs.show)
application.command("verify")(runs.verify)
application.command("list")(listing.list_known)
application.add_typer(judges.application, name="judges")
application.add_typer(testbed.application, name="testbed")


@application.callback(invoke_without_command=True)
def version(
    version: bool = typer.Option(False, "--version", help="Print the version and leave."),
) -> None:
    if version:
        from importlib.metadata import version as installed

        print(f"safebasin {installed('safebasin')}")
        raise typer.Exit


# typer brings its own copy of click, or uses click itself, by its version.
_ClickException: type[Exception] = next(
    base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException"
)
_STOPPED = 130


def run() -> int:
    """Run what the command line asks for; returns the exit code.

    Raises SafebasinError for what a command refuses, and KeyboardInterrupt for Ctrl-C.
    """
    try:
        code = application(standalone_mode=False)
    except _ClickException as error:
        return _refused(error)
    except typer.Abort:
        raise KeyboardInterrupt from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise UsageError(
            f"'{shorten(str(error.filename))}' is longer than a path can be.",
            "Give a shorter name or path.",
        ) from error
    if code == _STOPPED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _refused(error: Any) -> int:
    """Show what is wrong with the command line as click does, and as an object for `--json`."""
    from safebasin.run.provenance import hide

    if isinstance(getattr(error, "message", None), str):
        error.message = hide(error.message)
    error.show()
    context = getattr(error, "ctx", None)
    path: list[str] = []
    while context is not None and context.parent is not None:
        path.insert(0, context.info_name)
        context = context.parent
    remedy = f"See `{' '.join(['safebasin', *path, '--help'])}`."
    code: int = error.exit_code
    emit_error("usage", error.format_message(), remedy, code)
    return code
