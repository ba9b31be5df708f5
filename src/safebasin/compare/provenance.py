"""Where a comparison comes from: versions, command, date, models, prompts."""

from __future__ import annotations

import sys
from typing import Any

from safebasin.compare.preparation import PATH, Prepared
from safebasin.results import prompts_name
from safebasin.run import RunFolder
from safebasin.run.provenance import session


def provenance(prepared: Prepared) -> dict[str, Any]:
    """What `comparison.json` says of a measured comparison beside its numbers, as JSON values.

    date, command, versions, platform, git
                of this sitting, which gave the verdict; the date is UTC
    measured    since when, and by which versions, as a comparison may go on in later sittings
    models      what both are, with the fingerprint of the weights: SHA-256 over their files
    prompts     by run folder: name, SHA-256 of the content, and how many were asked
    sample      the limit of prompts of each set (0 for all), and the seed of the sample
    sampling    how answers are drawn

    Nothing names the machine, its user's home or a secret. Raises RunError where the run folder
    of the path cannot be read.
    """
    now = session(sys.argv)
    manifest = RunFolder.read(prepared.folder / PATH).manifest
    identity, scan = manifest.identity, prepared.config.scan
    measured: list[dict[str, str]] = []
    for sitting in manifest.sessions:
        if sitting["versions"] not in measured:
            measured.append(sitting["versions"])
    return {
        "date": now.pop("started"),
        **now,
        "measured": {"since": manifest.sessions[0]["started"], "versions": measured},
        "models": {"base": identity["model"], "tuned": identity["tuned"]},
        "prompts": {part.name: _prompts(prepared, part.name) for part in prepared.parts},
        "sample": {"limit": scan.limit, "seed": scan.sample_seed},
        "sampling": identity["sampling"],
    }


def _prompts(prepared: Prepared, name: str) -> dict[str, Any]:
    run = RunFolder.read(prepared.folder / name)
    asked = {**run.manifest.identity["prompts"], "name": prompts_name(run)}
    return {**asked, "prompts": len(run.manifest.prompt_ids)}
