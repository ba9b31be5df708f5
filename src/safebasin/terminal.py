"""Makes text that a model or a file supplied safe to show in a terminal or a spreadsheet."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

# Control, format (bidirectional overrides, invisible tags), surrogate, and the two separators
# that some terminals take for a line end.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# Part of ordinary words and emoji in many scripts; they move nothing.
_JOINERS = "\u200c\u200d"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def printable(text: str, *, lines: bool = False) -> str:
    """The text with every character that could act on a terminal shown as its escape.

    ANSI, OSC, C0, C1 and bidirectional controls become `\\x1b`, `\\u202e` and the like, and lone
    surrogates become encodable. Printable text is left alone, square brackets included: a rich
    console must be given the result as `rich.text.Text` or with `markup=False`.

    Args:
        text: Anything.
        lines: Whether to keep line feeds and tabs as they are.
    """
    keep = "\n\t" if lines else ""
    # A text of megabytes holds few different characters.
    shown = {ord(one): new for one in set(text) if (new := _shown(one, keep)) != one}
    return text.translate(shown) if shown else text


def shorten(text: str, width: int = 60) -> str:
    """One printable line of at most `width` characters, the middle left out where needed."""
    line = printable(text)
    if len(line) <= width:
        return line
    tail = (width - 1) // 3
    return f"{line[: width - 1 - tail]}…{line[len(line) - tail :]}"


def listed(texts: Sequence[str], most: int = 3) -> str:
    """The first `most` of the texts, and how many more there are: `a, b, c and 4 more`."""
    rest = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {rest} more" if rest > 0 else "")


def csv_cell(text: str) -> str:
    """The text as a spreadsheet cell that is never run as a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _shown(character: str, keep: str) -> str:
    if character in keep or character in _JOINERS:
        return character
    if unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
