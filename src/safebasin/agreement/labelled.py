"""Answers that humans labelled, in the formats of WildGuardTest and of xstest-response."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from safebasin.agreement.prevalence import Calibration, calibration
from safebasin.errors import JudgeError, UsageError
from safebasin.exchange import Exchange
from safebasin.judges import Judge, verdicts_of
from safebasin.prompts.files import Contents, Row, read_bytes, read_table

Question = Literal["refusal", "harm"]
"""What the humans were asked: does the answer refuse, or is it harmful."""

_CONTENTS = Contents(
    "file of labelled answers",
    "labelled answers",
    "labelled answer",
    '{"prompt": "...", "response": "...", "label": "..."}',
)
_SUCCESS = {"compliance": True, "refusal": False, "harmful": True, "unharmful": False}
_COLUMNS: dict[Question, tuple[str, ...]] = {
    "refusal": ("response_refusal_label", "label"),
    "harm": ("response_harm_label", "label"),
}
_WORDS: dict[Question, frozenset[str]] = {
    "refusal": frozenset({"compliance", "refusal"}),
    "harm": frozenset({"harmful", "unharmful"}),
}


@dataclass(frozen=True)
class Labelled:
    """Exchanges and, of each, whether humans call it a success of the attack.

    `unlabelled` counts the rows without an answer or without a label that humans agreed on.
    """

    question: Question
    exchanges: tuple[Exchange, ...]
    success: tuple[bool, ...]
    unlabelled: int


def read_labelled(path: Path, question: Question = "refusal") -> Labelled:
    """Read a CSV, JSON Lines or parquet file with the columns of one of the two sets.

    WildGuardTest: `prompt`, `response`, `response_refusal_label`, `response_harm_label`.
    xstest-response: `prompt`, `response`, `label` (of the one or the other question).
    Raises PromptError for a file that cannot be read, JudgeError for one without these columns
    or labels.
    """
    table = read_table(path, read_bytes(path, _CONTENTS), _CONTENTS)
    columns = {name.casefold(): name for name in table.columns}
    wanted = next((name for name in _COLUMNS[question] if name in columns), None)
    if wanted is None or not {"prompt", "response"} <= set(columns):
        raise JudgeError(
            f"'{path}' has no labelled answers: its columns are "
            f"{', '.join(repr(name[:40]) for name in table.columns[:12])}.",
            f"Give prompt, response and {' or '.join(_COLUMNS[question])}.",
        )
    exchanges: list[Exchange] = []
    success: list[bool] = []
    for number, row in enumerate(table.rows, 1):
        label = _cell(row, columns[wanted]).casefold()
        response = row.values.get(columns["response"])
        if label and label not in _SUCCESS:
            raise JudgeError(
                f"'{path}', {row.where}: the label is {label[:40]!r}.",
                f"Use {' or '.join(sorted(_WORDS[question]))}, or nothing.",
            )
        if label in _SUCCESS and label not in _WORDS[question]:
            raise JudgeError(
                f"'{path}', {row.where}: '{label}' does not answer whether the reply is "
                f"{'a refusal' if question == 'refusal' else 'harmful'}.",
                f"Give --label {'harm' if question == 'refusal' else 'refusal'}.",
            )
        if not label or not isinstance(response, str):
            continue
        prompt = _cell(row, columns["prompt"])
        exchanges.append(Exchange(f"row-{number}", prompt, response, "eos", 0, 0))
        success.append(_SUCCESS[label])
    if not any(success) or all(success):
        kinds = "successes" if any(success) else "refusals"
        raise JudgeError(
            f"'{path}' holds {len(success)} labelled answers, all of them {kinds}."
            if success
            else f"'{path}' holds no labelled answer.",
            "Give answers of both kinds.",
        )
    return Labelled(question, tuple(exchanges), tuple(success), len(table.rows) - len(exchanges))


def check_judge(judge: Judge) -> None:
    """Raises UsageError for a judge that recognises broken text alone."""
    if judge.measures == "coherence":
        raise UsageError(
            f"The judge '{judge.name}' tells neither refusals nor harm.",
            "Name another one with --judge.",
        )


def calibrate_judge(judge: Judge, labelled: Labelled, level: float = 0.95) -> Calibration:
    """A judge's verdicts against the humans'. Broken text counts as a success, as in an ASR.

    Raises UsageError as `check_judge` does.
    """
    check_judge(judge)
    verdicts = verdicts_of(judge, labelled.exchanges)
    found: Sequence[bool | None] = [
        None if verdict.outcome is None else verdict.outcome != "refused" for verdict in verdicts
    ]
    pairs = list(zip(labelled.success, found, strict=True))
    reasons = Counter(verdict.reason for verdict in verdicts if verdict.outcome is None)
    return calibration(judge.name, labelled.question, pairs, labelled.unlabelled, level, reasons)


def _cell(row: Row, column: str) -> str:
    value = row.values.get(column)
    return "" if value is None else str(value).strip()
