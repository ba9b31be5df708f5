"""`safebasin conditions`: the same model under several system prompts and attacks."""

from __future__ import annotations

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import DryRunOption, JsonResultOption, NoProbeOption, begin
from safebasin.conditions.settings import ConditionsConfig


@bound(ConditionsConfig, STUDY - {"system"} | {"radius", "steps", "seeds"})
def conditions(
    given: Given[ConditionsConfig],
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    json: JsonResultOption = False,
) -> None:
    """Map the landscape under each of several system prompts and attacks, in one picture.

    Attacks are asked under the first system prompt. The same command resumes.
    """
    config = given.settings()
    begin(config.scan.model, trust_remote_code=config.scan.trust_remote_code)
    from safebasin.cli.views.conditions import run_conditions

    run_conditions(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
