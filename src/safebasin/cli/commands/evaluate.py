"""`safebasin evaluate`: one model at one point."""

from __future__ import annotations

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import DryRunOption, JsonOption, NoProbeOption, begin
from safebasin.evaluate.settings import EvaluateConfig


@bound(
    EvaluateConfig,
    STUDY - {"engine", "tolerance"} | {"sample_seed"},
    limit={"default": "0"},
)
def evaluate(
    given: Given[EvaluateConfig],
    dry_run: DryRunOption = False,
    no_probe: NoProbeOption = False,
    json: JsonOption = False,
) -> None:
    """Measure a model as it is: refusal, over-refusal, coherence, capability.

    The same command resumes what was interrupted. Exit code 4 where more than 2 % of the answers
    could not be judged.
    """
    config = given.settings()
    begin(config.scan.model, trust_remote_code=config.scan.trust_remote_code)
    from safebasin.cli.views.evaluate import run_evaluation

    run_evaluation(config, as_json=json, dry_run=dry_run, no_probe=no_probe)
