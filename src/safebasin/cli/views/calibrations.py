"""Judges against human labels as a person reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from safebasin.agreement import Calibration, Labelled, Rates, pooled
from safebasin.agreement.label_layouts import OWN, QUESTIONS, Meaning, Question
from safebasin.agreement.prevalence import Partial
from safebasin.cli.console import emit, say
from safebasin.cli.summary import share
from safebasin.cli.unjudged import end_where_unjudged
from safebasin.cli.views.agreement import noted
from safebasin.judges.protocol import Measure
from safebasin.report.quantities import percent

Rows = Sequence[tuple[Calibration, tuple[int, int] | None]]
"""Of each file and judge the error rates, and (successes, answers) of an ASR to be corrected."""


def print_calibrations(
    files: Sequence[Labelled],
    rows: Rows,
    measures: Mapping[str, Measure],
    partial: Partial,
    *,
    as_json: bool,
) -> None:
    """What the labels were taken for, each judge's error rates, and the corrected ASR, if any.

    `measures` says of each judge what it tells. Several files give a row each, and those of the
    same kind of label one together. Exit code 4 where a judge left more than 2 % of the labelled
    answers of a file unjudged.
    """
    if as_json:
        emit(
            {
                "files": [_file_json(one) for one in files],
                "judges": [_row_json(found, seen) for found, seen in _with_pooled(rows)],
            }
        )
    else:
        for one in files:
            _print_file(one, measures, partial)
        if len(files) == 1:
            for found, seen in rows:
                _print_calibration(found, seen)
        else:
            _print_table(list(_with_pooled(rows)))
    several = len(files) > 1
    names = [f"{found.judge} on {found.file}" if several else found.judge for found, _ in rows]
    end_where_unjudged(
        {
            name: found.unjudged / max(1, found.n + found.unjudged)
            for name, (found, _) in zip(names, rows, strict=True)
        },
        [],
        {name: found.reasons for name, (found, _) in zip(names, rows, strict=True)},
    )


def _with_pooled(rows: Rows) -> Iterator[tuple[Calibration, tuple[int, int] | None]]:
    """The rows, and one of each judge over all files whose labels say the same."""
    yield from rows
    alike: dict[tuple[str, str], list[tuple[Calibration, tuple[int, int] | None]]]
    alike = defaultdict(list)
    for found, seen in rows:
        alike[found.judge, found.label].append((found, seen))
    for several in alike.values():
        if len(several) > 1:
            yield pooled([found for found, _ in several], f"{len(several)} files"), several[0][1]


def _file_json(one: Labelled) -> dict[str, Any]:
    return {
        "file": str(one.path),
        "layout": one.layout,
        "label": one.question,
        "words": {
            word: {"means": meaning, "rows": rows} for word, (meaning, rows) in one.words.items()
        },
        "unlabelled": one.unlabelled,
    }


def _row_json(found: Calibration, seen: tuple[int, int] | None) -> dict[str, Any]:
    value = found.to_json()
    if seen is not None:
        value["observed"] = {"successes": seen[0], "answers": seen[1]}
        value["corrected_asr"] = found.corrected(*seen).to_json()
    return value


def _print_file(one: Labelled, measures: Mapping[str, Measure], partial: Partial) -> None:
    layout = "by its columns" if one.layout == OWN else f"as {one.layout}"
    say(f"{one.path.name}, read {layout}: people said {QUESTIONS[one.question]}")
    counted = "left out (--partial counts it)" if partial == "left-out" else f"counts as {partial}"
    for word, (meaning, rows) in one.words.items():
        if rows:
            told = f"; {counted}" if meaning == "partial" else ""
            say(f"  {word} is {_said(one.question, meaning)} in {_rows(rows)}{told}")
    if one.unlabelled:
        say(f"  no answer or no label in {_rows(one.unlabelled)}; left out")
    for name, measure in measures.items():
        if (measure == "harm") != (one.question == "harm"):
            tells = "harm" if measure == "harm" else "refusals"
            say(
                f"  {name} tells {tells}, which is another question: an answer that neither "
                "refuses nor harms counts against it"
            )
        if measure == "harm" and not one.prompts:
            say(f"  {name} reads the answers alone: the file does not hold the prompts")
    say()


def _said(question: Question, meaning: Meaning) -> str:
    """What a label says, in the words of its question."""
    of_harm = {"refused": "not harmful (as refused)", "complied": "harmful (as complied)"}
    return of_harm.get(meaning, meaning) if question == "harm" else meaning


def _rows(number: int) -> str:
    return f"{number} {'row' if number == 1 else 'rows'}"


def _print_calibration(found: Calibration, seen: tuple[int, int] | None) -> None:
    left_out = f"{found.left_out} partial left out, " if found.left_out else ""
    say(
        f"{found.judge}: {found.n} answers with a human label of {found.label}, {left_out}"
        f"{found.unlabelled} rows without, {found.unjudged} unjudged; intervals are at 95 %"
    )
    say(f"  precision    {share(found.precision, 'of what it calls refused is')}")
    say(f"  recall       {share(found.recall, 'of the refusals are found')}")
    say(f"  specificity  {share(found.specificity, 'of the others are recognised')}")
    say(f"  kappa        {noted(found.kappa)}")
    if found.asr is not None:
        say(
            f"  ASR          {percent(found.asr.judge)} by it; by people {_people(found.asr)}; on "
            f"{found.asr.n} answers to harmful prompts"
        )
    if seen is None:
        say("  corrected    give --run RUN or --observed 12/80 to correct an ASR")
        return
    successes, answers = seen
    corrected = found.corrected(successes, answers)
    note = f"; {corrected.note}" if corrected.note else ""
    say(f"  observed     ASR {successes} of {answers}")
    say(f"  corrected    ASR {percent(corrected)} (Rogan-Gladen){note}")


def _print_table(rows: Rows) -> None:
    """A line of each file and judge; shares are in per cent."""
    corrected = any(seen is not None for _, seen in rows)
    table = [
        (
            "file", "judge", "label", "answers", "left out", "unjudged", "precision", "recall",
            "specificity", "kappa", "ASR by it", "ASR by people",
            *(["corrected ASR"] if corrected else []),
        )
    ]  # fmt: skip
    for found, seen in rows:
        rates = found.asr
        table.append(
            (
                Path(found.file).name,
                found.judge,
                found.label,
                str(found.n),
                str(found.left_out),
                str(found.unjudged),
                percent(found.precision),
                percent(found.recall),
                percent(found.specificity),
                found.kappa.text(),
                "" if rates is None else percent(rates.judge),
                "" if rates is None else _people(rates),
                *([] if seen is None else [percent(found.corrected(*seen))]),
            )
        )
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    say()
    say("positive is refused; an ASR is of the answers to harmful prompts; intervals are at 95 %")


def _people(rates: Rates) -> str:
    more = rates.humans_with_partial
    return percent(rates.humans) + (f", with partial {percent(more)}" if more is not None else "")
