"""`safebasin evaluate`: one model at one point."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.options import (
    DEFAULTS,
    JUDGES,
    BatchOption,
    ColumnOption,
    DateOption,
    DeviceOption,
    DryRunOption,
    DtypeOption,
    EachLimitOption,
    ExecutorOption,
    JsonOption,
    JudgeOption,
    MaxNewTokensOption,
    ModelArgument,
    NoProbeOption,
    PromptsKindOption,
    RayAddressOption,
    SampleSeedOption,
    ShardOption,
    SystemOption,
    TemplateOption,
    ThoughtOption,
    TrustRemoteCodeOption,
    WorkersOption,
    begin,
    parse_limit,
    parse_prompts_kind,
    parse_system,
    spread_over,
)
from safebasin.config import ScanConfig


def evaluate(
    model: ModelArgument = DEFAULTS.model,
    prompts: Annotated[
        str, typer.Option(help="Harmful prompts: a set by name, NAME=FILE, or a file.")
    ] = DEFAULTS.prompts,
    column: ColumnOption = None,
    prompts_kind: PromptsKindOption = None,
    benign: Annotated[
        str | None,
        typer.Option(
            help="Benign prompts for over-refusal, or none. [default: the named set's twin, if it "
            "is packaged or on the hub; none beside a file]"
        ),
    ] = None,
    capability: Annotated[
        str | None,
        typer.Option(help="Questions with exact answers, or none. [default: the packaged ones]"),
    ] = None,
    samples: Annotated[int, typer.Option(help="Answers to each prompt.")] = 1,
    temperature: Annotated[
        float, typer.Option(help="Draw answers at this temperature; 0 is greedy.")
    ] = 0.0,
    noise_seed: Annotated[int, typer.Option(help="The seed of the draws.")] = 0,
    limit: EachLimitOption = "0",
    sample_seed: SampleSeedOption = (DEFAULTS.sample_seed),
    system: SystemOption = None,
    template: TemplateOption = None,
    date: DateOption = None,
    thought: ThoughtOption = None,
    max_new_tokens: MaxNewTokensOption = None,
    dtype: DtypeOption = None,
    device: DeviceOption = None,
    batch: BatchOption = None,
    judge: JudgeOption = JUDGES,
    workers: WorkersOption = None,
    executor: ExecutorOption = DEFAULTS.executor,
    ray_address: RayAddressOption = None,
    shard: ShardOption = None,
    trust_remote_code: TrustRemoteCodeOption = False,
    out: Annotated[
        Path | None, typer.Option(help="The folder. [default: runs/evaluate-NAME-DIGEST]")
    ] = None,
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    json: JsonOption = False,
) -> None:
    """Measure a model as it is: refusal, over-refusal, coherence, capability.

    The same command resumes what was interrupted. Exit code 4 where more than 2 % of the answers
    could not be judged.
    """
    begin()
    from safebasin.cli.views.evaluate import run_evaluation
    from safebasin.evaluate.settings import EvaluateConfig

    scan = ScanConfig(
        model=model,
        prompts=prompts,
        column=column,
        prompts_kind=parse_prompts_kind(prompts_kind),
        **parse_limit(limit),
        sample_seed=sample_seed,
        system=parse_system(system),
        template=template,
        date=date,
        thought=thought,
        max_new_tokens=max_new_tokens,
        dtype=dtype,
        device=device,
        batch=batch,
        judges=tuple(judge.split(",")),
        trust_remote_code=trust_remote_code,
        out=None if out is None else str(out),
    )
    scan = spread_over(scan, workers, executor, ray_address, shard)
    config = EvaluateConfig(scan, benign, capability, samples, temperature, noise_seed)
    run_evaluation(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
