"""A run as one flat table: a row a point, prompt and judge.

Texts are left out unless asked for: answers may be harmful, and the prompts of some sets are not
to be passed on.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from safebasin.errors import RunError, UsageError
from safebasin.prompts.identity import shown_name
from safebasin.report.target import check_target
from safebasin.run import RunFolder
from safebasin.run.atomic import write_atomic
from safebasin.terminal import csv_cell, printable

Format = Literal["csv", "json", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)

COLUMNS = (
    "model", "prompts", "point", "displacement", "prompt_id", "finish", "prompt_tokens",
    "new_tokens", "origin_logprob", "judge", "outcome", "detail", "score", "reason",
)  # fmt: skip
"""Every column but those of the directions and of the texts."""

OWN: dict[str, re.Pattern[bytes]] = {
    "csv": re.compile(rb"\A(run,)?model,prompts,point,displacement,"),
    "json": re.compile(rb'\A\[\s*{\s*"(run|model)": '),
    "parquet": re.compile(rb"\APAR1"),
}
"""How an earlier table begins; of parquet any table does so."""


def rows(
    run: RunFolder, *, with_prompts: bool = False, with_answers: bool = False
) -> Iterator[dict[str, Any]]:
    """One row for each stored answer and judge; an answer without verdicts has one, judge None.

    `displacement` is the point's distance from the origin, and a column of each direction's name,
    after `along_`, holds its coefficient. What was not judged has outcome None, with the reason.
    `response` is all that the model wrote, `answer` what is left of it without a thought.
    """
    directions = sorted({axis.direction for plane in run.manifest.planes for axis in plane.axes})
    judges = run.judges()
    model = run.model_name
    prompts = shown_name(run.asked, run.manifest.content)
    for point in run.manifest.points:
        coefficients = dict(point.terms)
        verdicts = {name: run.read_verdicts(name, spec, point) for name, spec in judges.items()}
        for exchange in run.read_point(point) or ():
            row: dict[str, Any] = {
                "model": model,
                "prompts": prompts,
                "point": point.label,
                "displacement": point.distance,
                **{f"along_{name}": coefficients.get(name, 0.0) for name in directions},
                "prompt_id": exchange.prompt_id,
                "finish": exchange.finish,
                "prompt_tokens": exchange.prompt_tokens,
                "new_tokens": exchange.new_tokens,
                "origin_logprob": exchange.origin_logprob,
            }
            if with_prompts:
                row["prompt"] = exchange.prompt
            if with_answers:
                row["response"] = exchange.response
                row["answer"] = exchange.answer
            given = {
                name: found[exchange.prompt_id]
                for name, found in verdicts.items()
                if exchange.prompt_id in found
            }
            for name, verdict in given.items():
                yield {
                    **row,
                    "judge": name,
                    "outcome": verdict.outcome,
                    "detail": verdict.detail,
                    "score": verdict.score,
                    "reason": verdict.reason,
                }
            if not given:
                nothing = dict.fromkeys(("judge", "outcome", "detail", "score", "reason"))
                yield {**row, **nothing}


def export(
    run: RunFolder,
    path: Path,
    form: str,
    *,
    with_prompts: bool = False,
    with_answers: bool = False,
) -> int:
    """Write the table to a file and return its number of rows.

    A table that is there already is replaced. Raises UsageError for an unknown format and for a
    file that is something else or a run's own, RunError where the run is damaged or empty, the
    file cannot be written, or pyarrow is missing for parquet.
    """
    table = list(rows(run, with_prompts=with_prompts, with_answers=with_answers))
    return write_table(table, run.path, path, form)


def write_table(table: Sequence[dict[str, Any]], source: Path, path: Path, form: str) -> int:
    """Write rows, all with the same columns, to a file; returns their number.

    `source` is the folder that they are from. Raises as `export` does.
    """
    if form not in FORMATS:
        known = f"{', '.join(FORMATS)} and inspect"
        raise UsageError(f"Unknown format '{form[:40]}'.", f"Give one of {known}.")
    check_target(path, OWN[form])
    if not table:
        raise RunError(f"The run '{source}' holds no answers.", "Run the scan again.")
    writers = {"csv": _csv, "json": _json, "parquet": _parquet}
    write_atomic(path, writers[form](table))
    return len(table)


def _csv(table: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_cell(printable(name)) for name in table[0])
    for row in table:
        # Numbers stay numbers, also negative ones; only text can be a formula.
        writer.writerow(
            csv_cell(printable(value, lines=True)) if isinstance(value, str) else value
            for value in row.values()
        )
    return text.getvalue().encode("utf-8")


def _json(table: Sequence[dict[str, Any]]) -> bytes:
    return (json.dumps(list(table), indent=1, allow_nan=False) + "\n").encode("ascii")


def _parquet(table: Sequence[dict[str, Any]]) -> bytes:
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise RunError(
            "Parquet needs pyarrow, which is not installed.",
            "Run `pip install 'safebasin[parquet]'`, or give --format csv.",
        ) from None
    whole = [
        {
            name: _encodable(value) if isinstance(value, str) else value
            for name, value in row.items()
        }
        for row in table
    ]
    text = arrow.string()
    kinds = {"displacement": arrow.float64(), "origin_logprob": arrow.float64(),
             "score": arrow.float64(), "prompt_tokens": arrow.int64(),
             "new_tokens": arrow.int64()}  # fmt: skip
    fields = [
        (name, kinds.get(name, arrow.float64() if name.startswith("along_") else text))
        for name in table[0]
    ]
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_pylist(whole, schema=arrow.schema(fields)), buffer)
    return buffer.getvalue()


def _encodable(text: str) -> str:
    """The text with halves of surrogate pairs, which UTF-8 does not know, as their escapes."""
    halves = {ord(c): printable(c) for c in set(text) if "\ud800" <= c <= "\udfff"}
    return text.translate(halves) if halves else text
