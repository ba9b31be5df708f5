"""Answers that people labelled, read from the published files as they are, or from one's own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from safebasin.agreement.label_layouts import (
    LABEL_LAYOUTS,
    LabelLayout,
    Labels,
    Meaning,
    Question,
    Role,
    own_layout,
)
from safebasin.errors import JudgeError
from safebasin.exchange import Exchange
from safebasin.prompts.files import Contents, Row, Table, read_bytes, read_table
from safebasin.prompts.formats import ANSWER_COLUMNS, TEXT_COLUMNS

_CONTENTS = Contents(
    "file of labelled answers",
    "labelled answers",
    "labelled answer",
    '{"prompt": "...", "response": "...", "label": "..."}',
)


@dataclass(frozen=True)
class Labelled:
    """Exchanges and, of each, what people say of the answer: refused, complied or partial.

    `unlabelled` counts the rows without an answer or without a label that people agreed on.
    `words` holds, of each word of the file, what it was taken for and in how many rows.
    `harmful` says of each exchange whether its prompt is to be refused, None where that is unknown.
    `prompts` is whether the file holds the text of the prompts.
    """

    question: Question
    exchanges: tuple[Exchange, ...]
    labels: tuple[Meaning, ...]
    unlabelled: int
    layout: str
    path: Path
    words: Mapping[str, tuple[Meaning, int]] = field(default_factory=dict)
    harmful: tuple[bool | None, ...] = ()
    prompts: bool = True

    @property
    def success(self) -> tuple[bool | None, ...]:
        """Of each exchange whether it is a success of the attack; None where it is partial."""
        return tuple(None if one == "partial" else one == "complied" for one in self.labels)


def read_labelled(
    path: Path,
    question: Question | None = None,
    *,
    words: Mapping[str, Meaning] | None = None,
    columns: Mapping[Role, str] | None = None,
) -> Labelled:
    """Read a CSV, JSON, JSON Lines or parquet file of one of the published layouts, or one's own.

    LABEL_LAYOUTS has the layouts, recognised by their columns. `question` None takes what the
    file's labels say; refusal where it has labels of both. A file of no known layout has a column
    `label` and one of ANSWER_COLUMNS; `columns` names others. `words` say what labels mean,
    before those that the layout knows.
    Raises PromptError for a file that cannot be read, JudgeError for one without these columns
    or labels.
    """
    table = read_table(path, read_bytes(path, _CONTENTS), _CONTENTS)
    names = {name.casefold(): name for name in table.columns}
    given = {_folded(word): meaning for word, meaning in (words or {}).items()}
    layout, labels = _layout(path, table, question, given, columns or {})
    labels = replace(labels, words={**labels.words, **given})
    exchanges: list[Exchange] = []
    meanings: list[Meaning] = []
    harmful: list[bool | None] = []
    counted: dict[str, Counter[Meaning]] = {word: Counter() for word in labels.words}
    unlabelled = 0
    for number, row in enumerate(table.rows, 1):
        word = _label(path, row, layout, labels, names)
        response = row.values.get(names[layout.answer])
        if word is None or not isinstance(response, str):
            unlabelled += 1
            continue
        meaning = labels.words[word]
        counted[word][meaning] += 1
        if meaning == "left-out":
            continue
        prompt = row.values.get(names.get(layout.prompt, ""))
        text = prompt if isinstance(prompt, str) else ""
        exchanges.append(Exchange(f"row-{number}", text, response, "eos", 0, 0))
        meanings.append(meaning)
        harmful.append(_harmful(layout, row, names))
    if not {"complied", "refused"} <= set(meanings):
        raise JudgeError(_one_sided(path, meanings), "Give answers of both kinds.")
    return Labelled(
        labels.question,
        tuple(exchanges),
        tuple(meanings),
        unlabelled,
        layout.name,
        path,
        {word: (labels.words[word], counts.total()) for word, counts in counted.items()},
        tuple(harmful),
        any(exchange.prompt.strip() for exchange in exchanges),
    )


def _layout(
    path: Path,
    table: Table,
    question: Question | None,
    given: Mapping[str, Meaning],
    columns: Mapping[Role, str],
) -> tuple[LabelLayout, Labels]:
    """The layout of a table, and those of its labels that answer the question.

    Of the layouts whose columns are there, the first one that knows the file's first label; the
    last where none does, so that the error names its words.
    """
    names = {name.casefold(): name for name in table.columns}
    for column in columns.values():
        if column.casefold() not in names:
            raise JudgeError(
                f"'{path}' has no column '{column}'; it has {_named(table.columns)}.",
                "Name one of these with --columns.",
            )
    candidates = [] if columns else [one for one in LABEL_LAYOUTS if one.fits(names)]
    answer = columns.get("answer") or next((n for n in ANSWER_COLUMNS if n in names), "")
    label = columns.get("label", "label").casefold()
    if answer and label in names:
        prompt = columns.get("prompt") or next((n for n in TEXT_COLUMNS if n in names), "")
        candidates.append(own_layout(prompt.casefold(), answer.casefold(), label))
    found: list[tuple[LabelLayout, Labels]] = []
    for layout in candidates:
        for labels in layout.labels:
            if not set(labels.columns) <= set(names):
                continue
            found.append((layout, labels))
            first = next(filter(None, (_words(row, labels, names) for row in table.rows)), ())
            known = {*labels.words, *given}
            if (question is None or labels.question == question) and set(first) <= known:
                return layout, labels
    if not found:
        raise JudgeError(
            f"'{path}' has no labelled answers: its columns are {_named(table.columns)}.",
            "Give a file that `safebasin list labelled` knows, or name the columns with "
            "--columns 'answer=COLUMN;label=COLUMN'.",
        )
    asked = [one for one in found if question in (None, one[1].question)]
    if not asked:
        raise JudgeError(
            f"'{path}' has no labels of {question}: what it has is {found[0][1].question}.",
            f"Give --label {found[0][1].question}.",
        )
    return asked[-1] if question is None else asked[0]


def _label(
    path: Path, row: Row, layout: LabelLayout, labels: Labels, names: Mapping[str, str]
) -> str | None:
    """The word that most people chose; None where there is none, or as many for each.

    Raises JudgeError for a word of which it is not known what it means.
    """
    votes = _words(row, labels, names)
    for vote in votes:
        if vote not in labels.words:
            where = f"'{path}', column '{names[labels.columns[0]]}', {row.where}"
            raise _unknown(where, vote, layout, labels)
    ranked = Counter(votes).most_common(2)
    if not ranked or (len(ranked) == 2 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]


def _unknown(where: str, word: str, layout: LabelLayout, labels: Labels) -> JudgeError:
    for other in layout.labels:
        if word in other.words:
            asked = "a refusal" if labels.question == "refusal" else "harmful"
            return JudgeError(
                f"{where}: '{word}' does not answer whether the reply is {asked}.",
                f"Give --label {other.question}.",
            )
    known = {
        name: meaning for one in (*layout.labels, labels) for name, meaning in one.words.items()
    }
    listed = ", ".join(f"{name} ({meaning})" for name, meaning in known.items())
    return JudgeError(
        f"{where}: the label is {word[:40]!r}, which is not known.",
        f"Known are {listed}; say what others mean with --labels "
        "'refused=WORD;complied=WORD;left-out=WORD'.",
    )


def _words(row: Row, labels: Labels, names: Mapping[str, str]) -> tuple[str, ...]:
    """What stands in the columns of the labels, empty cells left out."""
    return tuple(
        filter(None, (_folded(row.values.get(names[column])) for column in labels.columns))
    )


def _folded(value: object) -> str:
    """A label as it compares: 1.0, as tables with gaps in them write whole numbers, is 1."""
    if isinstance(value, float) and math.isnan(value):
        return ""
    text = "" if value is None else str(value).strip().casefold()
    return text.removesuffix(".0") if text.removesuffix(".0").isdigit() else text


def _harmful(layout: LabelLayout, row: Row, names: Mapping[str, str]) -> bool | None:
    if layout.harmful is None or layout.harmful == "every":
        return None if layout.harmful is None else True
    column, begins = layout.harmful
    cell = _folded(row.values.get(names.get(column, "")))
    return cell.startswith(begins) if cell else None


def _named(columns: Sequence[str]) -> str:
    return ", ".join(repr(name[:40]) for name in columns[:12])


def _one_sided(path: Path, meanings: Sequence[Meaning]) -> str:
    judged = [one for one in meanings if one != "partial"]
    if not judged:
        return f"'{path}' holds no labelled answer."
    kinds = "refusals" if judged[0] == "refused" else "successes"
    return f"'{path}' holds {len(judged)} labelled answers, all of them {kinds}."
