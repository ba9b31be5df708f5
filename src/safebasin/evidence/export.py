"""A run or a whole study as one flat table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safebasin.report.export import rows, write_table
from safebasin.run import RunFolder
from safebasin.run.kinds import StudyFolder, run_or_study


def export(
    folder: Path, path: Path, form: str, *, with_prompts: bool = False, with_answers: bool = False
) -> int:
    """Write the table of a run, or of all runs of a study, and return its number of rows.

    Of a study the first column `run` says which of its runs a row is from; a direction that a run
    does not know is 0 there. Raises as `report.export.export` does, and RunError for a folder that
    is neither.
    """
    study = run_or_study(folder)
    texts = {"with_prompts": with_prompts, "with_answers": with_answers}
    if study is None:
        found = list(rows(RunFolder.read(folder), **texts))
    else:
        found = list(study_rows(study, **texts))
    return write_table(found, folder, path, form)


def study_rows(
    study: StudyFolder, *, with_prompts: bool = False, with_answers: bool = False
) -> Iterator[dict[str, Any]]:
    """The rows of every run of a study, all with the same columns, `run` before the others."""
    runs = [RunFolder.read(path) for path in study.runs]
    along = sorted(
        {
            f"along_{axis.direction}"
            for run in runs
            for plane in run.manifest.planes
            for axis in plane.axes
        }
    )
    for run in runs:
        for row in rows(run, with_prompts=with_prompts, with_answers=with_answers):
            table: dict[str, Any] = {"run": run.path.name}
            for name, value in row.items():
                if name == "prompt_id":  # the coefficients stand before it
                    table |= {column: row.get(column, 0.0) for column in along}
                if name not in along:
                    table[name] = value
            yield table
