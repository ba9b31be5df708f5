"""`safebasin scan`: draw the safety landscape of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.bind import Given, bound
from safebasin.cli.options import DryRunOption, JsonResultOption, NoProbeOption, begin
from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.protocol import peng2024


@bound(ScanConfig)
def scan(
    given: Given[ScanConfig],
    config: Annotated[
        Path | None,
        typer.Option(help="Settings from a JSON file, such as a run's manifest.json; options win."),
    ] = None,
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    sequential: Annotated[
        bool,
        typer.Option("--sequential", help="Stop asking at a point when its cell is decided."),
    ] = False,
    adaptive: Annotated[
        bool,
        typer.Option("--adaptive", help="Half the points even, the others where the edges are."),
    ] = False,
    edge_tolerance: Annotated[
        float | None,
        typer.Option(help="How well --adaptive locates the edges. [default: a 20th of the radius]"),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(help="first-token: scout by a score, in seconds; no answers, no ASR."),
    ] = None,
    json: JsonResultOption = False,
) -> None:
    """Displace a model along random directions and map where it stops refusing.

    The same command resumes a run that was interrupted.
    """
    asked = _asked(given, config)
    if not asked.capability:
        given.refuse({"capability_limit", "capability_tasks"}, "--capability")
    if not asked.directions:
        given.refuse({"direction_scale"}, "--directions")
    else:
        given.refuse({"normalise", "law"}, "random directions")
    if asked.capability and (score is not None or (sequential and not dry_run)):
        way = "--score" if score is not None else "--sequential"
        raise UsageError(
            f"{way} keeps no whole landscape that a capability could stand beside.",
            f"Leave out {way}, or --capability.",
        )
    if asked.protocol is not None:
        _check_whole_grid(score=score is not None, adaptive=adaptive, sequential=sequential)
    if sequential and score is None and not adaptive:
        _check_sequential(asked)
    if asked.tensor_parallel > 1 and asked.engine == "fast":
        _check_together(score=score is not None, sequential=sequential)
    begin(asked.model, trust_remote_code=asked.trust_remote_code)
    if score is not None or adaptive or edge_tolerance is not None:
        from safebasin.cli.views.scout import check_scout, check_ways, run_adaptive, run_scout

        check_ways(score, adaptive, sequential, edge_tolerance)
        if adaptive:
            run_adaptive(asked, edge_tolerance, dry_run=dry_run, no_probe=no_probe, as_json=json)
        else:
            check_scout(asked)
            run_scout(asked, dry_run=dry_run, as_json=json)
    elif sequential and not dry_run:
        from safebasin.cli.views.sequential import run_sequential

        run_sequential(asked, as_json=json)
    else:
        from safebasin.cli.views.scan import run_scan

        run_scan(asked, dry_run=dry_run, no_probe=no_probe, as_json=json)


def _asked(given: Given[ScanConfig], file: Path | None) -> ScanConfig:
    """What stands on the command line over what the file says, by the protocol where it is asked.

    Under the protocol --system names a message of the paper's. Raises UsageError.
    """
    said = (ScanConfig() if file is None else ScanConfig.read(file)).to_json()
    protocol, system = given.raw["protocol"], given.raw["system"]
    if protocol is None and said["protocol"] is None:
        return ScanConfig.from_json(said | given.values(ScanConfig, given.named))
    named = given.values(ScanConfig, set(given.named) - {"protocol", "system"})
    said |= named
    if protocol not in (None, peng2024.NAME):
        raise UsageError(f"There is no protocol '{protocol}'.", f"Give --protocol {peng2024.NAME}.")
    if protocol is not None:
        said = peng2024.follow(said, named, system)
    elif system is not None:
        said["system"] = peng2024.system_by_name(system, said["model"])
    return ScanConfig.from_json(said)


def _check_sequential(asked: ScanConfig) -> None:
    """Raises UsageError for options that a scan which stops where it is decided has no use for."""
    given = {"--shard": asked.shard is not None, "--stop-at-plateau": asked.stop_at_plateau}
    for name in (name for name, there in given.items() if there):
        raise UsageError(
            f"--sequential asks each point until it is decided; {name} would do nothing.",
            f"Leave out {name}, or --sequential.",
        )


def _check_together(**ways: bool) -> None:
    """Raises UsageError for a way of scanning in which processes cannot take part."""
    for name, asked in ways.items():
        if asked:
            raise UsageError(
                f"--{name} does not ask a model that --engine fast divides among processes.",
                f"Leave out --{name} or --tensor-parallel.",
            )


def _check_whole_grid(**ways: bool) -> None:
    """Raises UsageError for a way of scanning that does not ask everything at every point."""
    for name, asked in ways.items():
        if asked:
            raise UsageError(
                f"--{name} contradicts --protocol {peng2024.NAME}, which asks all of its prompts "
                "at 21 even points.",
                "Leave one of the two out.",
            )
