"""What language a text is written in, where that can be told.

English is what a text is taken for unless something speaks clearly against it: names, code,
tables, one-word answers and broken text are not to be called another language because a detector
had to guess. Another script is evidence by itself; among languages in Latin letters the detector
(py3langid, Lui and Baldwin 2012, ACL, retrained) decides, where it is sure.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.metadata import version
from typing import Any

DETECTOR = "py3langid"

READ = 1000
"""How many characters of a text are looked at."""

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|https?://\S+|\$[^$\n]*\$|\\[a-zA-Z]+", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

_SCRIPTS: tuple[tuple[str, float, re.Pattern[str]], ...] = tuple(
    (name, weight, re.compile(f"[{letters}]"))
    for name, weight, letters in (
        ("latin", 1, "a-zA-Z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff"),
        ("cyrillic", 1, "\u0400-\u052f"),
        ("arabic", 1.3, "\u0620-\u064a\u066e-\u06d5\u06ee-\u06ff\u0750-\u077f\ufb50-\ufdff"
         "\ufe70-\ufefc"),
        ("devanagari", 1.3, "\u0904-\u0939\u093d\u0958-\u0961\u0972-\u097f"),
        ("hangul", 2, "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"),
        ("kana", 2, "\u3041-\u3096\u30a1-\u30fa\uff66-\uff9d"),
        ("han", 3, "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"),
    )
)  # fmt: skip
"""(script, about how many Latin letters one of its letters stands for, its letters)."""

_SHARED: dict[str, tuple[str, frozenset[str]]] = {
    "cyrillic": (
        "ru",
        frozenset(["ba", "be", "bg", "kk", "ky", "mk", "mn", "ru", "sr", "tg", "tt", "uk"]),
    ),
    "arabic": ("ar", frozenset(["ar", "fa", "ps", "sdh", "ug", "ur", "uzs"])),
    "devanagari": ("hi", frozenset(["gom", "hi", "mr", "ne"])),
}
"""Scripts of several languages: the one that is meant where too little is written, and all."""

_ALIKE = {"pcm": "en", "ary": "ar", "arz": "ar", "wuu": "zh", "yue": "zh"}
"""Languages read as their neighbour. Broken English looks like Nigerian Pidgin."""

_NOT_WRITTEN = frozenset(("zxx", "la", "hbo", "grc", "sa", "vo"))
"""No language, or one in which nobody answers: what scraps of words are often taken for."""

_ENGLISH_WORDS = frozenset(
    ("and", "are", "can", "for", "from", "have", "is", "it", "not", "of", "or", "that", "the",
     "these", "they", "this", "to", "which", "with", "would", "you", "your")
)  # fmt: skip
"""Words that make up a third of English prose, few of which another language has too."""

_ENGLISH_SHARE = 0.25
"""The share of words from `_ENGLISH_WORDS` from which on a text is English without asking."""

_SURE = (0.05, 0.5)
"""At most so likely English, at least so likely one of the best three languages."""

_SURE_OF_FEW_WORDS = (0.02, 0.8)
"""The same for fewer than four words or fifteen letters."""

SETTINGS = (
    READ, tuple((name, weight, letter.pattern) for name, weight, letter in _SCRIPTS),
    sorted((script, usual, sorted(all_)) for script, (usual, all_) in _SHARED.items()),
    sorted(_ALIKE.items()), sorted(_NOT_WRITTEN), sorted(_ENGLISH_WORDS), _ENGLISH_SHARE, _SURE,
    _SURE_OF_FEW_WORDS,
)  # fmt: skip
"""What decides beside the detector, for a digest."""


@cache
def detector() -> str:
    """The detector's name and the version that decides what it says: "py3langid 0.4"."""
    return f"{DETECTOR} {'.'.join(version(DETECTOR).split('.')[:2])}"


