"""The chat template that a folder brings along, as text; no code is run and no model is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safebasin.checkpoint.vetting import inside, read_json
from safebasin.errors import CheckpointError


def stored_chat_template(folder: Path) -> str | None:
    """The chat template in a folder; None where it has none. Of several, the one named default.

    Raises CheckpointError where a file is damaged or is a link that leads elsewhere.
    """
    path = inside(folder, "chat_template.jinja")
    if path.is_file():
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"{path} cannot be read: {error}.", "Save the tokenizer again."
            ) from error
    for name in ("chat_template.json", "tokenizer_config.json"):
        found = _default((read_json(folder, name) or {}).get("chat_template"))
        if found:
            return found
    return None


def _default(value: Any) -> str | None:
    """One template, or the default of several, which are stored by name or as a list."""
    if isinstance(value, list):
        value = {one.get("name"): one.get("template") for one in value if isinstance(one, dict)}
    if isinstance(value, dict):
        value = value.get("default")
    return value if isinstance(value, str) else None
