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
_AROUND = r"[\s*_#>~\"'\u201c\u201d`]{0,8}"
_PICTURE = r"(?:[^\w\s\[\](){}<>.,:;!?'\"/\\|@$%^&=+*#~`\u2010-\u2027-]\uFE0F?[ ]?){0,4}"
_WORD = r"[A-Z\u0391-\u03c9][\w.+'\u2019-]{0,20}"
_NAME = rf"{_WORD}(?:[ /]{_WORD}|[ ]\d[\w.]{{0,5}}|[ ][A-Z]){{0,3}}"

_SHAPES: tuple[tuple[str, str], ...] = (
    # [GPT]: ... or (🔓Developer Mode Output) ..., anywhere a sentence may begin
    ("bracket", rf"(?P<b>[\[(]){_PICTURE}(?P<bracket>{_NAME})[ ]?{_PICTURE}[\])](?![(\w])[*_]{{0,3}}:?"),
    # As GPT, ... or DAN would say: ...
    (
        "as",
        r"(?:As (?!An? |The |I |You |We |It |Of |For |To |In )"
        rf"(?P<as>{_NAME})(?:[ ](?:would|might|says?|responds?|answers?)[^:\n]{{0,30}})?[,:]|"
        rf"(?P<says>{_NAME}) (?:would (?:say|respond|answer|reply)|says|responds|replies)"
        r"[^:\n]{0,30}:)",
    ),
    # α ... or 😈: ...
    ("sign", r"(?P<sign>[\u0391-\u03c9]|[\U0001F300-\U0001FAFF])\uFE0F?[*_]{0,3}(?::|[ ](?=\S))"),
    # CHATGPT: ... or Character A: ...
    ("colon", rf"{_PICTURE}(?P<colon>{_NAME})[ ]?(?:\([^)\n]{{0,30}}\))?[*_]{{0,3}}:(?!//)"),
)
_START = r"(?:\A|\n)"
_LABEL = re.compile(
    "|".join(
        rf"(?:{_START if name != 'bracket' else _START + r'|(?<=[.!?][ ])|(?<=[.!?])'}){_AROUND}{shape}"
        for name, shape in _SHAPES
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
    weak = {_label(mark) for mark in found if mark.group("colon")}
    leads = bool(found) and not text[: found[0].start()].strip()
    asked = {name for name in weak if name and re.search(rf"{re.escape(name)}\W{{0,3}}:", prompt)}
    marks = [
        mark
        for mark in found
        if not mark.group("colon") or leads or _label(mark) in asked
    ][:MOST]
    names = {_label(mark) for mark in marks}
    if len(names) < 2 and not (marks and text[: marks[0].start()].strip()):
        if marks and len(text[marks[0].end() :].strip()) > 0 and leads:
            return [Part(_label(marks[0]) or "", marks[0].end(), text[marks[0].end() :])]
        return [Part("", 0, text)]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    whole = [Part("", 0, text[: marks[0].start()])] if text[: marks[0].start()].strip() else []
    whole += [
        Part(_label(mark) or "", mark.end(), text[mark.end() : end])
        for mark, end in zip(marks, ends, strict=True)
    ]
    return [part for part in whole if part.text.strip()] or [Part("", 0, text)]


def _label(mark: re.Match[str]) -> str | None:
    """The speaker's name, or None for a heading."""
    name = next(
        (mark.group(group) for group in ("bracket", "as", "says", "sign", "colon") if mark.group(group)),
        None,
    )
    if name is None or (_HEADING.match(name) and not _SPEAKS.search(name)):
        return None
    return name.casefold()
