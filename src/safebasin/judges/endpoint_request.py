"""How an endpoint is asked, and in which other way where it does not take that."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

FIRST_LIMIT = 200
"""Tokens of a reply; a grade takes 30."""
GROWTH = 4
MOST_TOKENS = 12_800
"""The limit grows to no more than this where replies end at it, as those of a model that thinks."""

_TOO_LONG = re.compile(
    r"too (?:large|long)|at most|maximum (?:context|value)|context length|exceed"
)
_NOT_TAKEN = re.compile(r"support|unknown|unrecogni|unexpected|permitted|deprecated")
_SCHEMA = re.compile(r"response_?format|json_?schema|structured output|guided")

LimitName = Literal["max_tokens", "max_completion_tokens"]


@dataclass(frozen=True)
class Request:
    """How an endpoint is asked, beside the conversation.

    `limit` in tokens of the reply. `temperature` and `schema` say whether they are sent.
    """

    limit: int = FIRST_LIMIT
    limit_name: LimitName = "max_tokens"
    temperature: bool = True
    schema: bool = True

    @property
    def omitted(self) -> str:
        """What the endpoint did not take, in words; empty where it took everything."""
        left_out = [("temperature", self.temperature), ("schema", self.schema)]
        return " and ".join(name for name, sent in left_out if not sent)

    def options(self, shape: Any) -> dict[str, Any]:
        """As arguments of a call. `shape` is the response format, None to ask for none."""
        found: dict[str, Any] = {self.limit_name: self.limit}
        if self.temperature:
            found["temperature"] = 0
        if self.schema and shape is not None:
            found["response_format"] = shape
        return found

    def corrected(self, said: str, with_shape: bool) -> Request | None:
        """The request without what an error says that it cannot hold; None where it says nothing.

        `said` in lower case; `with_shape` is whether a response format was asked for.
        """
        if self.limit > FIRST_LIMIT and _TOO_LONG.search(said):
            return replace(self, limit=FIRST_LIMIT)
        if self.limit_name == "max_tokens" and not _TOO_LONG.search(said):
            unknown = "max_tokens" in said and _NOT_TAKEN.search(said)
            if unknown or "max_completion_tokens" in said:
                return replace(self, limit_name="max_completion_tokens")
        if self.temperature and "temperature" in said:
            return replace(self, temperature=False)
        if self.schema and with_shape and _SCHEMA.search(said):
            return replace(self, schema=False)
        return None

    def learnt(self, other: Request) -> Request:
        """What two calls found out together."""
        changed = "max_completion_tokens" in (self.limit_name, other.limit_name)
        return Request(
            max(self.limit, other.limit),
            "max_completion_tokens" if changed else "max_tokens",
            self.temperature and other.temperature,
            self.schema and other.schema,
        )
