"""`safebasin trajectory`: the checkpoints of a training run over the landscape."""

from __future__ import annotations

from typing import Annotated

import typer

from safebasin.cli.options import (
    DEFAULTS,
    JUDGES,
    LIMIT,
    BaseTemplateOption,
    DateOption,
    DryRunOption,
    ExecutorOption,
    JsonResultOption,
    JudgeOption,
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
    StudyOutOption,
    StudyPromptsOption,
    StudySystemOption,
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


def trajectory(
    base: Annotated[str, typer.Argument(help="The model that the training began with.")],
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            help="The output folder of the training, or its checkpoints: folders, adapters, "
            "base+adapter."
        ),
    ],
    plane: Annotated[
        str,
        typer.Option(
            help="principal: two main directions of the run. interpolation: the lines to its last "
            "and first checkpoint. random: the line to its last one, and noise."
        ),
    ] = "principal",
    steps: Annotated[int, typer.Option(help="Cells along the longer axis of the map.")] = 10,
    padding: Annotated[
        float, typer.Option(help="Room around the checkpoints, as a share of their extent.")
    ] = 0.25,
    radius: Annotated[
        float, typer.Option(help="How far a random axis goes, relative to each tensor's norm.")
    ] = 0.3,
    seed: Annotated[int, typer.Option(help="The seed of a random axis.")] = 0,
    prompts: StudyPromptsOption = DEFAULTS.prompts,
    column: StudyColumnOption = None,
    prompts_kind: PromptsKindOption = None,
    limit: StudyLimitOption = LIMIT,
    tolerance: ToleranceOption = DEFAULTS.tolerance,
    system: StudySystemOption = None,
    template: BaseTemplateOption = None,
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
    """Draw a training run's checkpoints on a plane, over the landscape of that plane.

    Each checkpoint is measured where it is and where it is drawn. The same command resumes.
    """
    begin()
    from safebasin.cli.views.trajectory import run_trajectory
    from safebasin.trajectory.settings import TrajectoryConfig, plane_kind
    from safebasin.trajectory.training_run import training_run

    scan = ScanConfig.from_json(
        {
            "model": base,
            "prompts": prompts,
            "column": column,
            "prompts_kind": parse_prompts_kind(prompts_kind),
            **parse_limit(limit),
            "tolerance": tolerance,
            "steps": steps,
            "radius": radius,
            "seeds": (seed,),
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
    run = training_run(checkpoints, trust_remote_code=trust_remote_code)
    config = TrajectoryConfig(run.checkpoints, plane_kind(plane), scan, padding, run.notes)
    run_trajectory(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
