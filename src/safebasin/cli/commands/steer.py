"""`safebasin steer`: a steering that takes over-refusal away, found in a model."""

from __future__ import annotations

from safebasin.cli.bind import Given, bound
from safebasin.cli.options import JsonResultOption, begin
from safebasin.defences.scans_settings import SteerConfig


@bound(SteerConfig)
def steer(given: Given[SteerConfig], json: JsonResultOption = False) -> None:
    """Find what steers a model away from refusing benign requests, by SCANS (arXiv 2408.11491).

    Half of the prompts give the vectors, the other half one threshold. Writes a file for
    `evaluate --steer`.
    """
    config = given.settings()
    begin(config.model, trust_remote_code=config.trust_remote_code)
    from safebasin.cli.views.steer import run_steer

    run_steer(config, as_json=json)
