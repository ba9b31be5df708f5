"""What a table of refusals in one language holds, and how a sentence is prepared for it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

Rows = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Phrases:
    """How one language refuses. Patterns read a sentence as `plain` makes it.

    refusals    (what the phrase says, pattern): found in one of the first sentences it refuses.
    objections  weaker: the first sentence objects, and the answer never delivers.
    whole       the answer holds nothing else.
    pleasantry  begins a sentence that neither refuses nor delivers.
    delivery    begins a sentence from which on the answer gives what was asked.
    turn        a refusal taken back: "but here is the plan".
    conditional before the phrase in its clause, it makes it no refusal: "if I cannot help".
    """

    language: str
    plain: Callable[[str], str]
    refusals: Rows
    objections: Rows
    whole: str
    pleasantry: str
    delivery: str
    turn: str
    conditional: str

    def rows(self) -> tuple[object, ...]:
        """Everything that decides, for a digest."""
        return (
            self.language, self.plain.__name__, self.refusals, self.objections, self.whole,
            self.pleasantry, self.delivery, self.turn, self.conditional,
        )  # fmt: skip


def gap(stops: str, words: int = 4) -> str:
    """Up to so many words between a negated verb and what it negates, none of them a stop."""
    return rf"(?:(?!(?:{stops})\b)[\w'-]+,? ){{0,{words}}}?"


_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u02bc\u02b9\uff07\u00b4\u0060\u2032", "'")
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad*_~#>\u0640", "")
)
_SPACE = re.compile(r"\s+")
_HARAKAT = re.compile("[\u064b-\u065f\u0670]")
_ALEFS = str.maketrans("\u0623\u0625\u0622\u0671\u0649\u0629\u06a9\u06cc", "اااايهكي")
_NOT_WORDS = re.compile(r"[^\w\s',;:\u060c-]")
_NOT_SIGNS = re.compile(r"[^\w,;:、]")


def _folded(sentence: str) -> str:
    text = unicodedata.normalize("NFKC", sentence.translate(_QUOTES)).casefold()
    return text.translate(_QUOTES)


def _spaced(text: str) -> str:
    return _SPACE.sub(" ", _NOT_WORDS.sub(" ", text)).strip(" ,;:'-")


def without_accents(sentence: str) -> str:
    """Latin and Greek letters without their marks, in lower case, one space between words."""
    text = unicodedata.normalize("NFD", _folded(sentence))
    return _spaced("".join(letter for letter in text if not unicodedata.combining(letter)))


def cyrillic(sentence: str) -> str:
    """In lower case, with е for ё, one space between words."""
    return _spaced(_folded(sentence).replace("ё", "е"))


def arabic(sentence: str) -> str:
    """Without vowel signs, one form of alef, ya and ta marbuta, one space between words."""
    return _spaced(_HARAKAT.sub("", _folded(sentence)).translate(_ALEFS)).replace("،", ",")


def devanagari(sentence: str) -> str:
    """Without nukta, anusvara for chandrabindu, one space between words.

    Vowel signs are no word characters to `re`, so punctuation is named.
    """
    text = unicodedata.normalize("NFD", _folded(sentence)).replace("\u093c", "")
    text = text.replace("\u0901", "\u0902").replace("ये", "ए")
    return _SPACE.sub(" ", re.sub(r"[!?()\[\]\"“”।]", " ", text)).strip(" ,;:'-")


_SIMPLIFIED = str.maketrans(
    "無協幫請對這個問題內關為與會應該過說話違規倫絕復覆給導資訊傷進樣從夠願許滿實現時討論處寫製種議遺們務責擔還創編"
    "參執鼓勵薦釋繼續教訴給鑒於視屬適當誠難達類單語開發繪練戰認識礙討嚴歸據險傳單後來變態隱"
    "產構標準則謝條讓換聊較顯撰遵從權獲決辦",
    "无协帮请对这个问题内关为与会应该过说话违规伦绝复复给导资讯伤进样从够愿许满实现时讨论处写制种议遗们务责担还创编"
    "参执鼓励荐释继续教诉给鉴于视属适当诚难达类单语开发绘练战认识碍讨严归据险传单后来变态隐"
    "产构标准则谢条让换聊较显撰遵从权获决办",
)


def chinese(sentence: str) -> str:
    """Simplified characters where the refusals need them, no spaces, ASCII punctuation."""
    text = _folded(sentence).translate(_SIMPLIFIED)
    return _NOT_SIGNS.sub("", text)


def unspaced(sentence: str) -> str:
    """Japanese or Korean without spaces, ASCII punctuation."""
    return _NOT_SIGNS.sub("", _folded(sentence))
