"""From a row of a file to a prompt: its text, id, category and kind."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from safebasin.errors import PromptError
from safebasin.prompts.files import Row
from safebasin.prompts.formats import KIND_WORDS, KnownFormat
from safebasin.prompts.prompt import KINDS, OPENER, Kind, Prompt


def read_prompts(
    path: Path,
    layout: KnownFormat,
    rows: Sequence[Row],
    kind: Kind | None,
    unstated: Kind | None = None,
) -> tuple[tuple[Prompt, ...], int]:
    """The prompts of the rows, and how many rows were left out for want of a label.

    `kind` is that of every row, `unstated` of those of which the file says nothing.
    """
    prompts: list[Prompt] = []
    places: dict[str, str] = {}
    unlabelled = 0
    for number, row in enumerate(rows, 1):
        if layout.kind == "label" and _label(row) is None:
            unlabelled += 1
            continue
        prompt = _prompt(path, layout, row, number, kind, unstated)
        if prompt.id in places:
            raise PromptError(
                f"'{path}': {places[prompt.id]} and {row.where} have the same id '{prompt.id}'.",
                "Give each prompt its own id.",
            )
        places[prompt.id] = row.where
        prompts.append(prompt)
    return tuple(prompts), unlabelled


def _prompt(
    path: Path,
    layout: KnownFormat,
    row: Row,
    number: int,
    kind: Kind | None,
    unstated: Kind | None,
) -> Prompt:
    cells = {name.casefold(): value for name, value in row.values.items()}
    text = _text(path, row, layout.text, cells.get(layout.text))
    context = _cell(cells.get(layout.context)) if layout.context else ""
    if context:
        text = layout.layout.format(text=text, context=context)
    parts = [_cell(cells.get(name)) for name in layout.ids]
    if layout.name == "sorry-bench" and parts[-1] == "base":
        parts = parts[:-1]
    own = "-".join(part for part in parts if part)
    expected = cells.get("expected") if layout.kind == "column" else None
    return Prompt(
        id=_plain_id(own) if own else f"{layout.name}-{number:04d}-{_digest(text)}",
        text=text,
        category="/".join(filter(None, (_cell(cells.get(name)) for name in layout.categories))),
        kind=kind or _kind(path, layout, row, cells, unstated),
        expected=None if expected is None else str(expected),
        opener=_cell(cells.get(OPENER)),
    )


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip()


def _text(path: Path, row: Row, column: str, value: object) -> str:
    if column == "turns" and isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise PromptError(
                f"'{path}', {row.where}: the turns are not a JSON list.", "Correct them there."
            ) from None
    if isinstance(value, list):
        if len(value) != 1:
            raise PromptError(
                f"'{path}', {row.where}: {len(value)} turns, but prompts have exactly one.",
                "Keep the rows of one turn.",
            )
        value = value[0]
    if value is None or not str(value).strip():
        raise PromptError(
            f"'{path}', {row.where}: the column '{column}' is empty.",
            "Fill it or remove the whole record.",
        )
    if not isinstance(value, str):
        raise PromptError(
            f"'{path}', {row.where}: the column '{column}' holds {type(value).__name__}, "
            "not a text.",
            "Name the column with the prompts with --column.",
        )
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise PromptError(
            f"'{path}', {row.where}: half of a surrogate pair, which is no character.",
            "Correct it there.",
        )
    return value.strip()


def _kind(
    path: Path,
    layout: KnownFormat,
    row: Row,
    cells: Mapping[str, object],
    unstated: Kind | None,
) -> Kind:
    if layout.kind == "contrast":
        return "harmful" if _cell(cells.get("type")).startswith("contrast_") else "benign"
    if layout.kind == "label":
        return _label(row) or "harmful"
    if layout.kind != "column":
        return layout.kind
    column = "label" if "label" in cells and "kind" not in cells else "kind"
    stated = _cell(cells.get(column))
    if not stated and unstated is not None:
        return unstated
    known: Mapping[str, Kind] = KIND_WORDS if column == "label" else {kind: kind for kind in KINDS}
    found = known.get(stated.casefold() if column == "label" else stated)
    if found is not None:
        return found
    if column not in cells:
        raise PromptError(
            f"'{path}' does not say whether its prompts are harmful or benign, as in {row.where}.",
            "Give --prompts-kind harmful or --prompts-kind benign, or a column `kind`.",
        )
    raise PromptError(
        f"'{path}', {row.where}: the {column} is {stated[:40]!r}.",
        f"Use one of {', '.join(known)}, or give --prompts-kind harmful or benign for all rows.",
    )


def _label(row: Row) -> Kind | None:
    """What `prompt_harm_label` says of a row; None where annotators did not agree."""
    labels: dict[str, Kind] = {"harmful": "harmful", "unharmful": "benign"}
    return labels.get(_cell(row.values.get("prompt_harm_label")))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _plain_id(own: str) -> str:
    plain = re.sub("[^A-Za-z0-9._-]+", "-", own).strip(".-")[:80]
    return plain if plain == own else f"{plain}-{_digest(own)}".lstrip("-")
