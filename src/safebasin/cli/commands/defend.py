"""`safebasin defend`: a defended model, compared with the model as it was."""

from __future__ import annotations

from safebasin.cli.bind import STUDY, Given, bound
from safebasin.cli.options import JsonResultOption, begin
from safebasin.defences.settings import DefendConfig


@bound(DefendConfig, STUDY - {"model", "out", "shard"} | {"sample_seed"})
def defend(given: Given[DefendConfig], json: JsonResultOption = False) -> None:
    """Make a model by a defence that changes weights, and compare it with the model as it was.

    Writes the model as safetensors with a record, then measures. The exit code is 0 whatever is
    measured: it is `compare` that gates. The same command resumes.
    """
    config = given.settings()
    begin(config.model, trust_remote_code=config.scan.trust_remote_code)
    from safebasin.cli.views.defend import run_defend

    run_defend(config, as_json=json)
