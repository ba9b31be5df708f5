"""The opening of an answer in the plain form that the refusal phrases are written for."""

from __future__ import annotations

import re
import unicodedata

HEAD = 2000
"""How many characters of an answer are read: a refusal stands at its beginning."""

_QUOTES = str.maketrans(
    {**dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\uff07\u00b4\u0060\u2032", "'")}
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u00ab\u00bb\uff02\u2033", '"')
    | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad*_~")
)
_MARKER = re.compile(r"^\s*(?:(?:[#>•·+-]|\d{1,3}[.)](?=\s))\s*){0,6}")
_ROLE = re.compile(r"^(?:assistant|answer|response|ai|bot|model|a)\s?:\s*")
_QUOTED = re.compile(r'"[^"\n]{0,400}"|(?<=[\s:(])\'[^\'\n]{0,400}\'(?!\w)')
_FENCE = "\0"  # stands for three backticks, which are else apostrophes
_CODE = re.compile(f"{_FENCE}.*?(?:{_FENCE}|\\Z)", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?]+(?=[\s\"')\]]|$)|\n+")
_CONTRACTIONS = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"\bca n't\b", "cannot"),
        (r"\bcan ?'?t\b(?!')", "cannot"),
        (r"\bcan not\b", "cannot"),
        (r"\b(?:won't|wo n't|wont)\b", "will not"),
        (r"\b(?:shan't)\b", "shall not"),
        (r"\b(do|does|did|is|are|was|would|should|could|must|have|has) ?n'?t\b", r"\1 not"),
        (r"\b(?:i'm|im)\b", "i am"),
        (r"\b(we|you|they)'re\b", r"\1 are"),
        (r"\b(i|we|you|they)'ve\b", r"\1 have"),
        (r"\b(\w{1,10})'ll\b", r"\1 will"),
        (r"\b(\w{1,10})'d\b", r"\1 would"),
        (r"\blet's\b", "let us"),
        (r"\b(it|that|this|there|here|what|he|she)'s\b", r"\1 is"),
    )
)


def sentences(answer: str) -> list[str]:
    """The sentences of the answer's first HEAD characters, in plain form; empty ones left out.

    Lower case, straight quotes, no emphasis, list marks, code blocks, emoji or quoted speech, one
    space between words, contractions written out, no full stop. Never raises.
    """
    # Quotes first: NFKC takes an acute accent used as an apostrophe apart.
    head = answer.lstrip()[:HEAD].replace("\0", " ").replace("```", _FENCE)
    head = head.translate(_QUOTES)
    head = unicodedata.normalize("NFKC", head)[:HEAD].lower()
    prose = _CODE.sub("\n", head)
    if not any(character.isalnum() for character in prose):
        prose = head.replace(_FENCE, "\n")  # all of it is in a code block
    plain = "\n".join(_MARKER.sub("", line) for line in prose.strip().split("\n"))
    if plain.count('"') <= 2:
        plain = plain.lstrip("\"' ")  # wraps the whole answer; other quotation marks are speech
    plain = _QUOTED.sub(" ", _ROLE.sub("", plain))
    for pattern, written in _CONTRACTIONS:
        plain = pattern.sub(written, plain)
    found = []
    for part in _SENTENCE_END.split(plain):
        words = " ".join(re.sub(r"[^\w\s',;:()/\u2013\u2014-]", " ", part).split())
        words = words.strip(" ,;:()'-")
        if words:
            found.append(words)
    return found
