"""`safebasin testbed`: make the packaged tiny model again, from nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from safebasin.cli.local_paths import LocalTyper
from safebasin.cli.options import JsonOption

application = LocalTyper(
    help="The packaged tiny model, its recipe and its prompts.", no_args_is_help=True
)


@application.callback()
def group() -> None:
    """The packaged tiny model, its recipe and its prompts."""


@application.command()
def train(
    out: Annotated[Path, typer.Option(help="An empty or new folder for the models.")],
    seed: Annotated[int, typer.Option(help="The seed of everything.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads. [default: all]")] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    json: JsonOption = False,
) -> None:
    """Train base, aligned and fine-tuned models end to end, and measure them."""
    from safebasin.cli.views.testbed import run_training

    run_training(out, seed=seed, threads=threads, device=device, as_json=json)
