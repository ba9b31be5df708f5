"""What `judges calibrate` is told of a file of labels: `--labels` and `--columns`."""

from __future__ import annotations

from collections.abc import Iterator

from safebasin.agreement.label_layouts import MEANINGS, ROLES, Meaning, Role
from safebasin.errors import UsageError


def parse_meanings(text: str) -> dict[str, Meaning]:
    """`refused=no,never;complied=yes` as what each word means.

    Raises UsageError for another form, or for a word that is given two meanings.
    """
    found: dict[str, Meaning] = {}
    for name, listed in _pairs(text, "refused=WORD;complied=WORD"):
        meaning = next((one for one in MEANINGS if one == name), None)
        if meaning is None:
            raise UsageError(
                f"'{name}' is nothing that a label can mean.", f"Give {', '.join(MEANINGS)}."
            )
        for word in filter(None, (part.strip() for part in listed.split(","))):
            if found.setdefault(word, meaning) != meaning:
                raise UsageError(
                    f"The label '{word}' is given two meanings.", "Name each word once."
                )
    return found


def parse_columns(text: str) -> dict[Role, str]:
    """`answer=reply;label=verdict` as the column of each part.

    Raises UsageError for another form.
    """
    found: dict[Role, str] = {}
    for name, column in _pairs(text, "answer=COLUMN;label=COLUMN"):
        role = next((one for one in ROLES if one == name), None)
        if role is None:
            raise UsageError(
                f"'{name}' is no part of a labelled answer.", f"Give {', '.join(ROLES)}."
            )
        found[role] = column
    return found


def _pairs(text: str, form: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, sign, value = part.partition("=")
        if not sign or not value.strip():
            raise UsageError(f"'{part}' is not of the form NAME=VALUE.", f"Give '{form}'.")
        yield name.strip(), value.strip()
