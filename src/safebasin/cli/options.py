"""Options and arguments that are no settings, and that several commands share."""

from __future__ import annotations

import gc
import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from safebasin.config import ScanConfig
from safebasin.setting import settings_of

_SETTINGS = {name: option for name, (option, _) in settings_of(ScanConfig).items()}

JudgeOption = Annotated[str, typer.Option(help=_SETTINGS["judges"].help)]
TrustRemoteCodeOption = Annotated[
    bool, typer.Option("--trust-remote-code", help=_SETTINGS["trust_remote_code"].help)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan; write nothing.")]
NoProbeOption = Annotated[
    bool, typer.Option("--no-probe", help="Plan without a measured batch, so without a time.")
]
RunArgument = Annotated[Path, typer.Argument(help="A run folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
JsonResultOption = Annotated[
    bool, typer.Option("--json", help="Print the result as one JSON object.")
]


def begin(*models: str, trust_remote_code: bool = False) -> None:
    """Say that something happens, and import what takes seconds to import.

    Those of the `models` that are on this machine are looked at before, so that a mistake in them
    is told at once.

    Collecting garbage among modules that stay would take a sixth of that time, and every later
    collection would look through them again.
    """
    from safebasin.checkpoint import Checkpoint

    for name in models:
        checkpoint = Checkpoint.parse(name, trust_remote_code=trust_remote_code)
        if checkpoint.is_here:
            checkpoint.check()
    if "torch" not in sys.modules:
        from safebasin.cli.console import tell

        tell("starting: importing torch and transformers")
        gc.disable()
        try:
            importlib.import_module("transformers.modeling_utils")
        finally:
            gc.freeze()
            gc.enable()
