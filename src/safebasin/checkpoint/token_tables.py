"""Tables of tokens held against each other: which ids mean another token there."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from safebasin.checkpoint.mismatches import Mismatch
from safebasin.terminal import listed, shorten

SAME = "Give a checkpoint of the same architecture and vocabulary."


@dataclass(frozen=True)
class OtherTokens:
    """How their table of tokens differs from ours, each as (id here, token here, what is there).

    moved    our tokens that have another id there
    renamed  ids that stand for another token there
    missing  our tokens that have no id there, and no other token has theirs
    added    their tokens by id, which are none of ours
    """

    moved: tuple[tuple[int, str, int], ...]
    renamed: tuple[tuple[int, str, str], ...]
    missing: tuple[tuple[int, str], ...]
    added: Mapping[str, int]

    @classmethod
    def between(cls, ours: Mapping[str, int], theirs: Mapping[str, int]) -> OtherTokens:
        """Compare two tables, token to id."""
        named: dict[int, set[str]] = {}
        for token, number in theirs.items():
            named.setdefault(number, set()).add(token)
        own = sorted(ours.items(), key=lambda item: item[1])
        taken = set(ours.values())
        moved = [(n, t, theirs[t]) for t, n in own if theirs.get(t, n) != n]
        away = [(n, t) for t, n in own if t not in theirs]
        return cls(
            tuple(moved),
            tuple((n, t, min(named[n])) for n, t in away if n in named),
            tuple((n, t) for n, t in away if n not in named),
            {t: n for t, n in theirs.items() if t not in ours and n not in taken},
        )


def renamed_tokens(
    table: OtherTokens, tokenizer: Any, who: str, asked: Container[int] = ()
) -> list[Mismatch]:
    """Ids that mean another token to `who`; `tokenizer` is ours, and `asked` the ids of prompts.

    A special token that nobody is asked with changes no answer.
    """
    special = {int(i) for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    wrong = [f"{shorten(t)!r} ({there}, here {here})" for here, t, there in table.moved]
    wrong += [
        f"{shorten(t)!r} (id {i} is {shorten(there)!r} there)"
        for i, t, there in table.renamed
        if i in asked or i not in special
    ]
    if wrong:
        begun = f"{who[0].upper()}{who[1:]}"
        return [Mismatch("vocabulary", f"{begun} has other tokens for {listed(wrong)}.", SAME)]
    if not table.renamed:
        return []
    names = [f"'{shorten(there)}' (here '{shorten(t)}')" for _, t, there in table.renamed]
    return [Mismatch("vocabulary", f"{who} has other names for special tokens: {listed(names)}")]
