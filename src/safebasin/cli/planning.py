"""How the studies tell their plan, and how they run a share of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from safebasin.cli.console import count, duration, emit, say, tell
from safebasin.config import ScanConfig
from safebasin.spread.shards import Shard
from safebasin.study.plan import StudyPlan
from safebasin.terminal import printable

NO_PROBE = "not estimated, as no batch is measured (--no-probe)"
"""What stands for the time in a plan without a measured batch."""

T = TypeVar("T")


def ends_with_plan(
    plan: Callable[[bool], StudyPlan],
    config: ScanConfig,
    folder: Path,
    *,
    dry_run: bool,
    no_probe: bool,
    as_json: bool,
) -> bool:
    """Tell the plan; returns whether the command ends with it, as a dry run does.

    `plan` is given whether to measure a batch. Only a dry run measures one: a study tells the time
    that is left as it goes.
    """
    if not dry_run:
        for line in plan_lines(plan(False), config, folder):
            tell(line)
        return False
    found = plan(not no_probe)
    if as_json:
        emit({"plan": found.to_json(), "run": str(folder)})
        return True
    for line in plan_lines(found, config, folder):
        say(line)
    together = "" if config.shard is None or found.seconds is None else " for all shards together"
    say(f"time     {time_text(found.seconds)}{together}{_on_top(found)}")
    say("nothing written (dry run)")
    return True


def plan_lines(plan: StudyPlan, config: ScanConfig, folder: Path) -> Iterator[str]:
    """The plan as a person reads it, but for the time."""
    width = max(len(part.name) for part in plan.parts)
    for i, part in enumerate(plan.parts):
        points = f"{part.points} {'point' if part.points == 1 else 'points'}"
        size = f"{points} x {part.prompts} prompts = {part.answers} answers"
        yield f"{'' if i else 'work':<9}{printable(part.name):<{width}}  {size}"
    total = f"{plan.answers} answers of up to {plan.new_tokens} tokens"
    if plan.answers_missing < plan.answers:
        total += f"; {plan.answers_missing} to go"
    yield f"in all   {total} (at most {count(plan.answers * plan.new_tokens)} tokens)"
    for i, text in enumerate(plan.further):
        yield f"{'' if i else 'further':<9}{text}"
    if plan.workers > 1 and config.executor != "ray":
        yield f"workers  {plan.workers} processes"
    if config.executor == "ray":
        yield f"executor {cluster(config)}"
    if config.shard is not None:
        yield f"shard    {config.shard} of the points; the last shard to end sums up"
    for text in plan.notes:
        yield f"note     {printable(text)}"
    yield f"run      {folder}"


def time_text(seconds: tuple[float, float] | None) -> str:
    """The expected time, or why there is none."""
    if seconds is None:
        return NO_PROBE
    low, high = map(duration, seconds)
    return f"{low if low == high else f'{low} to {high}'}, by a measured batch"


def cluster(config: ScanConfig) -> str:
    """Which actors answer."""
    where = "one on this machine" if config.ray_address is None else printable(config.ray_address)
    return f"the actors of a Ray cluster: {where}"


def whole_or_share(
    config: ScanConfig,
    whole: Callable[[], T],
    share: Callable[[Shard], T | None],
    folder: Path,
    *,
    as_json: bool,
) -> T | None:
    """What the study gives; None where it was one shard, which is said, and others are to come."""
    if config.shard is None:
        return whole()
    found = share(Shard.parse(config.shard))
    if found is None and as_json:
        emit({"shard": config.shard, "complete": False, "run": str(folder)})
    elif found is None:
        say(f"shard {config.shard} is measured; other shards of {folder} are not yet")
    return found


def _on_top(plan: StudyPlan) -> str:
    return "; what follows comes on top" if plan.further and plan.seconds is not None else ""
