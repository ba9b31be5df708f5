"""DeRTa: refusing at any place of an answer, not at its first words alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any, ClassVar

from safebasin.defences.base import TrainingDefence
from safebasin.errors import DataError, UsageError
from safebasin.run.names import canonical, digest
from safebasin.subject.rows import Instead, Message, Row, Rows


class Derta(TrainingDefence):
    """Decoupled refusal training: two rows of a harmful answer r̂ and a refusal r to one prompt q.

        L = -log P(r | q, r̂_<k) - Σ_t log P("Sorry" | q, r̂_<t)

    (Yuan et al., ACL 2025, arXiv 2407.09121, Sec. 3, Eq. 2.) The first row is r after the first k
    words of r̂, which are there and not learnt. As in the authors' code words are what single spaces
    part, so that r̂_<k is r̂'s own text with its line breaks, and k is 0 for every third row, else
    drawn from 1 to two less than the words of r̂; 0 where there are fewer than three. The second
    has r̂ as its context, and one token, the first of refusals, as what is to be learnt at each of
    its places, the end of the answer among them; no token of r̂ is ever learnt. All rows count by
    their tokens, in one mean.

    refusals  r by q; rows of other prompts are left as they are: the helpful ones
    word      the refusal token, derived from the tokenizer: after other text with the space before
              it, at the first place without. It has to be one token at both; the authors' code has
              the number of Llama-3's "Sorry" in it
    keep      of the second row the share of places that are learnt, drawn from its answer, at least
              one. The authors' is 0.05 where all weights are trained and 1 with LoRA; their code
              draws from the padding, too, so that short answers may keep none

    Raises DataError where an answer that is to be refused has no words.
    """

    kind: ClassVar[str] = "derta"
    reference: ClassVar[str] = "Yuan et al., ACL 2025, arXiv 2407.09121, Sec. 3"

    def __init__(
        self, refusals: Mapping[str, str], word: str = "Sorry", keep: float = 1.0, seed: int = 0
    ) -> None:
        if not 0 < keep <= 1:
            raise UsageError(f"The share of refusal labels is {keep}.", "Give one in (0, 1].")
        if not word.strip() or word != word.strip():
            raise UsageError("The refusal word is empty, or has spaces around it.", "Give a word.")
        self.refusals, self.word, self.keep, self.seed = dict(refusals), word, keep, seed

    def spec(self) -> dict[str, Any]:
        """The settings, and the digest of the refusals with their prompts."""
        return {
            "kind": self.kind,
            "word": self.word,
            "keep": self.keep,
            "seed": self.seed,
            "refusals": digest(canonical(self.refusals).encode(), 64),
        }

    def rows(self, rows: Rows) -> Rows:
        """Two rows for each whose prompt is to be refused, in its place."""
        made: list[Row] = []
        number = 0
        for row in rows.rows:
            refusal = self.refusals.get(row.messages[-2].content)
            if refusal is None:
                made.append(row)
                continue
            made += self._pair(row, refusal, number)
            number += 1
        if not number:
            raise DataError(
                f"None of the rows of '{rows.name}' has a refusal of its prompt.",
                "Give refusals of the prompts that are trained on.",
            )
        return Rows(f"{rows.name}, {number} refused at any place", tuple(made))

    def _pair(self, row: Row, refusal: str, number: int) -> Iterator[Row]:
        words = row.messages[-1].content.strip().split(" ")
        random = Random(f"derta {self.seed} {number}")
        k = 0 if number % 3 == 0 or len(words) < 3 else random.randint(1, len(words) - 2)
        begun = " ".join(words[:k])
        answer = f"{begun} {refusal}".strip()
        prompt = row.messages[:-1]
        yield replace(
            row, messages=(*prompt, Message("assistant", answer)), begun=begun, ended=True
        )
        yield replace(row, instead=Instead(self.word, self.keep, f"{self.seed} {number}"))
