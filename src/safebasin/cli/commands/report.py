"""`safebasin report` and `figure`: pages and pictures of runs. No model is needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from safebasin.cli.options import RunArgument
from safebasin.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from safebasin.report.sheet import Sheet


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Run folders, several are compared; or one of a trajectory, a comparison or "
            "conditions."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file. [default: report.html in the run folder, or here for several]"
        ),
    ] = None,
    show_text: Annotated[
        bool,
        typer.Option(
            "--show-text", help="Include prompts and answers, folded away; they may be harmful."
        ),
    ] = False,
) -> None:
    """Write one HTML file that shows runs: it works offline and loads nothing.

    A scan that goes on is not disturbed. Without --show-text the file holds fingerprints and
    verdicts in the place of prompts and answers.
    """
    from safebasin.cli.console import say, size
    from safebasin.report.page import OWN_PAGE, PAGE, write_page
    from safebasin.report.studies import read_study, runs_in
    from safebasin.report.target import check_target
    from safebasin.results import look

    given = runs
    runs = [part for run in given for part in runs_in(run)]
    if len({run.resolve() for run in runs}) < len(runs):
        raise UsageError("A run is given twice.", "Give each run once.")
    studies = {run: study for run in runs if (study := read_study(run)) is not None}
    if studies and len(runs) > 1:
        raise UsageError(
            f"'{next(iter(studies))}' is a whole trajectory or comparison, not one run.",
            "Report it alone, or give the run folders in it.",
        )
    study = next(iter(studies.values()), None)
    if study is None:
        found = [look(run) for run in runs]
    else:
        found = [look(part, study.tolerance) for part in study.runs(runs[0])]
    path = out or (given[0] / PAGE if len(given) == 1 else Path(PAGE))
    check_folder(path.parent)
    if path.name != PAGE:
        check_target(path, OWN_PAGE)
    write_page(path, found, show_text=show_text, study=study)
    say(f"report   {path} ({size(path.stat().st_size)})")
    if show_text:
        say("note     it holds the answers as they are; they may be harmful")


def figure(
    run: RunArgument,
    figure: Annotated[
        str,
        typer.Option(help="curve, contour, surface, shares, capability; trajectory or layers."),
    ] = "curve",
    format: Annotated[
        str | None, typer.Option(help="png, svg or pdf. [default: by --out, else png]")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The file. [default: figures/NAME.FORMAT in the run folder]")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(help="A judge of the run. [default: that of the headline]")
    ] = None,
    plane: Annotated[int, typer.Option(help="Which of several planes, from 1.")] = 1,
    width: Annotated[
        float | None,
        typer.Option(help="Inches, such as 3.25 for a column of a paper. [default: for a screen]"),
    ] = None,
    font_size: Annotated[
        float | None, typer.Option(help="Points of the letters. [default: 8 with --width]")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="In the place of the model's name; '' for none in a column.")
    ] = None,
    elevation: Annotated[
        float | None,
        typer.Option(help="Of a surface's eye, 0 to 90 degrees. [default: origin in sight]"),
    ] = None,
    azimuth: Annotated[
        float | None, typer.Option(help="Of a surface's eye, in degrees. [default: -58]")
    ] = None,
) -> None:
    """Draw one picture by its name, such as for a paper.

    With --width or --font-size it is laid out for a column: a title, one line, and the picture.
    `trajectory` takes the folder that `safebasin trajectory` wrote, `layers` that of `safebasin
    compare`, the others take a run.
    """
    from safebasin.cli.console import say
    from safebasin.report.named import STUDY_FIGURES
    from safebasin.report.sheet import Sheet
    from safebasin.report.style import picture, save
    from safebasin.run.atomic import write_atomic

    sheet = Sheet(width, font_size, title)
    angles = (elevation, azimuth)
    if figure in STUDY_FIGURES:
        if angles != (None, None):
            raise UsageError(
                f"A picture of {figure} is not seen from an angle.",
                "Leave out --elevation and --azimuth.",
            )
        drawn = study_figure(run, figure, judge, sheet)
    else:
        drawn = run_figure(run, figure, judge, plane, sheet, angles)
    form = format or ("png" if out is None else out.suffix.removeprefix("."))
    target = out or run / "figures" / f"{figure}.{form}"
    if target.suffix != f".{form}":
        raise UsageError(
            f"'{target.name}' does not end in .{form}.", "Let --out and --format agree."
        )
    if out is not None:
        check_folder(out.parent)
    with sheet.styled():
        if out is None:
            save(drawn, target.parent, target.stem, (form,))
        else:
            write_atomic(target, picture(drawn, form))
    say(f"picture  {target}")


def run_figure(
    run: Path,
    name: str,
    judge: str | None,
    plane: int,
    sheet: Sheet,
    angles: tuple[float | None, float | None],
) -> Figure:
    """A picture of one run."""
    from safebasin.report.named import check_kind, named_figure
    from safebasin.results import look

    check_kind(run, name)
    found = look(run)
    judge = judge or found.judge
    if judge not in found.surveys:
        raise UsageError(
            f"The run holds no verdicts of '{judge}'.", f"Give one of {', '.join(found.surveys)}."
        )
    summary = found.summaries[judge]
    part = summary.basin or summary.region
    return named_figure(
        name,
        found.surveys[judge],
        found.shares,
        model=found.model,
        prompts=found.prompts,
        plane=plane,
        capabilities=found.capabilities,
        sheet=sheet,
        elevation=angles[0],
        azimuth=angles[1],
        **({} if part is None else {"tolerance": part.tolerance}),
    )


def study_figure(folder: Path, name: str, judge: str | None, sheet: Sheet) -> Figure:
    """A picture of a whole trajectory or comparison, whose checkpoints one judge judged."""
    from safebasin.report.layers import layers_figure
    from safebasin.report.studies import read_change, read_way
    from safebasin.report.trajectory import trajectory_figure
    from safebasin.results import look

    if name == "layers":
        change = read_change(folder)
        if judge is not None:
            raise UsageError("Distances of layers have no judge.", "Leave --judge out.")
        return layers_figure(change, sheet)
    way = read_way(folder)
    if judge not in (None, way.judge):
        raise UsageError(
            f"The checkpoints were judged by '{way.judge}', not '{judge}'.", "Leave --judge out."
        )
    [plane] = way.runs(folder)
    found = look(plane, way.tolerance)
    if way.judge not in found.surveys:
        raise UsageError(
            f"The run '{plane}' holds no verdicts of '{way.judge}', which judged the checkpoints.",
            f"Give it some with `safebasin rejudge {plane} --judge {way.judge}`.",
        )
    return trajectory_figure(found.surveys[way.judge], way, sheet)


def check_folder(folder: Path) -> None:
    """Raises UsageError for a folder that is not there."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder '{folder}'.", "Make it first, or give another --out.")
