"""`safebasin finetune`: tune a model by a published recipe, and compare it with its base."""

from __future__ import annotations

from typing import Annotated

import typer

from safebasin.cli.options import (
    LIMIT,
    JsonResultOption,
    PromptsKindOption,
    StudyDeviceOption,
    StudyLimitOption,
    StudyOutOption,
    StudyTemplateOption,
    StudyTrustRemoteCodeOption,
    parse_limit,
    parse_prompts_kind,
    parse_system,
)
from safebasin.config import DEFAULT_PROMPTS, ScanConfig
from safebasin.errors import UsageError

THEN = ("nothing", "compare")


def finetune(
    base: Annotated[str, typer.Argument(help="The model to tune: as for scan.")],
    recipe: Annotated[
        str,
        typer.Option(
            help="explicit-10, -50, -100, identity-shifting, benign, mixture or alignment."
        ),
    ],
    data: Annotated[
        str,
        typer.Option(
            help="Rows as JSONL (messages, or prompt and completion), testbed:, or made of prompts "
            "or a run: refused:, openers:, answers:."
        ),
    ],
    safe: Annotated[str | None, typer.Option(help="Safe rows to mix in, as for --data.")] = None,
    ratio: Annotated[
        float | None, typer.Option(help="Safe rows for each row. [default: the recipe's]")
    ] = None,
    rows: Annotated[
        int | None, typer.Option(help="Rows of the data. [default: the recipe's]")
    ] = None,
    lora: Annotated[bool, typer.Option("--lora", help="Train LoRA factors only.")] = False,
    rank: Annotated[int, typer.Option(help="The rank of those factors.")] = 8,
    rate: Annotated[
        float | None, typer.Option(help="The learning rate. [default: the recipe's]")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Rows a step. [default: the recipe's]")] = None,
    epochs: Annotated[
        int | None, typer.Option(help="Passes over the rows. [default: the recipe's]")
    ] = None,
    device_batch: Annotated[
        int | None, typer.Option(help="Rows at a time on the device. [default: a batch]")
    ] = None,
    max_length: Annotated[int, typer.Option(help="Tokens of a row; longer ones are cut.")] = 512,
    decay: Annotated[
        float, typer.Option(help="The factor on the learning rate after each epoch.")
    ] = 0.85,
    system: Annotated[
        str | None,
        typer.Option(help="The system message of rows that have none. [default: template]"),
    ] = None,
    template: StudyTemplateOption = None,
    seed: Annotated[int, typer.Option(help="The seed of the order and of the factors.")] = 42,
    dtype: Annotated[
        str | None,
        typer.Option(help="Of the weights. [default: float32, with bfloat16 passes on a GPU]"),
    ] = None,
    device: StudyDeviceOption = None,
    trust_remote_code: StudyTrustRemoteCodeOption = False,
    out: StudyOutOption = None,
    then: Annotated[
        str, typer.Option(help="What follows: nothing, or compare with the base.")
    ] = "nothing",
    prompts: Annotated[
        str | None, typer.Option(help="Requests to be refused, for --then compare.")
    ] = None,
    prompts_kind: PromptsKindOption = None,
    limit: StudyLimitOption = LIMIT,
    json: JsonResultOption = False,
) -> None:
    """Fine-tune a model by the recipe of a published audit; a checkpoint an epoch.

    Loss is on answer tokens only. The same command resumes. Needs the extra `train`.
    """
    from safebasin.cli.views.finetune import run_finetune
    from safebasin.finetune.settings import FinetuneConfig

    if then not in THEN:
        raise UsageError(f"'{then}' cannot follow.", f"Give {' or '.join(THEN)}.")
    config = FinetuneConfig(
        base=base, recipe=recipe, data=data, safe=safe, ratio=ratio, rows=rows, lora=lora,
        rank=rank, rate=rate, batch=batch, epochs=epochs, device_batch=device_batch,
        max_length=max_length, decay=decay, system=parse_system(system), template=template,
        seed=seed,
        dtype=dtype, device=device, trust_remote_code=trust_remote_code,
        out=None if out is None else str(out),
    )  # fmt: skip
    compared = ScanConfig(
        prompts=prompts or DEFAULT_PROMPTS,
        prompts_kind=parse_prompts_kind(prompts_kind),
        **parse_limit(limit),
    )
    run_finetune(config, compared if then == "compare" else None, as_json=json)
