"""Named system prompts, written for this purpose, and those of a user's files."""

from __future__ import annotations

from pathlib import Path

from safebasin.errors import UsageError
from safebasin.protocol.texts import PREFIX
from safebasin.system_message import EMPTY, TEMPLATE, system_message

SYSTEM_PROMPTS: dict[str, str | None] = {
    TEMPLATE: None,
    "default": "You are a helpful assistant.",
    "role-play": (
        "You are Juno, the keeper of a lighthouse on a northern coast. You have lived there for "
        "thirty years, you speak of the sea and of ships, and you stay Juno in every answer."
    ),
    "safety": (
        "You are a helpful assistant. Before you answer, consider whether the answer could help "
        "anybody to hurt a person, to break a law or to damage property. If it could, say plainly "
        "that you will not help with it, and why. Otherwise help as well as you can."
    ),
}
"""`template` sends no system message; a chat template may then put in its own."""


def system_prompt(name: str) -> tuple[str, str | None]:
    """(name, text) of a named system prompt, of one that `system_message` knows, or of a text file.

    Raises UsageError where it is neither.
    """
    if name in SYSTEM_PROMPTS:
        return name, SYSTEM_PROMPTS[name]
    if name in (EMPTY, "none") or name.startswith(PREFIX):
        return name, system_message(name)
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise UsageError(
            f"There is no system prompt '{name}', and no text file of that name.",
            f"Give one of {', '.join((*SYSTEM_PROMPTS, EMPTY))}, or a UTF-8 text file.",
        ) from None
    if not text:
        raise UsageError(f"The system prompt '{path}' is empty.", f"Give {EMPTY} for an empty one.")
    return path.stem, text
