"""`safebasin scan`: draw the safety landscape of a model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from safebasin.cli.options import (
    DEFAULTS,
    JUDGES,
    LIMIT,
    BatchOption,
    CapabilityLimitOption,
    CapabilityOption,
    CapabilityTasksOption,
    ColumnOption,
    DateOption,
    DeviceOption,
    DryRunOption,
    DtypeOption,
    ExecutorOption,
    JsonResultOption,
    JudgeOption,
    LayersOption,
    LimitOption,
    MaxNewTokensOption,
    ModelArgument,
    NoProbeOption,
    PromptsKindOption,
    RadiusOption,
    RayAddressOption,
    SampleSeedOption,
    ShardOption,
    SystemOption,
    TemplateOption,
    ThoughtOption,
    ToleranceOption,
    TrustRemoteCodeOption,
    WorkersOption,
    begin,
    parse_limit,
    parse_prompts_kind,
    parse_system,
)
from safebasin.config import ScanConfig
from safebasin.errors import UsageError
from safebasin.protocol import peng2024
from safebasin.setting import LARGEST_SEED, MOST_POINTS
from safebasin.terminal import shorten

_WHOLE = re.compile(r"[+-]?[0-9]+")


def scan(
    context: typer.Context,
    model: ModelArgument = DEFAULTS.model,
    axes: Annotated[
        int, typer.Option(help="1: a line along each direction. 2: a plane along each pair.")
    ] = DEFAULTS.axes,
    radius: RadiusOption = DEFAULTS.radius,
    steps: Annotated[
        int, typer.Option(help="Steps along each axis; an even number, one more point than that.")
    ] = DEFAULTS.steps,
    seeds: Annotated[
        str | None,
        typer.Option(help="How many random directions (3), or which (0,1,7). [default: 3, or 2]"),
    ] = None,
    directions: Annotated[
        list[Path] | None,
        typer.Option(help="A file of a saved direction, in place of random ones; repeatable."),
    ] = None,
    direction_scale: Annotated[
        float, typer.Option(help="By what saved directions are multiplied.")
    ] = DEFAULTS.direction_scale,
    normalise: Annotated[
        str, typer.Option(help="Scale noise to the norm of each tensor, or of each output row.")
    ] = DEFAULTS.normalise,
    law: Annotated[
        str,
        typer.Option(
            help="Draw noise as one stream, or by a counter: each number by itself, quicker, and "
            "on a GPU without storing it."
        ),
    ] = DEFAULTS.law,
    include: Annotated[
        list[str] | None, typer.Option(help="Pattern of parameters to displace; repeatable.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(help="Pattern of parameters to leave; repeatable.")
    ] = None,
    layers: LayersOption = None,
    tied: Annotated[
        str, typer.Option(help="Tied tensors move once, or twice as in the reference code.")
    ] = DEFAULTS.tied,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="peng2024: the paper's prompts, directions, points, tokens, keywords, ties and "
            "templates; --system is then default, empty, roleplay, llama2 or safety."
        ),
    ] = None,
    prompts: Annotated[
        str, typer.Option(help="A packaged set, or a CSV, JSONL or TXT file.")
    ] = DEFAULTS.prompts,
    column: ColumnOption = None,
    prompts_kind: PromptsKindOption = None,
    limit: LimitOption = LIMIT,
    sample_seed: SampleSeedOption = (DEFAULTS.sample_seed),
    system: SystemOption = None,
    template: TemplateOption = None,
    date: DateOption = None,
    thought: ThoughtOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    dtype: DtypeOption = None,
    device: DeviceOption = None,
    batch: BatchOption = None,
    engine: Annotated[
        str, typer.Option(help="fast; plain, the yardstick that it is held against; or vllm.")
    ] = DEFAULTS.engine,
    mode: Annotated[
        str,
        typer.Option(help="auto, pool (rows of many points in a batch) or in-place (one by one)."),
    ] = DEFAULTS.mode,
    drafts: Annotated[
        bool | None,
        typer.Option(
            "--drafts/--no-drafts",
            help="Draft answers and verify them. [default: where it is measured to pay]",
        ),
    ] = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = DEFAULTS.executor,
    ray_address: RayAddressOption = None,
    shard: ShardOption = None,
    stop_at_plateau: Annotated[
        bool,
        typer.Option(
            "--stop-at-plateau", help="On each side, leave out what lies beyond broken points."
        ),
    ] = False,
    plateau_points: Annotated[
        int, typer.Option(help="After how many consecutive points with an ASR of 99 %.")
    ] = DEFAULTS.plateau_points,
    full_responses: Annotated[
        bool,
        typer.Option(
            "--full-responses", help="Keep whole answers, which other judges can read later."
        ),
    ] = False,
    capability: CapabilityOption = None,
    capability_limit: CapabilityLimitOption = DEFAULTS.capability_limit,
    capability_tasks: CapabilityTasksOption = None,
    judge: JudgeOption = JUDGES,
    tolerance: ToleranceOption = DEFAULTS.tolerance,
    trust_remote_code: TrustRemoteCodeOption = False,
    out: Annotated[
        Path | None, typer.Option(help="The run folder. [default: runs/NAME-DIGEST]")
    ] = None,
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
    given = {
        "model": model,
        "axes": axes,
        "radius": radius,
        "steps": steps,
        "seeds": parse_seeds(seeds),
        "directions": tuple(map(str, directions or ())),
        "direction_scale": direction_scale,
        "normalise": normalise,
        "law": law,
        "include": tuple(include or ()),
        "exclude": tuple(exclude or ()),
        "layers": layers,
        "tied": tied,
        "prompts": prompts,
        "column": column,
        "prompts_kind": parse_prompts_kind(prompts_kind),
        **parse_limit(limit),
        "sample_seed": sample_seed,
        "system": None if protocol is not None else parse_system(system),
        "template": template,
        "date": date,
        "thought": thought,
        "max_new_tokens": max_new_tokens,
        "dtype": dtype,
        "device": device,
        "batch": batch,
        "engine": engine,
        "mode": mode,
        "drafts": drafts,
        "workers": workers,
        "executor": executor,
        "ray_address": ray_address,
        "shard": shard,
        "stop_at_plateau": stop_at_plateau,
        "plateau_points": plateau_points,
        "full_responses": full_responses,
        "capability": parse_capabilities(capability),
        "capability_limit": capability_limit,
        "capability_tasks": capability_tasks,
        "judges": tuple(judge.split(",")),
        "tolerance": tolerance,
        "trust_remote_code": trust_remote_code,
        "out": None if out is None else str(out),
    }
    if config is not None:
        given = ScanConfig.read(config).to_json() | {
            name: value for name, value in given.items() if _on_the_command_line(context, name)
        }
    if protocol is not None or given.get("protocol") is not None:
        given = _followed(context, given, protocol, system)
    if given["capability"] and (score is not None or (sequential and not dry_run)):
        way = "--score" if score is not None else "--sequential"
        raise UsageError(
            f"{way} keeps no whole landscape that a capability could stand beside.",
            f"Leave out {way}, or --capability.",
        )
    if given.get("protocol") is not None:
        _check_whole_grid(score=score is not None, adaptive=adaptive, sequential=sequential)
    begin()
    if score is not None or adaptive or edge_tolerance is not None:
        from safebasin.cli.views.scout import check_scout, check_ways, run_adaptive, run_scout

        check_ways(score, adaptive, sequential, edge_tolerance)
        asked = ScanConfig.from_json(given)
        if adaptive:
            run_adaptive(asked, edge_tolerance, dry_run=dry_run, no_probe=no_probe, as_json=json)
        else:
            check_scout(asked)
            run_scout(asked, dry_run=dry_run, as_json=json)
        return
    if sequential and not dry_run:
        from safebasin.cli.views.sequential import run_sequential

        run_sequential(ScanConfig.from_json(given), as_json=json)
        return
    from safebasin.cli.views.scan import run_scan

    run_scan(ScanConfig.from_json(given), dry_run=dry_run, no_probe=no_probe, as_json=json)


def parse_seeds(text: str | None) -> tuple[int, ...] | None:
    """`3` means 0, 1, 2; a comma makes it a list: `0,1,7`, or `7,` for that one alone."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if any(not _WHOLE.fullmatch(part) for part in parts if part or len(parts) == 1):
        raise UsageError(
            f"The seeds '{shorten(text)}' are not whole numbers.",
            "Give --seeds 3, or --seeds 0,1,7.",
        )
    if len(parts) > 1:
        # What is longer is no seed, and more than Python reads in one number.
        return tuple(min(int(part[:40]), LARGEST_SEED + 1) for part in parts if part)
    if len(text.strip()) > len(str(MOST_POINTS)) or int(text) > MOST_POINTS:
        raise UsageError(
            f"{shorten(text, 40)} random directions are asked for, and a scan has at most "
            f"{MOST_POINTS} points.",
            "Give a smaller --seeds, or one seed alone with a comma after it, such as --seeds 7,.",
        )
    return tuple(range(int(text)))


