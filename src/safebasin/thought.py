"""Thought and answer of a reasoning model: the one place that tells them apart.

A text is split by its marks alone, so that judges, early stops, capabilities and pages read the
same answer, with no model at hand. Known are pairs of marks (`<think>` and its kin) and the
channels of gpt-oss, also as they look where a decoder dropped its special tokens.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from safebasin.errors import UsageError

Marks = tuple[str, str]
"""What opens a thought, and what closes it."""

KNOWN: tuple[Marks, ...] = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("<longcat_think>", "</longcat_think>"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought", "<channel|>"),
    ("◁think▷", "◁/think▷"),
)
"""The marks that models are known to use; any other pair is given as an option."""

CHANNEL = "<|channel|>"
CHANNELS = (CHANNEL, "<|message|>", "<|start|>", "<|end|>")
"""The marks of gpt-oss, which puts its answer into the channel `final`."""

WRAPPERS: tuple[Marks, ...] = (
    ("<answer>", "</answer>"),
    ("<response>", "</response>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
)
"""What some models put around the answer that follows a thought."""

CUT = "cut off in its thought"
ENDED = "ended in its thought"
BETWEEN = "..."
"""What stands between the two marks of a pair that is given as one text."""

Kind = Literal["thought", "answer", "mark"]
Part = tuple[Kind, str]

_HEADER = re.compile(
    r"(?:<\|(?:end|return|call)\|>\s{0,8})?(?:<\|start\|>[^<\n]{0,80})?<\|channel\|>\s{0,8}(\w*)"
    r"(?:[^<\n]{0,200}(?:<\|constrain\|>[^<\n]{0,80})?<\|message\|>)?"
)
_CLOSINGS = ("<|end|>", "<|return|>", "<|call|>")
# Without special tokens a channel's name runs into its message: "analysisWe need to ...".
_BARE_START = re.compile(r"\s{0,40}(analysis|commentary|final)(?=[^\W\d_a-z]|[\"“])")
_BARE = re.compile(r"assistant(analysis|commentary|final)(?=\S|\Z)")
_SPACE = re.compile(r"\s*")
_KEPT = 100_000
_QUOTES = frozenset("`'\"‘’“”")
_FENCE = "```"


@dataclass(frozen=True, slots=True)
class Split:
    """A text in its parts, which joined are the text again.

    cut  the text ends inside a thought, and no thought before it was followed by an answer
    """

    parts: tuple[Part, ...]
    cut: bool = False

    @property
    def thinks(self) -> bool:
        """Whether there is a thought at all, be it an empty one."""
        return any(kind != "answer" for kind, _ in self.parts)

    @property
    def thought(self) -> str:
        """What was thought, without the marks; several thoughts with an empty line between."""
        return "\n\n".join(text.strip() for kind, text in self.parts if kind == "thought").strip()

    @property
    def answer(self) -> str:
        """What was answered; the whole text where nothing was thought, "" where it was cut."""
        return "" if self.cut else "\n".join(text for _, text in self._answers())

    def place(self, index: int) -> int:
        """The character of the text at which the answer's character `index` stands."""
        for start, text in self._answers():
            if index <= len(text):
                return start + index
            index -= len(text) + 1
        return sum(len(text) for _, text in self.parts)

    def _answers(self) -> Iterator[tuple[int, str]]:
        """Each part of the answer with where it starts in the text."""
        start = 0
        for kind, text in self.parts:
            if kind == "answer":
                yield start, text
            start += len(text)


def split(text: str, marks: Marks | None = None) -> Split:
    """What is thought and what is answer in a model's text. Never raises.

    A thought starts at an opening mark that begins the text or a line, and ends at the next closing
    one, or with the text. A closing mark alone, which nothing opened, ends a thought that began
    with the text: the chat template had opened it. Marks in code fences and closing marks in
    quotes are the answer's own words. `marks` are a pair to look for besides the known ones.
    """
    if _BARE_START.match(text) or any(
        first in text and any(mark in text for mark in following)
        for first, following in _by_first_character(marks).items()
    ):
        # Of long texts few are kept in memory.
        return (_split if len(text) <= _KEPT else _split_long)(text, marks)
    return Split((("answer", text),))


