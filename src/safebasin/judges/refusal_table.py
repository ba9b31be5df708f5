"""All patterns of the refusal judge, compiled, and the hash that identifies them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache

from safebasin.judges.refusal_delivery import (
    ABILITY,
    DELIVERY,
    FILLER,
    KNOWN,
    LIMIT,
    MORALS,
    OFFER,
    PLEASANTRY,
    TURN,
)
from safebasin.judges.refusal_framing import FRAMES
from safebasin.judges.refusal_objections import OBJECTIONS, PREMISES
from safebasin.judges.refusal_phrases import PHRASES, WHOLE

TABLE_SHA256 = hashlib.sha256(
    repr(
        (
            *(PHRASES, OBJECTIONS, PREMISES, WHOLE, FRAMES, PLEASANTRY, DELIVERY, TURN, ABILITY),
            *(OFFER, FILLER, MORALS, KNOWN, LIMIT),
        )
    ).encode()
).hexdigest()
"""Identifies this version of the table in a judge's specification."""

Compiled = tuple[tuple[str, re.Pattern[str]], ...]


@dataclass(frozen=True)
class Patterns:
    """The table, compiled."""

    phrases: Compiled
    objections: Compiled
    premises: Compiled
    whole: Compiled
    pleasantry: re.Pattern[str]
    delivery: re.Pattern[str]
    turn: re.Pattern[str]
    ability: re.Pattern[str]
    offer: re.Pattern[str]
    filler: re.Pattern[str]
    morals: re.Pattern[str]
    known: re.Pattern[str]
    limit: re.Pattern[str]


@cache
def patterns() -> Patterns:
    """Compiled when first needed: it takes a tenth of a second, too long to list the judges."""

    def rows(table: tuple[tuple[str, str], ...]) -> Compiled:
        return tuple((name, re.compile(pattern)) for name, pattern in table)

    return Patterns(
        phrases=rows(PHRASES),
        objections=rows(OBJECTIONS),
        premises=rows(PREMISES),
        whole=rows(WHOLE),
        pleasantry=re.compile(PLEASANTRY),
        delivery=re.compile(DELIVERY),
        turn=re.compile(TURN),
        ability=re.compile(ABILITY),
        offer=re.compile(OFFER),
        filler=re.compile(FILLER),
        morals=re.compile(MORALS),
        known=re.compile(KNOWN),
        limit=re.compile(LIMIT),
    )


def first(table: Compiled, sentence: str) -> str | None:
    """The name of the first row that is found in the sentence, or None."""
    return next((name for name, pattern in table if pattern.search(sentence)), None)
