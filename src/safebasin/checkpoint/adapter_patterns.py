"""The regular expressions of an adapter's settings, tried out where they can be stopped.

PEFT matches them against the names of all modules. Some patterns take longer than anyone waits, and
nothing stops Python while it matches; each is first tried in a process of its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from safebasin.errors import CheckpointError
from safebasin.terminal import shorten

SECONDS = 20.0
"""For how long the patterns of an adapter may be matched."""

_REPEATS = re.compile(r"[*+{]")
_TRIAL = """
import json, re, sys
asked = json.load(sys.stdin)
for field, pattern in asked["patterns"]:
    print(field, flush=True)
    for name in asked["names"]:
        re.match(pattern, name)
"""


def require_quick(folder: Path, settings: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raise CheckpointError where a pattern is none, or cannot be matched against `names` in time.

    `settings` are those of `adapter_config.json` in the folder.
    """
    patterns = list(_patterns(settings))
    for field, pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise CheckpointError(
                f"{folder / 'adapter_config.json'} has a pattern at {field} that is no regular "
                f"expression ({shorten(str(error))}).",
                "Correct it, or save the adapter again with PEFT.",
            ) from error
    slow = [(field, pattern) for field, pattern in patterns if len(_REPEATS.findall(pattern)) > 1]
    if not slow:
        return
    asked = json.dumps({"patterns": slow, "names": list(names)})
    command = [sys.executable, "-I", "-c", _TRIAL]
    try:
        subprocess.run(command, input=asked.encode(), capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as error:
        field = (error.stdout or slow[0][0].encode()).decode().split()[-1]
        raise CheckpointError(
            f"{folder / 'adapter_config.json'} has a pattern at {field} that was not matched "
            f"against the names of the modules in {SECONDS:g} s.",
            "Name the modules in a list there, or write a pattern without repeats inside repeats.",
        ) from error


def _patterns(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Each pattern as PEFT matches it, with the field where it stands."""
    for field in ("target_modules", "exclude_modules"):
        if isinstance(value := settings.get(field), str) and value != "all-linear":
            yield field, rf"(?:{value})\Z"
    for field in ("rank_pattern", "alpha_pattern"):
        for key in settings.get(field) or {}:
            yield field, rf"(.*\.)?({key})$"
    layers = settings.get("layers_pattern") or []
    for one in [layers] if isinstance(layers, str) else layers:
        yield "layers_pattern", rf".*\.[^.]*\.{one}\.(\d+)\."
