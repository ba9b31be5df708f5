"""The day that a chat template is told it is: one for a whole run, on whatever day it goes on.

Some chat templates put the date into the prompt (`strftime_now`). A run that is resumed tomorrow
would ask something else than today; so its day is fixed when it begins, and recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, cast

from safebasin.run.folder import MANIFEST
from safebasin.run.identity import Identity
from safebasin.run.kinds import runs_beneath
from safebasin.run.manifest import load_manifest
from safebasin.setting import parse_day

LOG = logging.getLogger(__name__)

M = TypeVar("M", bound=Mapping[str, Any])

CLOCK = "strftime_now"
"""What a chat template calls to learn the time."""


@dataclass
class Clock:
    """Stands at midnight of a day. `told` says that the day is part of what identifies a run."""

    day: date = field(default_factory=date.today)
    told: bool = True


def reads_clock(source: str | None) -> bool:
    """Whether a chat template asks for the time."""
    return source is not None and CLOCK in source


def settle_day(
    identity: M, folder: Path | None, given: str | None, clock: Clock, source: str | None
) -> M:
    """Set the clock to the day of a run or study in `folder`; the identity with that day.

    It is the day that was given, else the recorded one, else today. A run of an earlier version
    has none recorded: then it is the day when it began, and the identity stays without. `folder`
    is None where it is known that no run is there.
    Raises UsageError for a day that is none, RunError where the folder is damaged.
    """
    day = None if given is None else parse_day(given)
    if not reads_clock(source):
        if day is not None:
            LOG.warning("the chat template does not ask for the date; --date changes nothing")
        return identity
    recorded = None if folder is None else _recorded(folder)
    if day is None and recorded is not None:
        clock.day, clock.told = recorded
    else:
        clock.day, clock.told = day or date.today(), True
    return cast(M, _dated(identity, clock.day.isoformat() if clock.told else None))


def _recorded(folder: Path) -> tuple[date, bool] | None:
    """The day of the run in a folder, or of the first beneath it, and whether it is recorded."""
    for path in (folder, *runs_beneath(folder)):
        manifest = load_manifest(path / MANIFEST)
        if manifest is None:
            continue
        match manifest.identity:
            case {"engine": {"template": {"date": str(text)}}}:
                return parse_day(text), True
        for session in manifest.sessions:
            try:
                return date.fromisoformat(str(session.get("started"))[:10]), False
            except ValueError:
                continue
    return None


def _dated(value: Any, day: str | None) -> Any:
    """JSON values with the day in what specifies a template, or without one where it is None."""
    if isinstance(value, Identity):
        return value.mapped(lambda one: _dated(one, day))
    if isinstance(value, Mapping):
        found = {name: _dated(one, day) for name, one in value.items()}
        template = found.get("template")
        if isinstance(template, dict) and "date" in template:
            rest = {name: one for name, one in template.items() if name != "date"}
            found["template"] = rest if day is None else {**rest, "date": day}
        return found
    if isinstance(value, list | tuple):
        return [_dated(one, day) for one in value]
    return value
