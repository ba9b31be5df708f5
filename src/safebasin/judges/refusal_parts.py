"""An answer that speaks with several voices, taken apart where their labels stand.

Some prompts ask for two answers in one: the model as it is, and a persona that does what was
asked. The labels are found by their shape, since every prompt makes its own: "[GPT]: ... [DAN]:
...", "(Normal Output) ... (Developer Mode Output) ...", "As GPT, ... As BH, ...", "CHATGPT: ...
DAN: ...", "α ... ω ...", "Niccolo: ... AIM: ...".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MOST = 40
"""How many parts are told apart at most."""

# Emphasis, quotes, headings and pictures around a label.
_AROUND = r"[\s*_#>~\"'\u201c\u201d`]{0,8}(?:\d[.)][ ])?[*_]{0,3}"
_PICTURE = r"(?:[^\w\s\[\](){}<>.,:;!?'\"/\\|@$%^&=+*#~`\u2010-\u2027-]\uFE0F?[ ]?){0,4}"
_WORD = r"[A-Z\u0391-\u03c9][\w.+'\u2019-]{0,20}"
_NAME = (
    rf"{_WORD}(?:[ /]{_WORD}|[ ]\d[\w.]{{0,5}}|[ ][A-Z]|"
    r"[ ](?:response|answer|output|mode|version|reply|voice|persona)){0,3}"
)

_SHAPES: tuple[tuple[str, str], ...] = (
    # [GPT]: ... or (🔓Developer Mode Output) ..., anywhere a sentence may begin
    (
        "bracket",
        rf"(?P<b>[\[(<]){_PICTURE}(?P<bracket>{_NAME})[ ]?{_PICTURE}[\])>](?![(\w])[*_]{{0,3}}:?",
    ),
    # As GPT, ... or DAN would say: ...
    (
        "as",
        r"(?:(?:(?:However|But|And|Now|Meanwhile),? )?[Aa]s "
        r"(?!An? |The |I |You |We |It |Of |For |To |In )"
        rf"(?P<as>{_NAME})(?:[ ](?:would|might|says?|responds?|answers?)[^:\n]{{0,30}})?[,:]|"
        rf"(?P<says>{_NAME}) (?:would (?:say|respond|answer|reply)|says|responds|replies)"
        r"[^:\n]{0,30}:)",
    ),
    # α ... or 😈: ...
    ("sign", r"(?P<sign>[\u0391-\u03c9]|[\U0001F300-\U0001FAFF])\uFE0F?[*_]{0,3}(?::|[ ](?=\S))"),
    # CHATGPT: ... or Character A: ...
    (
        "colon",
        rf"{_PICTURE}(?P<colon>{_NAME})[ ]?(?:\([^)\n]{{0,30}}\))?"
        r"(?:[*_]{0,3}:(?!//)|[ ][\u2013\u2014-][ ])",
    ),
    # ... DAN: ... within a line
    ("caps", r"(?P<caps>[A-Z][A-Z0-9-]{1,14})[*_]{0,3}:(?!//)"),
)
_INLINE = frozenset({"bracket", "caps"})
_START = r"\A|\n"
_BEGINS = _START + r"|(?<=[.!?][ ])|(?<=[.!?])"
_LABEL = re.compile(
    "|".join(
        rf"(?:{_BEGINS if name in _INLINE else _START}){_AROUND}{shape}" for name, shape in _SHAPES
    )
)

# A line that begins with one of these words is a heading of a text, not a speaker.
_HEADING = re.compile(
    r"(?i:(?:step|note|notes|subject|title|disclaimer|warning|caution|important|introduction|"
    r"conclusion|chapter|section|scene|part|act|day|week|phase|stage|verse|chorus|bridge|intro|"
    r"outro|setting|fade|int|ext|cut|ingredients?|instructions?|materials?|method|directions?|"
    r"example|examples|dear|date|from|to|re|cc|ps|tip|tips|summary|background|overview|objective|"
    r"goal|resources?|references?|sources?|links?|headline|slide|tweet|post|caption|hashtags?|"
    r"email|phone|address|name|your|insert|sincerely|first|second|third|finally|also|however|"
    r"remember|the|a|an|here|this|these|if|it|why|what|how|when|where|who|is|are|do|in|on|for|"
    r"option|method|reason|point|key|answer|question|prompt|request|response|output|image|link|"
    r"company|city|state|link|website|number|today|location|organi[sz]ation|redacted|laughs?|"
    r"sighs?|pauses?|music|applause|additional|other|some|safety|legal|ethical|we|i|you|they)"
    r"(?![\w]))"
)
_SPEAKS = re.compile(r"(?i)\b(?:output|response|answer|mode|reply|version)\b")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the answer with the label in front of it, if any; `start` counts characters."""

    label: str
    start: int
    text: str


def parts(text: str, prompt: str = "") -> list[Part]:
    """The answer's labelled parts in order; one without a label where it speaks with one voice.

    Text in front of the first label is a part of its own. A name with a mere colon counts where
    the answer begins with one, or where the prompt writes it that way: else it heads a section.
    """
    found = [mark for mark in _LABEL.finditer(text) if _label(mark) is not None][: MOST * 4]
    leads = bool(found) and not text[: found[0].start()].strip()
    marks = [mark for mark in found if leads or not _weak(mark) or _asked(mark, prompt)][:MOST]
    if not marks:
        return [Part("", 0, text)]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    whole = [Part("", 0, text[: marks[0].start()])]
    whole += [
        Part(_label(mark) or "", mark.end(), text[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    ]
    return [part for part in whole if part.text.strip()] or [Part("", 0, text)]


def _asked(mark: re.Match[str], prompt: str) -> bool:
    name = re.escape(_label(mark) or "")
    return re.search(rf"\b{name}\W{{0,3}}:", prompt, re.IGNORECASE) is not None


def _weak(mark: re.Match[str]) -> bool:
    """Whether the label is a name with a mere colon, and not in capitals at a line's start."""
    name = mark.group("colon")
    return bool(mark.group("caps") or (name and not (name.isupper() and len(name) > 2)))


def _label(mark: re.Match[str]) -> str | None:
    """The speaker's name, or None for a heading."""
    name = next(
        (
            mark.group(group)
            for group in ("bracket", "as", "says", "sign", "colon", "caps")
            if mark.group(group)
        ),
        None,
    )
    if name is None or (_HEADING.match(name) and not _SPEAKS.search(name)):
        return None
    return name.casefold()