def parse_marks(text: str) -> Marks:
    """The pair of `OPEN...CLOSE`, such as `<plan>...</plan>`; UsageError for anything else."""
    opening, found, closing = (part.strip() for part in text.partition(BETWEEN))
    if not (found and opening and closing) or opening == closing or BETWEEN in closing:
        raise UsageError(
            f"'{text[:60]}' is no pair of marks of a thought.",
            "Give what opens and what closes it with three dots between: '<plan>...</plan>'.",
        )
    return opening, closing


def opened(text: str, marks: Marks | None = None) -> str:
    """The end of a prompt that opens a thought, from the mark on; "" where it opens none."""
    end = text.rstrip()
    for opening in _openings(marks):
        if end.endswith(opening):
            return text[len(end) - len(opening) :]
    *_, last = [None, *_HEADER.finditer(text[-400:])]
    if last is not None and last.end() == len(last.string) and last[1] not in ("", "final"):
        return last[0][last[0].index(CHANNEL) :]
    return ""


def past(opening: str, marks: Marks | None = None) -> str:
    """What ends the thought that a prompt opened (`opened`), so that an answer follows it at once.

    With a thought that was opened by a line of its own it is what Qwen3's template writes where
    no thought is wanted. "" where nothing was opened.
    """
    if CHANNEL in opening:
        return f"<|end|><|start|>assistant{CHANNEL}final<|message|>"
    closing = dict((*KNOWN, marks) if marks else KNOWN).get(opening.rstrip())
    return "" if closing is None else f"\n{closing}\n\n"


def closing_of(text: str, marks: Marks | None = None) -> str | None:
    """What ends the thoughts of which a chat template speaks, as a decoder without special tokens
    writes it; None where it speaks of none."""
    if CHANNEL in text:
        return "assistantfinal"
    pairs = (marks, *KNOWN) if marks else KNOWN
    return next((closing for _, closing in pairs if closing in text), None)


def special_marks(tokens: Collection[str], marks: Marks | None = None) -> list[str]:
    """Those of a tokenizer's special tokens that are marks of a thought."""
    pairs = (marks, *KNOWN) if marks else KNOWN
    known = {mark for pair in pairs for mark in pair}
    if CHANNEL in tokens:  # the others mean something else in other tokenizers
        known.update(CHANNELS)
    return [token for token in tokens if token in known or f"{token}thought" in known]


@lru_cache(maxsize=8)
def _by_first_character(own: Marks | None) -> dict[str, list[str]]:
    """Everything by which a text with a thought is recognised, by what can be found fastest."""
    pairs = (*KNOWN, own) if own else KNOWN
    found: dict[str, list[str]] = {"assistantfinal": ["assistantfinal"]}
    for mark in (CHANNEL, *(mark for pair in pairs for mark in pair)):
        found.setdefault(mark[0], []).append(mark)
    return found


@lru_cache(maxsize=8)
def _openings(own: Marks | None) -> tuple[str, ...]:
    return tuple(pair[0] for pair in ((own, *KNOWN) if own else KNOWN))


@lru_cache(maxsize=512)
def _split(text: str, own: Marks | None) -> Split:
    if CHANNEL in text:
        return _by_channels(text)
    if _BARE_START.match(text) or _finder(own)[0].search(text) is None:
        return _by_bare_channels(text)
    return _by_marks(text, own)


_split_long = lru_cache(maxsize=2)(_split.__wrapped__)


