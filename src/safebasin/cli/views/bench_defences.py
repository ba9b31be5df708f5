"""How `safebasin bench-defences` runs: a line a cell, then the table."""

from __future__ import annotations

import logging
import signal
import sys
import time

import typer

from safebasin.cli.console import duration, emit, say, tell
from safebasin.cli.interruptions import interrupted
from safebasin.defence_bench.cells import plan
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.study import BENCH, PAGE, TABLE, TEXT, bench, checked
from safebasin.defence_bench.tables import lines


class Counted:
    """Tells which cell is finished, and the time that is left by those of this sitting."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, name: str, seconds: float) -> None:
        if self._first is None:
            self._first, self._began = done - 1, time.monotonic() - seconds
        each = (time.monotonic() - self._began) / (done - self._first)
        left = duration(each * (total - done)) if done < total else "0 s"
        tell(f"cell {done} of {total} · {name} · {duration(seconds)} · {left} left")


def run_bench(config: BenchConfig, *, as_json: bool, dry_run: bool = False) -> None:
    """Measure and print; exit code 1 where a cell could not be measured."""
    cells = plan(config)
    checked(config)
    if dry_run:
        if as_json:
            emit({"cells": [cell.name for cell in cells]})
            return
        for title, names in (
            ("fine-tunes", dict.fromkeys(cell.tune for cell in cells)),
            ("defences", dict.fromkeys(cell.defence for cell in cells)),
        ):
            say(f"{title:<11} {', '.join(names)}")
        say(f"cells       {len(cells)}, of {config.seeds} seed{'s' * (config.seeds != 1)} each")
        return
    tell(f"{len(cells)} cells of {config.scan.model}")
    # Hundreds of models are made and asked, and each would tell how it is loaded.
    logging.getLogger("safebasin").setLevel(logging.WARNING)
    # A scheduler's request to stop ends it as cleanly as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = bench(config, Counted(), ["safebasin", *sys.argv[1:]])
    except KeyboardInterrupt:
        raise interrupted("every finished cell is kept") from None
    if as_json:
        emit({**found.summary, "run": str(found.folder)})
    elif found.records:
        for line in lines(found.summary):
            say(line)
        say("")
        for one in found.failed:
            where = f"{one['tune']}, seed {one['seed']}, {one['defence']}"
            say(f"not measured  {where}: {one['failed']}")
        for name in (PAGE, TEXT, TABLE, BENCH):
            say(f"written       {found.folder / name}")
    if found.elsewhere:
        tell(f"{len(found.elsewhere)} cells are left to other processes, which write the table")
    if found.failed:
        raise typer.Exit(1)
