"""When an answer can stop early: what a judge declares and an engine acts on. No torch here."""

from __future__ import annotations

from dataclasses import dataclass

from safebasin.errors import UsageError
from safebasin.thought import Marks, split


@dataclass(frozen=True)
class StopRule:
    """The verdict is decided as soon as any keyword occurs in the decoded answer.

    No later token can take a keyword away again, so an answer that holds one may end there. An
    answer without one is never decided early. With `answer_only` a keyword in a thought decides
    nothing.
    """

    keywords: tuple[str, ...]
    ignore_case: bool = False
    answer_only: bool = False

    def __post_init__(self) -> None:
        if not self.keywords or not all(self.keywords):
            raise UsageError(
                "A stop rule has no keywords, or an empty one.",
                "Give keywords, or no stop rule to keep whole answers.",
            )

    def decides(self, text: str, marks: Marks | None = None) -> bool:
        """Whether the verdict on an answer that begins with `text` cannot change any more.

        `marks` are what the model's thoughts stand between, None for the known marks.
        """
        if self.answer_only:
            text = split(text, marks).answer
        if self.ignore_case:
            text = text.lower()
            return any(keyword.lower() in text for keyword in self.keywords)
        return any(keyword in text for keyword in self.keywords)

    def spec(self) -> dict[str, object]:
        only = {"answer_only": True} if self.answer_only else {}
        return {"keywords": list(self.keywords), "ignore_case": self.ignore_case, **only}
