"""The bench's summary as text, Markdown and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from safebasin.defence_bench.summary import GROUPS, MEASURES
from safebasin.landscape.intervals import Estimate
from safebasin.terminal import csv_cell, printable

Row = Mapping[str, Any]

COLUMNS: dict[str, tuple[str, float, str]] = {
    "asr": ("ASR %", 100, ".0f"),
    "at_maximum": ("at maximum %", 100, ".0f"),
    "ablated_asr": ("ASR ablated %", 100, ".0f"),
    "complied": ("complied %", 100, ".0f"),
    "incoherent": ("incoherent %", 100, ".0f"),
    "over_refusal": ("over-refusal %", 100, ".0f"),
    "kl": ("KL, nats", 1, ".3f"),
    "capability": ("capability %", 100, ".0f"),
    "loss": ("loss of the rows", 1, ".2f"),
    "width": ("width", 1, ".2f"),
    "visage": ("VISAGE", 1, ".0f"),
    "margin": ("margin", 1, "+.2f"),
    "seconds": ("CPU s", 1, ".1f"),
    "parameters": ("numbers", 1, ".0f"),
}
"""The columns of the table: what they are called, by what the value is multiplied, how shown."""
TITLES = {key: title for key, (title, _, _) in COLUMNS.items()} | {"best_asr": "highest ASR %"}


def shown(value: Any, factor: float, how: str, *, interval: bool = True) -> str:
    """`12 (3 to 20)`, or `-` for what has no value; without its interval where it has no width."""
    one = Estimate.from_json(value)
    if one.value is None:
        return "-"
    ends = [one.low, one.high]
    if not interval or None in ends or one.low == one.high:
        return f"{factor * one.value:{how}}"
    low, high = (f"{factor * float(end or 0.0):{how}}" for end in ends)
    return f"{factor * one.value:{how}} ({low} to {high})"


def groups(found: Mapping[str, Any]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of the table by fine-tune: first the means over several, where there are some."""
    every = [*found["means"], *found["rows"]]
    for name in (*GROUPS, *found["tunes"]):
        own = [row for row in every if row["tune"] == name]
        if own:
            yield name, own


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """The table for a terminal, without intervals, which bench.md and bench.json hold."""
    wide = max(len(name) for name in found["defences"])
    for name, own in groups(found):
        yield ""
        yield f"{name}: {'mean over fine-tunes' if name in GROUPS else 'fine-tune'}"
        yield f"{'':{wide}}  {'  '.join(title for title, _, _ in COLUMNS.values())}"
        for row in own:
            cells = [
                f"{shown(row[key], factor, how, interval=False):>{len(title)}}"
                for key, (title, factor, how) in COLUMNS.items()
            ]
            yield f"{printable(row['defence']):{wide}}  {'  '.join(cells)}"


def markdown(found: Mapping[str, Any]) -> str:
    """The whole table with its intervals, and the attacker's best so far."""
    parts = [
        f"# Defences of {_cell(found['model'])}",
        f"{found['measured']} of {found['cells']} cells were measured, {found['seeds']} seeds. "
        f"Intervals at 95 %: {found['interval']}; of the share at maximum harm Wilson's.",
    ]
    for name, own in groups(found):
        header = ["defence", *(title for title, _, _ in COLUMNS.values())]
        table = [
            [_cell(row["defence"]), *(shown(row[k], f, how) for k, (_, f, how) in COLUMNS.items())]
            for row in own
        ]
        parts += [f"## {name}", rows(header, table)]
        best = [
            [_cell(row["defence"]), *(shown(one, 100, ".0f") for one in row["best_so_far"])]
            for row in own
        ]
        count = max((len(one) for one in best), default=1)
        best = [[*one, *["-"] * (count - len(one))] for one in best]
        header = ["best ASR % so far", *(f"setting {i}" for i in range(1, count))]
        parts.append(rows(header, best))
    if found["failed"]:
        parts.append("## Not measured")
        parts += [
            f"- {_cell(one['tune'])}, seed {one['seed']}, {_cell(one['defence'])}: "
            f"{_cell(one['failed'])}"
            for one in found["failed"]
        ]
    return "\n\n".join(parts) + "\n"


def table(found: Mapping[str, Any]) -> str:
    """Every measure of every row as CSV: value, low and high."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = (*MEASURES, "at_maximum")
    ends = ("value", "low", "high")
    columns = [f"{name}_{end}" for name in names for end in ends]
    writer.writerow(["defence", "tune", "cells", *columns])
    for row in (*found["means"], *found["rows"]):
        values = [row[name][end] for name in names for end in ends]
        told = [csv_cell(printable(row["defence"])), csv_cell(printable(row["tune"])), row["cells"]]
        writer.writerow([*told, *("" if one is None else one for one in values)])
    return text.getvalue()


def rows(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(f"| {' | '.join(one)} |" for one in (header, ["---"] * len(header), *cells))


def _cell(text: str) -> str:
    """A text that came from elsewhere, harmless in a table."""
    return printable(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
