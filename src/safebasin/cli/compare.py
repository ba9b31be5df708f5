"""`safebasin compare`: what a fine-tune did to a model, and whether it may pass."""

from __future__ import annotations

from typing import Annotated

import typer

from safebasin.cli.options import (
    DEFAULTS,
    JUDGES,
    BaseTemplateOption,
    JsonResultOption,
    JudgeOption,
    PromptsKindOption,
    StudyBatchOption,
    StudyColumnOption,
    StudyDeviceOption,
    StudyDtypeOption,
    StudyEngineOption,
    StudyMaxNewTokensOption,
    StudyOutOption,
    StudyPromptsOption,
    StudyTrustRemoteCodeOption,
    ThoughtOption,
    ToleranceOption,
    parse_prompts_kind,
)
from safebasin.config import ScanConfig


def compare(
    base: Annotated[str, typer.Argument(help="The model before: as for scan.")],
    tuned: Annotated[
        str, typer.Argument(help="The model after: a folder, hub id, base+adapter, or an adapter.")
    ],
    max_asr_rise: Annotated[
        float, typer.Option(help="The rise of the attack success rate that may pass, in [0, 1].")
    ] = 0.05,
    min_margin: Annotated[
        float,
        typer.Option(help="The least margin: where the path leaves the basin, less 1."),
    ] = 0.0,
    min_capability: Annotated[
        float | None, typer.Option(help="The least share of right answers of the tuned model.")
    ] = None,
    max_kl: Annotated[
        float | None,
        typer.Option(help="The most KL(base || tuned) on benign prompts, in nats a token."),
    ] = None,
    max_first_token_kl: Annotated[
        float | None, typer.Option(help="The same, at the first token of the answer.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Go by the unfavourable end of each interval.")
    ] = False,
    prompts: StudyPromptsOption = DEFAULTS.prompts,
    column: StudyColumnOption = None,
    prompts_kind: PromptsKindOption = None,
    benign: Annotated[
        str | None,
        typer.Option(help="Requests to be helped with. [default: packaged, for packaged models]"),
    ] = None,
    capability: Annotated[
        str | None,
        typer.Option(help="Questions with an `expected` column. [default: as for benign]"),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="A seeded sample of so many prompts of each set; 0 for all.")
    ] = DEFAULTS.limit,
    sample_seed: Annotated[int, typer.Option(help="The seed of those samples.")] = 0,
    reach: Annotated[
        float, typer.Option(help="How far the path goes: 1 is the tuned model.")
    ] = 1.5,
    steps: Annotated[int, typer.Option(help="Even steps along the path.")] = 12,
    refine: Annotated[int, typer.Option(help="Finer places where the path leaves the basin.")] = 4,
    tolerance: ToleranceOption = DEFAULTS.tolerance,
    landscape: Annotated[
        bool,
        typer.Option("--landscape", help="Map the tuned model's own basin too: VISAGE, widths."),
    ] = False,
    seeds: Annotated[
        str | None, typer.Option(help="Random directions of that map, as for scan.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="The system prompt, for both models.")] = None,
    template: BaseTemplateOption = None,
    thought: ThoughtOption = None,
    max_new_tokens: StudyMaxNewTokensOption = None,
    dtype: StudyDtypeOption = None,
    device: StudyDeviceOption = None,
    batch: StudyBatchOption = None,
    engine: StudyEngineOption = DEFAULTS.engine,
    judge: JudgeOption = JUDGES,
    trust_remote_code: StudyTrustRemoteCodeOption = False,
    out: StudyOutOption = None,
    json: JsonResultOption = False,
) -> None:
    """Hold a tuned model against its base: safety, capability, and how close it is to the edge.

    Exit code 3 where it fails, so that it can gate a release. The same command resumes.
    """
    from safebasin.cli.comparing import run_compare
    from safebasin.cli.scan import parse_seeds
    from safebasin.compare.settings import CompareConfig

    scan = ScanConfig.from_json(
        {
            "model": base,
            "prompts": prompts,
            "column": column,
            "prompts_kind": parse_prompts_kind(prompts_kind),
            "limit": limit,
            "sample_seed": sample_seed,
            "tolerance": tolerance,
            "seeds": parse_seeds(seeds),
            "system": None if system == "none" else system,
            "template": template,
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
    config = CompareConfig(
        tuned, scan, benign, capability, reach, steps, refine, max_asr_rise, min_margin,
        min_capability, strict, landscape, max_kl=max_kl, max_first_token_kl=max_first_token_kl,
    )  # fmt: skip
    run_compare(config, as_json=json)
