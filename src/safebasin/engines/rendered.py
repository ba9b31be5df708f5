"""What a prompt really holds beside the request: read off the text that a template makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from safebasin.checkpoint.chats import Unrendered

REQUEST = "What is a safety basin"
MESSAGE = "Answer as the keeper of a lighthouse would"
"""Texts that no template has of its own, put in to see where they come out."""

Source = Literal["given", "template", "nowhere"]

Render = Callable[[str | None, str], str]
"""From a system message (None for none) and a request to the whole input of the model."""


@dataclass(frozen=True)
class Rendered:
    """A prompt's surroundings.

    system   the system message that stands in it; "" for an empty one, None where there is none
    source   where that is from: `given`, the chat `template`'s own, or `nowhere`
    before   all that stands before the request, special tokens included
    after    all that stands after it
    """

    system: str | None
    source: Source
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def rendered(render: Render, system: str | None) -> Rendered:
    """What `render` makes of a request under a system message, None where none is sent.

    Where none is sent, another one is put in to see where it would stand: what stands there is the
    template's own. Raises whatever `render` does under `system`.
    """
    whole = render(system, REQUEST)
    before, _, after = whole.partition(REQUEST)
    if system is not None:
        return Rendered(system, "given", before, after)
    own = _own(render, whole)
    return Rendered(own, "nowhere" if own is None else "template", before, after)


def _own(render: Render, whole: str) -> str | None:
    """The system message that a template puts in by itself; None where there is none."""
    try:
        with_message = render(MESSAGE, REQUEST)
    except Unrendered:
        return None  # it takes no system message, so there is no place where one could stand
    head, found, tail = with_message.partition(MESSAGE)
    fits = whole.startswith(head) and whole.endswith(tail)
    if not found or not fits or len(whole) < len(head) + len(tail):
        return None
    return whole[len(head) : len(whole) - len(tail)]
