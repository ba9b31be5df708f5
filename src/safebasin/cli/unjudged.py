"""What a command says, and how it ends, where judges left too many answers unjudged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from safebasin.cli.console import tell
from safebasin.landscape.summary import UNJUDGED_LIMIT
from safebasin.run import RunFolder
from safebasin.terminal import shorten

SHOWN = 3
"""How many reasons are told, the commonest first."""


def end_where_unjudged(
    shares: Mapping[str, float],
    folders: Iterable[Path],
    known: Mapping[str, Mapping[str, int]] | None = None,
) -> None:
    """Name each judge that left more than 2 % unjudged, with its reasons, and exit with 4.

    `shares` are the shares of unjudged answers by judge, in [0, 1]; `folders` are the run folders
    that hold the verdicts; `known` counts the reasons of judges whose verdicts none holds.
    """
    failed = {name: share for name, share in shares.items() if share > UNJUDGED_LIMIT}
    if not failed:
        return
    reasons = _reasons(list(failed), folders)
    for name, share in failed.items():
        reasons[name].update((known or {}).get(name, {}))
        why = "; ".join(
            f"{shorten(reason, 100)} ({n})" for reason, n in reasons[name].most_common(SHOWN)
        )
        told = f": {why}" if why else ""
        tell(f"warning: {name} could not judge {100 * share:.1f} % of the answers{told}")
    raise typer.Exit(4)


def _reasons(names: Iterable[str], folders: Iterable[Path]) -> dict[str, Counter[str]]:
    """How often each judge gave each reason for giving no verdict."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in names}
    for folder in folders:
        run = RunFolder.read(folder)
        specs = run.judges()
        for name in counted.keys() & specs.keys():
            for point in run.manifest.points:
                for verdict in run.read_verdicts(name, specs[name], point).values():
                    if verdict.outcome is None:
                        counted[name][verdict.reason] += 1
    return counted
