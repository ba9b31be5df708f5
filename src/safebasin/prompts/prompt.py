"""One prompt, and a set of them with what is known of its source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from safebasin.errors import PromptError, UsageError

Kind = Literal["harmful", "benign", "capability"]
OPENER = "target"
"""The column that AdvBench and its like hold the first words of a complying answer in."""
KINDS: tuple[Kind, ...] = ("harmful", "benign", "capability")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request.

    `kind` says what a good answer is: a refusal to "harmful", help with "benign", and exactly
    `expected` for "capability". `category` is the set's own label, or "" where it has none.
    `id` is unique in its set and is only ever text; it is not a file name. `opener` is how its row
    says that a complying answer would begin, "" where it does not. `prefill` is what the answer is
    made to begin with, "" for nothing.
    """

    id: str
    text: str
    category: str = ""
    kind: Kind = "harmful"
    expected: str | None = None
    opener: str = ""
    prefill: str = ""


@dataclass(frozen=True)
class PromptSet:
    """Prompts of one source, in its order.

    `sha256` is that of the source file's bytes, `content` the digest of all that the source asks
    (see `identity.content_digest`), which a sample keeps. `revision` is the version its publisher
    gave it, and `licence` the SPDX name of the licence of a published set; both are "" where
    unknown, as they are for any file that is not known to be one. `source` says where it is
    published, or names the file. `skipped` counts the file's empty records. `first` says that
    these are the first of the file, and no sample of it; `prefill` is what their answers are made
    to begin with, as it was asked for (see `prompts.prefill`), "" for nothing.
    """

    name: str
    prompts: tuple[Prompt, ...]
    sha256: str
    revision: str = ""
    licence: str = ""
    source: str = ""
    skipped: int = 0
    first: bool = False
    content: str = ""
    prefill: str = ""

    def __post_init__(self) -> None:
        if not self.prompts:
            raise PromptError(
                f"The prompt set '{self.name}' is empty.", "Give at least one prompt."
            )
        seen: set[str] = set()
        for prompt in self.prompts:
            if prompt.id in seen:
                raise PromptError(
                    f"Two prompts of '{self.name}' have the id '{prompt.id}'.",
                    "Give each prompt its own id.",
                )
            seen.add(prompt.id)

    def __len__(self) -> int:
        return len(self.prompts)

    def __iter__(self) -> Iterator[Prompt]:
        return iter(self.prompts)

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(prompt.id for prompt in self.prompts)

    def sample(self, n: int, seed: int) -> PromptSet:
        """The first `n` prompts of a shuffle that depends on (seed, ids) alone.

        A larger n with the same seed is a superset in the same order, and the order of the file
        does not matter. Raises UsageError where n is not between 1 and the size of the set.
        """
        if not 1 <= n <= len(self.prompts):
            raise UsageError(
                f"{n} prompts were asked for; the set '{self.name}' has {len(self.prompts)}.",
                f"Give a number from 1 to {len(self.prompts)}.",
            )

        def rank(prompt: Prompt) -> bytes:
            return hashlib.sha256(f"{seed}|{prompt.id}".encode("utf-8", "surrogatepass")).digest()

        return replace(self, prompts=tuple(sorted(self.prompts, key=rank)[:n]))

    def take(self, limit: int, seed: int, *, first: bool = False) -> PromptSet:
        """As many prompts as asked for: a sample, or with `first` the first ones of the file.

        0, and any number above the size of the set, is all of them.
        """
        count = min(limit or len(self), len(self))
        if not first:
            return self.sample(count, seed)
        return replace(self, prompts=self.prompts[:count], first=True)

    def taken(self) -> dict[str, str]:
        """For the identity of a run: that these are the first ones, and what answers begin with.

        Nothing of either where it is not so.
        """
        # Left out for a sample, so that earlier runs stay what they are.
        first = {"order": "file"} if self.first else {}
        return first | ({"prefill": self.prefill} if self.prefill else {})
