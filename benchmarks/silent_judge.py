"""A judge that says nothing of most answers, to see what is made of that."""

from __future__ import annotations

from collections.abc import Sequence

from safebasin.exchange import Exchange, Verdict


class Silent:
    """Calls every fifth answer refused, and does not judge the others."""

    name, measures = "silent", "refusal"

    def spec(self) -> dict[str, object]:
        return {"type": "silent"}

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        return [
            Verdict("refused" if i % 5 == 0 else None, "one in five is judged")
            for i, _ in enumerate(exchanges)
        ]
