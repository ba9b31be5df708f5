"""`safebasin finetune`: tune a model by a published recipe, and compare it with its base."""

from __future__ import annotations

from typing import Annotated

import typer

from safebasin.cli.bind import Given, bound
from safebasin.cli.options import JsonResultOption
from safebasin.errors import UsageError
from safebasin.finetune.settings import FinetuneConfig

THEN = ("nothing", "compare")


@bound(
    FinetuneConfig,
    {"prompts", "prompts_kind", "limit"},
    prompts={"help": "Requests to be refused, for --then compare.", "default": None},
)
def finetune(
    given: Given[FinetuneConfig],
    then: Annotated[
        str, typer.Option(help="What follows: nothing, or compare with the base.")
    ] = "nothing",
    json: JsonResultOption = False,
) -> None:
    """Fine-tune a model by the recipe of a published audit; a checkpoint an epoch.

    Loss is on answer tokens only. The same command resumes. Needs the extra `train`.
    """
    if then not in THEN:
        raise UsageError(f"'{then}' cannot follow.", f"Give {' or '.join(THEN)}.")
    config, compared = given.settings(), given.scan()
    if then != "compare":
        given.refuse({"prompts", "prompts_kind", "limit"}, "--then compare")
    from safebasin.cli.views.finetune import run_finetune

    run_finetune(config, compared if then == "compare" else None, as_json=json)
