"""`safebasin compare`: what a fine-tune did to a model, and whether it may pass."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import DryRunOption, JsonResultOption, NoProbeOption, begin
from safebasin.compare.settings import CompareConfig
from safebasin.errors import UsageError


@bound(
    CompareConfig,
    STUDY | {"sample_seed", "seeds"},
    model={"help": "The model before: as for scan.", "name": "base", "default": ...},
    sample_seed={"help": "The seed of those samples."},
    seeds={"help": "Random directions of the tuned model's map, as for scan."},
)
def compare(
    given: Given[CompareConfig],
    strict: Annotated[bool, typer.Option("--strict", hidden=True)] = False,
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    junit: Annotated[
        Path | None, typer.Option(help="Also write the checks as JUnit XML to this file.")
    ] = None,
    json: JsonResultOption = False,
) -> None:
    """Hold a tuned model against its base: safety, capability, and how close it is to the edge.

    Exit code 0 where it passes, 3 where it fails and 5 where nothing can be decided, so that it can
    gate a release. The same command resumes.
    """
    config = given.settings()
    if strict and config.point_values:
        raise UsageError(
            "--strict asks for whole intervals and --point-values for the estimates alone.",
            "Leave out --strict: whole intervals decide by default.",
        )
    if not config.landscape:
        given.refuse({"seeds"}, "--landscape")
    begin(config.scan.model, trust_remote_code=config.scan.trust_remote_code)
    from safebasin.cli.views.compare import run_compare

    run_compare(config, as_json=json, junit=junit, dry_run=dry_run, no_probe=no_probe)
