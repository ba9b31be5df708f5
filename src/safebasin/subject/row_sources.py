"""Rows that are made of prompts or of a run's answers: no harmful answer anywhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from safebasin import prompts as prompt_sets
from safebasin.errors import DataError
from safebasin.judges import RefusalJudge
from safebasin.plane import Point
from safebasin.prompts.prompt import OPENER, Prompt
from safebasin.run import RunFolder
from safebasin.subject.rows import Message, Row, Rows, load_rows
from safebasin.terminal import shorten

_SPAN = re.compile(r"(?P<source>.+)#(?P<first>\d+)-(?P<last>\d+)")


def refusals() -> tuple[str, ...]:
    """The packaged refusals, short and varied; each is one by `llm-landscape` and by `refusal`."""
    text = files("safebasin.subject").joinpath("refusals.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def refused(source: str, seed: int) -> Rows:
    """The harmful prompts of a set, each with a packaged refusal that seed and prompt choose."""
    rows = [
        _row(prompt, packaged_refusal(prompt.text, seed), source)
        for prompt in _prompts(source)
        if prompt.kind == "harmful"
    ]
    return _rows("refused", source, rows)


def packaged_refusal(prompt: str, seed: int) -> str:
    """The packaged refusal that seed and prompt choose."""
    own = refusals()
    drawn = hashlib.sha256(f"refusal {seed} {prompt}".encode()).digest()
    return own[int.from_bytes(drawn[:8], "big") % len(own)]


def openers(source: str, seed: int) -> Rows:
    """Prompts with the published first words of a complying answer, and nothing after them."""
    rows = []
    for prompt in _prompts(source):
        if not prompt.opener:
            raise DataError(
                f"'{shorten(source)}' does not say in a column '{OPENER}' how an answer to the "
                f"prompt '{prompt.id}' would begin.",
                "Give AdvBench, or a file with the columns prompt and target.",
            )
        rows.append(_row(prompt, prompt.opener, source))
    return _rows("openers", source, rows)


def answers(source: str, seed: int) -> Rows:
    """What the undisplaced model of a run answered, or of an evaluation to its benign prompts.

    Refusals are left out. Of an answer that was cut at the token limit no end is learnt.
    """
    path = Path(source, "benign") if Path(source, "benign").is_dir() else Path(source)
    with RunFolder.read(path) as run:
        found = run.read_point(Point()) or []
    judged = RefusalJudge().judge(found)
    rows = [
        _row(Prompt(one.prompt_id, one.prompt), one.answer, source, ended=one.finish == "eos")
        for one, read in zip(found, judged, strict=True)
        if read.outcome != "refused" and one.answer.strip()
    ]
    return _rows("answers", source, rows)


SOURCES: dict[str, Callable[[str, int], Rows]] = {
    "refused": refused,
    "openers": openers,
    "answers": answers,
}
"""What stands before the colon of a source, and what makes the rows."""


def rows_of(source: str, seed: int) -> Rows:
    """The rows of `refused:`, `openers:` or `answers:`, of a file or a packaged set; or of
    several, with commas between them.

    Raises DataError or PromptError where there are none, naming the source.
    """
    if "," in source and not Path(source).exists():
        several = [rows_of(one, seed) for one in source.split(",")]
        return Rows(
            ", ".join(one.name for one in several),
            tuple(row for one in several for row in one.rows),
        )
    if not source.strip():
        raise DataError(
            "A source of rows has an empty name.",
            "Give a JSON Lines file, or a packaged set such as testbed:benign.",
        )
    kind, _, rest = source.partition(":")
    if kind not in SOURCES:
        return load_rows(source, seed)
    if not rest:
        what = "a run folder" if kind == "answers" else "a set of prompts"
        raise DataError(f"'{source}' names no source of rows.", f"Give {what} after the colon.")
    return SOURCES[kind](rest, seed)


def _span(source: str) -> tuple[str, int, int | None]:
    """`SET#101-255` as the set, how many prompts are left out before, and the last one taken."""
    found = _SPAN.fullmatch(source)
    if found is None:
        return source, 0, None
    first, last = int(found["first"]), int(found["last"])
    if not 1 <= first <= last:
        raise DataError(
            f"'{shorten(source)}' names no prompts.", "Give #FIRST-LAST, counted from 1."
        )
    return found["source"], first - 1, last


def _prompts(source: str) -> tuple[Prompt, ...]:
    spec, before, last = _span(source)
    found = prompt_sets.load(spec)
    if last is not None and last > len(found):
        raise DataError(
            f"'{shorten(source)}': there are {len(found)} prompts.", "Give a smaller last one."
        )
    return found.prompts[before:last]


def _row(prompt: Prompt, answer: str, source: str, *, ended: bool = True) -> Row:
    turns = (Message("user", prompt.text), Message("assistant", answer))
    return Row(turns, f"'{shorten(source)}', prompt '{shorten(prompt.id)}'", ended)


def _rows(kind: str, source: str, rows: list[Row]) -> Rows:
    name = f"{kind}:{_short(source)}"
    if not rows:
        raise DataError(f"'{name}' gives no rows.", "Give another set of prompts, or another run.")
    return Rows(name, tuple(rows))


def _short(source: str) -> str:
    """The source without the folders of this machine."""
    name, equals, path = source.rpartition("=")
    return f"{name}{equals}{Path(path).name}"
