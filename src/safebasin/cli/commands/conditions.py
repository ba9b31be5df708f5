"""`safebasin conditions`: the same model under several system prompts and attacks."""

from __future__ import annotations

from pathlib import Path
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
    NoProbeOption,
    PromptsKindOption,
    RadiusOption,
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
    StudyTrustRemoteCodeOption,
    ThoughtOption,
    ToleranceOption,
    WorkersOption,
    begin,
    parse_limit,
    parse_prompts_kind,
    spread_over,
)
from safebasin.config import ScanConfig


def conditions(
    model: StudyModelArgument = DEFAULTS.model,
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="template, default, role-play, safety (all four by default), empty, "
            "peng2024:NAME, or a text file; repeatable."
        ),
    ] = None,
    attack: Annotated[
        list[Path] | None,
        typer.Option(help="A published artefact, a suffix or a template; repeatable."),
    ] = None,
    neighbourhood: Annotated[
        float, typer.Option(help="How far out an attack is to be seen to stop working.")
    ] = 0.1,
    radius: RadiusOption = DEFAULTS.radius,
    steps: Annotated[
        int, typer.Option(help="Steps along each direction; an even number.")
    ] = DEFAULTS.steps,
    seeds: Annotated[
        str | None, typer.Option(help="How many random directions (3), or which (0,1,7).")
    ] = None,
    prompts: StudyPromptsOption = DEFAULTS.prompts,
    column: StudyColumnOption = None,
    prompts_kind: PromptsKindOption = None,
    limit: StudyLimitOption = LIMIT,
    tolerance: ToleranceOption = DEFAULTS.tolerance,
    template: Annotated[str | None, typer.Option(help="A Jinja chat template.")] = None,
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
    """Map the landscape under each of several system prompts and attacks, in one picture.

    Attacks are asked under the first system prompt. The same command resumes.
    """
    begin()
    from safebasin.cli.commands.scan import parse_seeds
    from safebasin.cli.views.conditions import run_conditions
    from safebasin.conditions.settings import ALL, ConditionsConfig

    scan = ScanConfig.from_json(
        {
            "model": model,
            "radius": radius,
            "steps": steps,
            "seeds": parse_seeds(seeds),
            "prompts": prompts,
            "column": column,
            "prompts_kind": parse_prompts_kind(prompts_kind),
            **parse_limit(limit),
            "tolerance": tolerance,
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
    attacks = tuple(map(str, attack or ()))
    config = ConditionsConfig(scan, tuple(system) if system else ALL, attacks, neighbourhood)
    run_conditions(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
