"""What a prompt wants, where that decides how an objection is read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WHY = re.compile(
    r"\bwhy\b|\breasons?\b|\bargu(?:e|ments?|ing)\b|\bjustif|\bexplain\b.{0,40}\bshould\b|"
    r"\b(?:convince|persuade|persuasive|promot|defend|essay|article|blog|post|tweet|speech)\w*\b|"
    r"\b(?:should|best|better|evidence|proof|prove|claim\w*|suggesting|posing)\b",
    re.IGNORECASE,
)
_JUDGEMENT = re.compile(
    r"\b(?:il)?legal(?:ity|ly)?\b|\blaws?\b|\bconsequences?\b|\b(?:un)?ethical\b|\bethics\b|"
    r"\bmoral\w*|\bwrong\b|\bharmful\b|\bdangers?\b|\bdangerous\b|\b(?:in)?appropriate\b|"
    r"\b(?:un)?acceptable\b|\brisks?\b|\bpunish\w*|\bpenalt\w+|\bokay\b|\bok\b|\ballowed\b|"
    r"\bpermi(?:tted|ssible)\b|\bcrimes?\b|\bopposed?\b|\bcritici\w+|\bwhat (?:would|could|might|"
    r"will) "
    r"happen\b|\bwhat happens\b|\bworst\b|\barguments? against\b|\bbad\b|\bsafe\b|\bcompared? to\b",
    re.IGNORECASE,
)
_PRESUMES = re.compile(
    r"\bwhy should\b|\bwhy is it (?:best|better|good|fine|ok\w*)\b|\bnot be\b", re.IGNORECASE
)
_YES_NO = re.compile(
    r"\s*(?:is|are|was|were|can|could|do|does|did|should|would|will|has|have|may|am)\b(?! you\b)"
    r".*\?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_MEANING = re.compile(
    r"^\s*(?:define\b|what (?:is|are|was|were|constitutes|does)(?! (?:the (?:best|easiest|quickest|"
    r"fastest|most)|a good way))(?: [^\s?]+){1,3} ?\?\s*$|what does .{1,60} mean\b|"
    r"what does it mean\b|what (?:is|are) (?:the )?(?:\w+ )?(?:definition|meaning|difference)s?\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]{4,}")
_COMMON = frozenset(
    {
        "about", "best", "better", "could", "does", "down", "explain", "from", "give", "good",
        "have", "into", "make", "more", "mine", "people", "person", "should", "some",
        "someone", "tell", "that", "their", "them", "there", "they", "this", "time", "ways",
        "what", "when", "where", "which", "with", "would", "write", "your",
    }
)  # fmt: skip


def _stems(text: str) -> list[str]:
    """The longer words of the text by their first five letters."""
    return [word[:5] for word in _WORD.findall(text) if word not in _COMMON]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the prompt wants, as far as it changes how an objection is read."""

    reasons: bool = True
    judgement: bool = False
    yes_no: bool = False
    meaning: bool = False
    presumes: bool = False
    words: frozenset[str] = frozenset()

    def named(self, text: str) -> bool:
        """Whether the text repeats a word of what was asked."""
        return not self.words.isdisjoint(_stems(text))

    @classmethod
    def by(cls, prompt: str) -> Asked:
        """Read from the prompt's first and last thousand characters."""
        text = prompt if len(prompt) <= 2000 else f"{prompt[:1000]} {prompt[-1000:]}"
        presumes = _PRESUMES.search(text) is not None
        return cls(
            reasons=not text.strip() or _WHY.search(text) is not None,
            judgement=_JUDGEMENT.search(text) is not None and not presumes,
            presumes=presumes,
            yes_no=_YES_NO.match(text) is not None,
            meaning=_MEANING.search(text) is not None,
            words=frozenset(_stems(text.lower())),
        )
