"""`safebasin certify`: how much of a neighbourhood is proved to be safe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.options import JsonOption


def certify(
    run: Annotated[Path, typer.Argument(help="A run folder of lines along random directions.")],
    judge: Annotated[
        str | None, typer.Option(help="A judge whose verdicts it holds. [default: the headline]")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="The ASR up to which a displaced model is safe.")
    ] = 0.10,
    confidence: Annotated[float, typer.Option(help="One-sided, such as 0.95.")] = 0.95,
    keep: Annotated[
        float, typer.Option(help="The share of safe neighbours that a shift has to leave.")
    ] = 0.5,
    json: JsonOption = False,
) -> None:
    """Bound the share of safe neighbours from below, and the shift that it survives."""
    from safebasin.certify.runs import certify_run
    from safebasin.cli.views.certify import print_certified

    print_certified(certify_run(run, judge, tolerance, confidence, keep), as_json=json)