def _by_marks(text: str, own: Marks | None) -> Split:
    finder, closing_of = _finder(own)
    parts: list[Part] = []
    mentioned: set[str] = set()  # what closes the opening marks that are the answer's own words
    wrapper = ""
    answered = False
    # Of the answer that is being read: where it starts, its first character that is no space,
    # the last line's start, that line's first character that is none, and the code fences up to
    # `seen`.
    start = line = seen = fences = 0
    first = inked = _past_space(text, start)
    while (found := finder.search(text, max(seen, first))) is not None:
        mark, place = found[0], found.start()
        fences += text.count(_FENCE, seen, place)
        if (newest := text.rfind("\n", seen, place) + 1) > line:
            line, inked = newest, _past_space(text, newest)
        seen = found.end()
        if mark in closing_of:
            blank, closing = first >= place, closing_of[mark]
            if not blank and (fences % 2 or inked < place):
                mentioned.add(closing)
                continue
            answered = answered or bool(parts and not blank)
            _add(parts, "mark" if blank else "answer", text[start:place])
            opening = _past_space(text, seen)
            _add(parts, "mark", text[place:opening])
            place = text.find(closing, opening)
            if place < 0:
                _add(parts, "thought", text[opening:])
                return Split(tuple(parts), not answered)
            _add(parts, "thought", text[opening:place])
            mark = closing
        elif parts or mark in mentioned or fences % 2 or _quoted(text, place, seen):
            continue
        else:
            _add(parts, "thought", text[:place])
        start, opener = _after(text, place + len(mark))
        wrapper = opener or wrapper
        _add(parts, "mark", text[place:start])
        line = seen = first = inked = start
        fences = 0
    end = len(text)
    if wrapper:
        last, closing = len(text.rstrip()), dict(WRAPPERS)[wrapper]
        if text.endswith(closing, start, last):
            end = last - len(closing)
    _add(parts, "answer", text[start:end])
    _add(parts, "mark", text[end:])
    return Split(tuple(parts))


@lru_cache(maxsize=8)
def _finder(own: Marks | None) -> tuple[re.Pattern[str], dict[str, str]]:
    """Finds any mark; and from an opening mark to the one that closes it."""
    pairs = (own, *KNOWN) if own else KNOWN
    longest = sorted({mark for pair in pairs for mark in pair}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest))), dict(reversed(pairs))


def _by_channels(text: str) -> Split:
    headers = list(_HEADER.finditer(text))
    parts: list[Part] = []
    before, name = text[: headers[0].start()], headers[0][1]
    # What stands before the channel of the answer is a thought that the template had opened.
    kind: Kind = "thought" if name == "final" else "answer"
    _add(parts, kind if before.strip() else "mark", before)
    ends = [*(header.start() for header in headers[1:]), len(text)]
    for header, end in zip(headers, ends, strict=True):
        closed = _closed(text, header.end(), end)
        _add(parts, "mark", header[0])
        _add(parts, "answer" if header[1] == "final" else "thought", text[header.end() : closed])
        _add(parts, "mark", text[closed:end])
    return Split(tuple(parts), all(header[1] != "final" for header in headers))


def _by_bare_channels(text: str) -> Split:
    parts: list[Part] = []
    opening = _BARE_START.match(text)
    channel, start = "analysis", 0
    if opening is not None:
        channel, start = opening[1], opening.end()
        _add(parts, "mark", text[:start])
    channels = [channel]
    for header in _BARE.finditer(text, start):
        _add(parts, "answer" if channel == "final" else "thought", text[start : header.start()])
        _add(parts, "mark", header[0])
        channel, start = header[1], header.end()
        channels.append(channel)
    _add(parts, "answer" if channel == "final" else "thought", text[start:])
    return Split(tuple(parts), "final" not in channels)


def _add(parts: list[Part], kind: Kind, text: str) -> None:
    if text:
        parts.append((kind, text))


def _closed(text: str, start: int, end: int) -> int:
    """Where the marks that end a message begin; `end` where there are none."""
    found = end
    while True:
        while end > start and text[end - 1].isspace():
            end -= 1
        mark = next((mark for mark in _CLOSINGS if text.endswith(mark, start, end)), None)
        if mark is None:
            return found
        found = end = end - len(mark)


def _quoted(text: str, start: int, end: int) -> bool:
    return start > 0 and end < len(text) and text[start - 1] in _QUOTES and text[end] in _QUOTES


def _after(text: str, place: int) -> tuple[int, str]:
    """Where the answer starts after a thought, and what opens what is put around it."""
    start = _past_space(text, place)
    for opening, _ in WRAPPERS:
        if text.startswith(opening, start):
            return _past_space(text, start + len(opening)), opening
    return start, ""


def _past_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()
