"""What `--system` asks for: a message, an empty one, or what the chat template has."""

from __future__ import annotations

from safebasin.errors import UsageError
from safebasin.protocol.texts import PREFIX, SYSTEM_MESSAGES

TEMPLATE = "template"
"""No message is sent, and the chat template puts in its own, where it has one."""
EMPTY = "empty"
"""An empty message is sent, which takes the place of the chat template's own."""


def system_message(text: str) -> str | None:
    """The message to send; "" for an empty one, None where the chat template decides.

    `text` is TEMPLATE, EMPTY, a message of the paper's by its name, such as `peng2024:llama2`, or
    the message itself. Raises UsageError for `none`, which many chat templates do not allow, and
    for an unknown name of the paper's.
    """
    if text == TEMPLATE:
        return None
    if text == EMPTY:
        return ""
    if text == "none":
        raise UsageError(
            "`--system none` does not say whether a chat template's own system message stays.",
            f"Give --system {TEMPLATE} to keep it, or --system {EMPTY} to send an empty one.",
        )
    if text.startswith(PREFIX):
        found = SYSTEM_MESSAGES.get(text.removeprefix(PREFIX))
        if found is None:
            known = ", ".join(f"{PREFIX}{name}" for name in SYSTEM_MESSAGES)
            raise UsageError(f"There is no system message '{text}'.", f"Give one of {known}.")
        return found
    return text
