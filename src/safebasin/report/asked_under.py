"""Under which system message a model was asked, in words. No HTML and no Markdown here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from safebasin.run.manifest import Manifest
from safebasin.terminal import printable, shorten

LONGEST = 90
"""Characters of a message, or of a prompt's beginning, that are shown."""


def asked_under(manifest: Manifest, longest: int = LONGEST) -> str:
    """What the recorded prompts held for a system message, and who put it there."""
    if manifest.rendered:
        return told(manifest.rendered, longest)
    # A run of an earlier version recorded only what was sent.
    engine = manifest.identity.get("engine")
    template = engine.get("template") if isinstance(engine, Mapping) else None
    if not isinstance(template, Mapping):
        return "not recorded"
    if isinstance(template.get("system"), str):
        return _quoted(template["system"], longest)
    if template.get("kind") == "raw":
        return "none: the prompt was sent bare"
    return "as the chat template has it; which that was is not recorded"


def told(rendered: Mapping[str, Any], longest: int = LONGEST) -> str:
    """The same of `engines.rendered.Rendered` as JSON values."""
    system, source = rendered.get("system"), rendered.get("source")
    before = str(rendered.get("before", ""))
    begins = f"a prompt begins {_quoted(before, longest)}" if before else "the prompt is sent bare"
    if not isinstance(system, str):
        return f"none; {begins}"
    own = ", the chat template's own" if source == "template" else ""
    if not system:
        return f"an empty one{own}; {begins}"
    return f"{_quoted(system, longest)}{own}"


def _quoted(text: str, longest: int) -> str:
    """Foreign text on one printable line, line feeds as their escape."""
    return f"'{shorten(printable(text), longest)}'"
