"""`safebasin worst-case`: the direction in which safety is lost soonest."""

from __future__ import annotations

from typing import Annotated

import typer

from safebasin.cli.options import (
    DEFAULTS,
    JUDGES,
    LIMIT,
    DateOption,
    DryRunOption,
    ExecutorOption,
    JsonResultOption,
    JudgeOption,
    LayersOption,
    NoProbeOption,
    PromptsKindOption,
    RayAddressOption,
    ShardOption,
    StudyBatchOption,
    StudyColumnOption,
    StudyDeviceOption,
    StudyDtypeOption,
    StudyEngineOption,
    StudyLimitOption,
    StudyMaxNewTokensOption,
    StudyModelArgument,
    StudyOutOption,
    StudyPromptsOption,
    StudySystemOption,
    StudyTemplateOption,
    StudyTrustRemoteCodeOption,
    ThoughtOption,
    ToleranceOption,
    WorkersOption,
    begin,
    parse_limit,
    parse_prompts_kind,
    parse_system,
    spread_over,
)
from safebasin.config import ScanConfig


def worst_case(
    model: StudyModelArgument = DEFAULTS.model,
    ball: Annotated[
        float, typer.Option(help="The search stays within this share of each tensor's norm.")
    ] = 0.1,
    iterations: Annotated[int, typer.Option(help="Steps of the ascent.")] = 10,
    restarts: Annotated[
        int, typer.Option(help="Attempts from random noise, besides that from the origin.")
    ] = 2,
    search: Annotated[
        int, typer.Option(help="Prompts that the search sees; others measure what it found.")
    ] = 24,
    aligned_from: Annotated[
        str | None,
        typer.Option(help="The base it was aligned from: measures the alignment direction too."),
    ] = None,
    radius: Annotated[
        float, typer.Option(help="How far the lines go, relative to the norm of each tensor.")
    ] = DEFAULTS.radius,
    steps: Annotated[
        int, typer.Option(help="Steps of a whole line, of which the outward half is measured.")
    ] = DEFAULTS.steps,
    refine: Annotated[int, typer.Option(help="Finer places where a line leaves the basin.")] = 4,
    seeds: Annotated[
        str | None, typer.Option(help="Random directions beside it: how many (3), or which.")
    ] = "1",
    layers: LayersOption = None,
    prompts: StudyPromptsOption = DEFAULTS.prompts,
    column: StudyColumnOption = None,
    prompts_kind: PromptsKindOption = None,
    limit: StudyLimitOption = LIMIT,
    tolerance: ToleranceOption = DEFAULTS.tolerance,
    system: StudySystemOption = None,
    template: StudyTemplateOption = None,
    date: DateOption = None,
    thought: ThoughtOption = None,
    max_new_tokens: StudyMaxNewTokensOption = None,
    dtype: StudyDtypeOption = None,
    device: StudyDeviceOption = None,
    batch: StudyBatchOption = None,
    engine: StudyEngineOption = DEFAULTS.engine,
    judge: JudgeOption = JUDGES,
    workers: WorkersOption = None,
    executor: ExecutorOption = DEFAULTS.executor,
    ray_address: RayAddressOption = None,
    shard: ShardOption = None,
    trust_remote_code: StudyTrustRemoteCodeOption = False,
    out: StudyOutOption = None,
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    json: JsonResultOption = False,
) -> None:
    """Search for the direction in which refusals vanish soonest, and measure how far it is safe.

    The directions are saved for `scan --directions`. The same command resumes.
    """
    begin()
    from safebasin.cli.commands.scan import parse_seeds
    from safebasin.cli.views.worst_case import run_worst_case
    from safebasin.worst_case.settings import WorstCaseConfig

    scan = ScanConfig.from_json(
        {
            "model": model,
            "radius": radius,
            "steps": steps,
            "seeds": parse_seeds(seeds),
            "layers": layers,
            "prompts": prompts,
            "column": column,
            "prompts_kind": parse_prompts_kind(prompts_kind),
            **parse_limit(limit),
            "tolerance": tolerance,
            "system": parse_system(system),
            "template": template,
            "date": date,
            "thought": thought,
            "max_new_tokens": max_new_tokens,
            "dtype": dtype,
            "device": device,
            "batch": batch,
            "engine": engine,
            "judges": tuple(judge.split(",")),
            "trust_remote_code": trust_remote_code,
            "out": None if out is None else str(out),
        }
    )
    scan = spread_over(scan, workers, executor, ray_address, shard)
    config = WorstCaseConfig(scan, ball, iterations, restarts, search, aligned_from, refine)
    run_worst_case(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
