"""Where two things that belong together disagree: an adapter and its base, a model and its tune."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safebasin.checkpoint.chat_templates import stored_chat_template
from safebasin.checkpoint.parts import Parts
from safebasin.checkpoint.sources import commit, display
from safebasin.checkpoint.vetting import read_json
from safebasin.errors import CheckpointError, SafebasinError
from safebasin.hub import is_commit
from safebasin.terminal import shorten

_QUANTISED = re.compile(
    r"[-_.](bnb|[248]-?bits?|gptq|awq|hqq|exl2|gguf|nf4|int[48]|fp[48])\b", re.I
)
_MOVING = ("main", "master", "HEAD")
"""Revisions that mean another commit every day, and so contradict none."""


@dataclass(frozen=True)
class Mismatch:
    """One thing in which two checkpoints differ, or an adapter and the base it is put on.

    `kind` is what differs, in one or two words; `sentence` says it to a person. `remedy` is empty
    where the answers stay those of the models; else they would not be, and it says what to do.
    """

    kind: str
    sentence: str
    remedy: str = ""


def refuse(found: Iterable[Mismatch], error: type[SafebasinError] = CheckpointError) -> None:
    """Raise the first mismatch that changes answers."""
    for one in found:
        if one.remedy:
            raise error(one.sentence, one.remedy)


def recorded_base(checkpoint: Parts) -> list[Mismatch]:
    """What an adapter records of the base it was trained on, against the one it is put on.

    Empty for a model without an adapter. That shapes fit is seen where the adapter is read.
    """
    _, adapter = checkpoint.folders
    if adapter is None:
        return []
    config = read_json(adapter, "adapter_config.json") or {}
    return [
        *_recorded_name(checkpoint, config),
        *_recorded_revision(checkpoint, config),
        *_recorded_quantisation(checkpoint, config),
    ]


def other_template(checkpoint: Parts, source: str | None) -> list[Mismatch]:
    """Whether an adapter brings another chat template than `source`, by which prompts are asked.

    None where prompts are sent bare, as somebody wished.
    """
    _, adapter = checkpoint.folders
    own = None if adapter is None or source is None else stored_chat_template(adapter)
    if own is None or own == source:
        return []
    return [
        Mismatch(
            "chat template",
            f"the adapter '{_adapter(checkpoint)}' brings a chat template of its own, and prompts "
            "are put into another; --template with the adapter's folder takes its own",
        )
    ]


def _recorded_name(checkpoint: Parts, config: Mapping[str, Any]) -> list[Mismatch]:
    recorded = config.get("base_model_name_or_path")
    if not isinstance(recorded, str) or not recorded or _is_named(checkpoint, recorded):
        return []
    return [
        Mismatch(
            "base",
            f"the adapter '{_adapter(checkpoint)}' records that it was trained on "
            f"'{shorten(recorded)}', and is put on '{display(checkpoint.base)}'",
        )
    ]


def _is_named(checkpoint: Parts, recorded: str) -> bool:
    """Whether the recorded name is the base's, as far as names tell."""
    folder, _ = checkpoint.folders
    given = [display(checkpoint.base), folder.resolve().name]
    known = (read_json(folder, "config.json") or {}).get("_name_or_path")
    if isinstance(known, str):
        given.append(known)
    if "/" in checkpoint.base and not Path(checkpoint.base).expanduser().exists():
        # Two ids of the hub: the owner counts, unless one of them is a folder's path.
        return recorded.casefold() == checkpoint.base.casefold() or (
            recorded.startswith((".", "/", "~")) and _last(recorded) == _last(checkpoint.base)
        )
    return _last(recorded) in map(_last, given)


def _last(name: str) -> str:
    """The last part of a path, of a hub id, or of the name of a packaged model."""
    return re.split(r"[/\\:]", name.rstrip("/\\"))[-1].casefold()


def _recorded_revision(checkpoint: Parts, config: Mapping[str, Any]) -> list[Mismatch]:
    recorded, name = config.get("revision"), config.get("base_model_name_or_path")
    if not isinstance(recorded, str) or not recorded or recorded in _MOVING:
        return []
    if not isinstance(name, str) or not _is_named(checkpoint, name):
        return []  # a revision of another repository, which its name tells already
    folder, _ = checkpoint.folders
    given = checkpoint.revision
    actual = commit(folder)
    wanted = recorded if is_commit(recorded) else _resolved(folder, recorded)
    what = f"the adapter '{_adapter(checkpoint)}' was trained on revision '{shorten(recorded)}'"
    if recorded == given or (wanted is not None and wanted == actual):
        return []
    if (wanted is not None and actual is not None) or (
        given is not None and given not in _MOVING and not is_commit(given) and wanted is None
    ):
        return [
            Mismatch(
                "base",
                f"{what[0].upper()}{what[1:]} of '{shorten(name)}', and the base given is "
                f"revision '{given or actual}'.",
                f"Give the base as {display(checkpoint.base)}@{shorten(recorded)}.",
            )
        ]
    return [Mismatch("base", f"{what} of its base, and which one this is cannot be told")]


def _resolved(folder: Path, revision: str) -> str | None:
    """The commit that the hub's cache knows a revision by; None where it knows none."""
    if commit(folder) is None or ".." in revision:
        return None
    path = folder.resolve().parent.parent / "refs" / revision
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


def _recorded_quantisation(checkpoint: Parts, config: Mapping[str, Any]) -> list[Mismatch]:
    recorded = config.get("base_model_name_or_path")
    if not isinstance(recorded, str) or not _QUANTISED.search(recorded):
        return []
    return [
        Mismatch(
            "quantisation",
            f"the adapter '{_adapter(checkpoint)}' was trained on a quantised base, "
            f"'{shorten(recorded)}'; here the base is not quantised, so answers can differ",
        )
    ]


def _adapter(checkpoint: Parts) -> str:
    return display(checkpoint.adapter or checkpoint.base)
