"""How `safebasin trajectory` runs: progress, then a line a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from safebasin.cli.console import emit, say, tell
from safebasin.cli.counting import AnswerCount
from safebasin.cli.interruptions import resumable
from safebasin.cli.planning import ends_with_plan, whole_or_share
from safebasin.cli.threads import spare_threads
from safebasin.report.asked_under import told
from safebasin.report.quantities import percent
from safebasin.trajectory.preparation import prepare
from safebasin.trajectory.settings import TrajectoryConfig
from safebasin.trajectory.study import Trajectory, trace, trace_shard


def run_trajectory(
    config: TrajectoryConfig, *, as_json: bool, dry_run: bool = False, no_probe: bool = False
) -> None:
    """Measure and print."""
    for note in config.notes:
        tell(f"note: {note}")
    tell(f"loading {config.scan.model} and {len(config.checkpoints)} checkpoints")
    prepared = prepare(config)
    spare_threads(prepared.engine.model)
    tell(f"system message: {told(prepared.engine.template.rendered.to_json())}")
    if ends_with_plan(
        lambda probe: prepared.plan(probe=probe), config.scan, prepared.folder,
        dry_run=dry_run, no_probe=no_probe, as_json=as_json,
    ):  # fmt: skip
        return
    tell(f"measuring in {prepared.folder}")
    with resumable(prepared.folder), AnswerCount() as count:
        found = whole_or_share(
            config.scan,
            lambda: trace(prepared, count),
            lambda shard: trace_shard(prepared, shard, count),
            prepared.folder,
            as_json=as_json,
        )
    if found is None:
        return
    if as_json:
        emit(
            found.to_json()
            | {
                "run": str(found.folder),
                "figures": [str(path) for path in found.figures],
                "page": None if found.page is None else str(found.page),
            }
        )
        return
    for line in lines(found):
        say(line)


def lines(found: Trajectory) -> Iterator[str]:
    """The result as a person reads it."""
    yield f"base     {found.base}"
    yield f"asked    {found.prompts}; judge {found.plane.judge}; every interval is at 95 %"
    if found.explained:
        shares = " and ".join(f"{100 * share:.1f} %" for share in found.explained)
        yield f"plane    {' x '.join(found.axes)}, which explain {shares} of the way"
    else:
        yield f"plane    {' x '.join(found.axes)}"
    yield ""
    for number, station in enumerate(found.stations, 1):
        x, y = station.projection.coordinates
        yield f"{number:<3} {station.name} at ({x:+.3f}, {y:+.3f})"
        yield (
            f"    ASR {percent(station.real)}; on the plane {percent(station.projected)}; "
            f"{100 * station.projection.residual:.0f} % of its way is not in the plane"
        )
    yield ""
    yield f"run      {found.folder}"
    for path in found.figures:
        if path.suffix == ".png":
            yield f"picture  {path}"
    if found.page is not None:
        yield f"report   {found.page}"
