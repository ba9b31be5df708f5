"""Attacks read from the formats in which they are published; none are shipped.

An attack turns a request into the text that is sent: one text for each request (JailbreakBench's
artefacts, HarmBench's test cases), a suffix (GCG's results), or a template with a place for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safebasin.errors import PromptError
from safebasin.prompts import PromptSet
from safebasin.prompts.identity import CHANGED, content_digest
from safebasin.terminal import shorten

PLACES = ("[INSERT PROMPT HERE]", "[PROMPT]", "{prompt}", "{goal}", "{query}", "{instruction}")
"""Where a template takes the request; the first that occurs counts."""

_FORMATS = (
    "Give JailbreakBench's artefact (jailbreaks), HarmBench's test cases (behaviour id to texts), "
    "GCG's results (controls), or a text file: a template with [INSERT PROMPT HERE], or a suffix."
)


@dataclass(frozen=True)
class Attack:
    """`kind` is "texts", "suffix" or "template"; `sha256` is that of the file."""

    name: str
    kind: str
    sha256: str
    apply: Callable[[str, str], str | None]
    """From a prompt's id and text to the attacked text, None where the attack has none for it."""

    def on(self, prompts: PromptSet) -> PromptSet:
        """The attacked prompts under their own ids; those it has no text for are left out.

        Raises PromptError where it has one for none of them.
        """
        attacked = [
            replace(prompt, text=text)
            for prompt in prompts
            if (text := self.apply(prompt.id, prompt.text)) is not None
        ]
        if not attacked:
            raise PromptError(
                f"The attack '{self.name}' has no text for any prompt of '{prompts.name}'.",
                "Give the prompts that it was made for with --prompts.",
            )
        # What is asked is no longer what the set asks.
        content = content_digest(attacked)
        name = f"{prompts.name}{CHANGED}{self.name}"
        return replace(prompts, prompts=tuple(attacked), name=name, content=content)

    def spec(self) -> dict[str, Any]:
        return {"name": self.name, "kind": self.kind, "sha256": self.sha256}


def load_attack(source: str) -> Attack:
    """Read an attack from a file, recognised by what is in it.

    Raises PromptError, naming the file, where it has none of the known forms.
    """
    path = Path(source)
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PromptError(
            f"The attack '{shorten(source)}' cannot be read: {reason}.", _FORMATS
        ) from None
    digest = hashlib.sha256(data).hexdigest()
    if path.suffix == ".json":
        kind, apply = _from_json(path, text)
    else:
        kind, apply = _from_text(path, text)
    return Attack(path.stem, kind, digest, apply)


def _from_json(path: Path, text: str) -> tuple[str, Callable[[str, str], str | None]]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise PromptError(f"The attack '{path}' is not JSON: {error}.", _FORMATS) from None
    match value:
        case {"jailbreaks": list(rows)}:
            return "texts", _by_goal(rows)
        case {"controls": list(controls), **rest} if controls:
            return "suffix", _suffix(_best(path, controls, rest.get("losses")))
        case dict() if value and all(_texts(texts) for texts in value.values()):
            found = {str(name): _texts(texts)[0] for name, texts in value.items()}
            return "texts", lambda name, prompt: found.get(name)
    raise PromptError(f"The attack '{path}' has none of the known forms.", _FORMATS)


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return values if values and all(isinstance(v, str) and v.strip() for v in values) else []


def _by_goal(rows: list[Any]) -> Callable[[str, str], str | None]:
    """JailbreakBench: the text for a request, by the request; null where the attack found none."""
    found: dict[str, str] = {}
    for row in rows:
        match row:
            case {"goal": str(goal), "prompt": str(prompt)} if prompt.strip():
                found[_plain(goal)] = prompt
    return lambda name, prompt: found.get(_plain(prompt))


def _best(path: Path, controls: list[Any], losses: Any) -> str:
    """The suffix with the least loss, the last one where losses are missing."""
    if not all(isinstance(control, str) and control.strip() for control in controls):
        raise PromptError(f"The attack '{path}' has a control without text.", _FORMATS)
    if (
        isinstance(losses, list)
        and len(losses) == len(controls)
        and all(isinstance(loss, int | float) for loss in losses)
    ):
        return str(controls[min(range(len(losses)), key=losses.__getitem__)])
    return str(controls[-1])


def _from_text(path: Path, text: str) -> tuple[str, Callable[[str, str], str | None]]:
    if not text.strip():
        raise PromptError(f"The attack '{path}' is empty.", _FORMATS)
    place = next((place for place in PLACES if place in text), None)
    if place is not None:
        return "template", lambda name, prompt: text.strip().replace(place, prompt)
    return "suffix", _suffix(text.strip())


def _suffix(suffix: str) -> Callable[[str, str], str | None]:
    return lambda name, prompt: f"{prompt} {suffix}"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().casefold()