@cache
def _identifier() -> Any:
    # Only when needed: with its model it takes half a second to a second.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def language_of(text: str) -> str | None:
    """The ISO 639 code of the language that a text is written in, such as "es", or None.

    None where nothing can be said: too few letters, names, code, scraps of words, or several
    scripts of which none is most of it. Take such a text for English. Of long texts the first
    READ characters outside code are looked at. The code "und" is a script of which no language
    is known. Never raises.
    """
    return _language_of_prose(_CODE.sub(" ", text[: 4 * READ])[:READ].strip())


@lru_cache(maxsize=4096)  # models open alike, and at one point of a map like at the next
def _language_of_prose(prose: str) -> str | None:
    script = _script(prose)
    if script == "latin":
        return _in_latin_letters(prose)
    if script in _SHARED:
        usual, languages = _SHARED[script]
        return _best_of(prose, languages, usual)
    if script == "other":
        return None if len(set(prose)) < 6 else _best_of(prose, None, "und")  # a loop of a sign
    return {"hangul": "ko", "kana": "ja", "han": "zh"}.get(script or "")


def is_english(text: str) -> bool:
    """Whether a text is English, or nothing says clearly that it is another language."""
    return language_of(text) in (None, "en")


def _script(prose: str) -> str | None:
    """The script of most of a text, by letters weighted by what they carry; None without one."""
    if prose.isascii():  # most are, and looking for each script takes its time
        return "latin" if any(map(str.isalpha, prose)) else None
    counts = {name: len(letter.findall(prose)) for name, _, letter in _SCRIPTS}
    others = sum(map(str.isalpha, prose)) - sum(counts.values())
    weighted = {name: weight * counts[name] for name, weight, _ in _SCRIPTS}
    weighted["other"] = 1.3 * max(0, others)
    if counts["kana"] >= 0.1 * (counts["kana"] + counts["han"]):
        weighted["kana"] += weighted.pop("han")
    script = max(weighted, key=lambda name: weighted[name])
    return script if weighted[script] > 0.5 * sum(weighted.values()) else None


def _in_latin_letters(prose: str) -> str | None:
    words = _WORD.findall(prose)
    lower = [word.lower() for word in words]
    letters = sum(map(len, words))
    english = sum(word in _ENGLISH_WORDS for word in lower)
    if len(words) >= 4 and english >= _ENGLISH_SHARE * len(words):
        return "en"
    if len(words) < 2 or letters < 10 or english >= _ENGLISH_SHARE * len(words):
        return None
    # A list of names is no text in the language of the names, and a loop is no text.
    if not prose.isupper() and sum(word[0].islower() for word in words) < 0.3 * len(words):
        return None
    different = len(set(lower))
    if different < 4 and different < len(words):
        return None
    ranked = _ranked(prose)
    language = ranked[0][0]
    likely_english = sum(share for code, share in ranked if code == "en")
    few = len(words) < 4 or letters < 15
    most_english, least_best = _SURE_OF_FEW_WORDS if few else _SURE
    if language == "en":
        return "en" if ranked[0][1] > 0.5 else None
    if language in _NOT_WRITTEN or likely_english > most_english:
        return None
    return language if sum(share for _, share in ranked[:3]) >= least_best else None


def _best_of(prose: str, languages: frozenset[str] | None, usual: str) -> str:
    """The likeliest of the languages that share a script (None: any that is not Latin)."""
    if sum(map(str.isalpha, prose)) < 10:
        return usual
    for language, share in _ranked(prose):
        known = language in languages if languages else language not in _NOT_WRITTEN
        if known:
            return language if share >= 0.2 else usual
    return usual


def _ranked(prose: str) -> list[tuple[str, float]]:
    """Languages, likeliest first, with their shares; neighbours that are read alike as one."""
    shares: dict[str, float] = {}
    for code, share in _identifier().rank(prose):
        language = _ALIKE.get(code, code)
        shares[language] = shares.get(language, 0.0) + share
    return sorted(shares.items(), key=lambda item: -item[1])
