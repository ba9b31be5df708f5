"""`safebasin worst-case`: the direction in which safety is lost soonest."""

from __future__ import annotations

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import DryRunOption, JsonResultOption, NoProbeOption, begin
from safebasin.worst_case.settings import WorstCaseConfig


@bound(
    WorstCaseConfig,
    STUDY | {"radius", "steps", "seeds", "layers"},
    steps={"help": "Steps of a whole line, of which the outward half is measured."},
    seeds={"help": "Random directions beside it: how many (3), or which.", "default": "1"},
)
def worst_case(
    given: Given[WorstCaseConfig],
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    json: JsonResultOption = False,
) -> None:
    """Search for the direction in which refusals vanish soonest, and measure how far it is safe.

    The directions are saved for `scan --directions`. The same command resumes.
    """
    config = given.settings()
    begin(config.scan.model, trust_remote_code=config.scan.trust_remote_code)
    from safebasin.cli.views.worst_case import run_worst_case

    run_worst_case(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