def parse_capabilities(given: list[str] | None) -> tuple[str, ...]:
    """Each option may name several, with commas between them."""
    return tuple(part for one in given or () for part in one.split(",") if part.strip())


def _followed(
    context: typer.Context, given: dict[str, Any], protocol: str | None, system: str | None
) -> dict[str, Any]:
    """The settings by the protocol: that of the command line, else that of the settings' file."""
    if protocol is None:
        named = None if system is None else peng2024.system_by_name(system, str(given["model"]))
        return {**given, "system": named} if system is not None else given
    if protocol != peng2024.NAME:
        raise UsageError(f"There is no protocol '{protocol}'.", f"Give --protocol {peng2024.NAME}.")
    explicit = {name for name in given if _on_the_command_line(context, name)}
    return peng2024.follow(given, explicit, system)


def _check_whole_grid(**ways: bool) -> None:
    """Raises UsageError for a way of scanning that does not ask everything at every point."""
    for name, asked in ways.items():
        if asked:
            raise UsageError(
                f"--{name} contradicts --protocol {peng2024.NAME}, which asks all of its prompts "
                "at 21 even points.",
                "Leave one of the two out.",
            )


def _on_the_command_line(context: typer.Context, name: str) -> bool:
    options: dict[str, Any] = {"judges": "judge", "first": "limit"}
    source = context.get_parameter_source(options.get(name, name))
    return source is not None and source.name == "COMMANDLINE"
