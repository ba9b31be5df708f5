"""An answer in the plain form that the refusal phrases are written for, sentence by sentence."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

READ = 12_000
"""How many characters of an answer are read: what it delivers may come late."""

LONGEST = 600
"""How many characters of one sentence are matched."""

_QUOTES = str.maketrans(
    {**dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\uff07\u00b4\u0060\u2032", "'")}
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02\u2033", '"')
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad*_~")
)
_MARKER = re.compile(r"^[ \t]*(?:(?:[#>•·+-]|\d{1,3}[.)](?=\s))[ \t]*){0,6}", re.MULTILINE)
_ITEM = re.compile(r"[•·+-]|\d")
_ROLE = re.compile(
    r"\s*(?:(?:assistant|answer|response|ai|bot|model|a)\s?:"
    # A label such as "[GPT]:" or "(Normal Output)" in front of all of the answer.
    r"|[\[(][^\])\n]{1,40}[\])](?:\s?:|(?=\s)))\s*"
)
_QUOTED = re.compile(r'"[^"\n]{0,400}"|(?<=[\s:(])\'[^\'\n]{0,400}\'(?!\w)')
_FENCE = "\0"  # stands for three backticks, which are else apostrophes
_CODE = re.compile(f"{_FENCE}.*?(?:{_FENCE}|\\Z)", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"')\]]|$)|\n+")
_DROPPED = re.compile(r"[^\w\s',;:()/\u2013\u2014-]")
_CONTRACTIONS = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"\bca n't\b", "cannot"),
        (r"\bcan ?'?t\b(?!')", "cannot"),
        (r"\bcan not\b", "cannot"),
        (r"\b(?:won't|wo n't|wont)\b", "will not"),
        (r"\b(?:shan't)\b", "shall not"),
        (r"\b(do|does|did|is|are|was|were|would|should|could|must|have|has) ?n'?t\b", r"\1 not"),
        (r"\b(?:i'm|im)\b", "i am"),
        (r"\b(we|you|they)'re\b", r"\1 are"),
        (r"\b(i|we|you|they)'ve\b", r"\1 have"),
        (r"\b(\w{1,10})'ll\b", r"\1 will"),
        (r"\b(\w{1,10})'d\b", r"\1 would"),
        (r"\blet's\b", "let us"),
        (r"\b(it|that|this|there|here|what|he|she)'s\b", r"\1 is"),
    )
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence in plain form.

    `start` is the character of the answer at which it begins; `item` says whether it stands in a
    numbered or bulleted line.
    """

    text: str
    start: int
    item: bool = False


def sentences(answer: str) -> list[str]:
    """The sentences of the answer's first READ characters, in plain form; empty ones left out.

    Lower case, straight quotes, no emphasis, list marks, code blocks, emoji or quoted speech, one
    space between words, contractions written out, no full stop. Never raises.
    """
    return [sentence.text for sentence in read(answer)]


def read(text: str, offset: int = 0) -> list[Sentence]:
    """Like `sentences`, with where each one begins, from `offset` on."""
    plain, where = _plain(text[:READ])
    prose = _CODE.sub(_blank, plain)
    if not any(character.isalnum() for character in prose):
        prose = plain.replace(_FENCE, "\n")  # all of it is in a code block
    items: set[int] = set()
    prose = _MARKER.sub(lambda mark: _marked(mark, items), prose)
    if prose.count('"') <= 2:
        # Wraps the whole answer; other quotation marks are speech.
        bare = prose.lstrip("\"' \n")
        prose = " " * (len(prose) - len(bare)) + bare
    role = _ROLE.match(prose)
    if role is not None and prose[role.end() :].strip():
        prose = " " * role.end() + prose[role.end() :]
    prose = _QUOTED.sub(_blank, prose)
    found = []
    start, line = 0, 0
    for end in (*_SENTENCE_END.finditer(prose), None):
        part = prose[start : len(prose) if end is None else end.start()]
        words = _words(part[:LONGEST])
        if words:
            first = start + next(
                at
                for at, character in enumerate(part)
                if character.isalnum() or at == len(part) - 1
            )
            found.append(Sentence(words, offset + where[first], line in items))
        if end is not None:
            start = end.end()
            if "\n" in end.group():
                line = start
    return found


def _plain(text: str) -> tuple[str, list[int]]:
    """The text in lower case with plain marks, and of each character where it came from."""
    fenced = text.replace("\0", " ").replace("```", _FENCE + "\x01\x01")
    characters: list[str] = []
    where: list[int] = []
    for at, character in enumerate(fenced):
        if character == "\x01":
            continue
        for one in _folded(character):
            characters.append(one)
            where.append(at)
        if len(characters) >= READ:
            break
    return "".join(characters), where


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    # Quotes first: NFKC takes an acute accent used as an apostrophe apart.
    return unicodedata.normalize("NFKC", character.translate(_QUOTES)).lower()


def _blank(found: re.Match[str]) -> str:
    """As many characters, so that what follows keeps its place."""
    return " " * (found.end() - found.start() - 1) + ("\n" if "\n" in found.group() else " ")


def _marked(mark: re.Match[str], items: set[int]) -> str:
    if _ITEM.search(mark.group()):
        items.add(mark.start())
    return " " * len(mark.group())


def _words(part: str) -> str:
    for pattern, written in _CONTRACTIONS:
        part = pattern.sub(written, part)
    return " ".join(_DROPPED.sub(" ", part).split()).strip(" ,;:()'-")
