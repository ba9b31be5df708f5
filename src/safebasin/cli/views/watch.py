"""How `safebasin watch` reads a run that may be growing, again and again."""

from __future__ import annotations

import glob
import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live

from safebasin.cli.views.watch_screen import Look, view
from safebasin.cli.views.watch_state import Measured, Watched
from safebasin.errors import UsageError
from safebasin.judges import AsksAgain, Judge
from safebasin.judging import judge_names, stored_judges
from safebasin.plane import Point
from safebasin.results import assumed_points
from safebasin.run import RunFolder
from safebasin.run.folder import MANIFEST, POINTS, VERDICTS
from safebasin.run.sittings import SITTINGS, read_sittings
from safebasin.terminal import printable


class Reader:
    """Reads a run again and again, and every finished point only once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[tuple[Point, tuple[object, ...]], Measured] = {}

    def read(self) -> Watched:
        """The run at this moment. Raises RunError where it is no run or damaged."""
        run = RunFolder.read(self._folder)
        judges = _in_order(run)
        found: dict[Point, Measured] = {}
        for point in run.manifest.points:
            stamp = self._stamp(point)
            if stamp is None:
                continue
            key = (point, stamp)
            if key not in self._known:
                self._known[key] = _measured(run, judges, point)
            found[point] = self._known[key]
        name = judges[0].name if judges else ""
        paying = sum(isinstance(judge, AsksAgain) for judge in judges)
        assumed = assumed_points(run) - frozenset(found)
        sittings = tuple(read_sittings(self._folder / SITTINGS))
        return Watched(run, name, found, assumed, paying, sittings)

    def _stamp(self, point: Point) -> tuple[object, ...] | None:
        """What tells whether a point's records are others than before; None without answers."""
        name = f"{point.key}.jsonl"
        stamps: list[object] = []
        for path in (
            self._folder / POINTS / name,
            *sorted((self._folder / VERDICTS).glob(f"*/{glob.escape(name)}")),
        ):
            try:
                stat = path.stat()
            except FileNotFoundError:
                if not stamps:
                    return None
                continue
            # Every record is written anew as another file.
            stamps.append((path.parent.name, stat.st_ino, stat.st_mtime_ns, stat.st_size))
        return tuple(stamps)


def _in_order(run: RunFolder) -> list[Judge]:
    """The judges that gave verdicts, in the order in which the settings name them."""
    named = judge_names(run)
    judges = stored_judges(run)
    return sorted(judges, key=lambda one: named.index(one.name) if one.name in named else 99)


def _measured(run: RunFolder, judges: Sequence[Judge], point: Point) -> Measured:
    exchanges = run.read_point(point) or []
    given = [run.read_verdicts(judge.name, judge.spec(), point) for judge in judges]
    three = next((i for i, judge in enumerate(judges) if judge.measures == "outcome"), 0)
    return Measured(
        new_tokens=sum(exchange.new_tokens for exchange in exchanges),
        answers=len(exchanges),
        verdicts=tuple(given[0].items()) if given else (),
        three=tuple(given[three].values()) if given else (),
        paid=sum(
            len(found)
            for judge, found in zip(judges, given, strict=True)
            if isinstance(judge, AsksAgain)
        ),
    )


def run_watch(folder: Path, *, every: float, once: bool) -> None:
    """Draw the run until it is complete, or once.

    Raises UsageError for a folder that holds runs and is none, RunError for any other.
    """
    need_run(folder)
    reader = Reader(folder)
    console = Console(highlight=False)
    look = Look.of(console.encoding)
    # A terminal without Unicode gets escapes in the place of foreign letters, not a failure.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    watched = reader.read()
    # Without a cursor to move there is one look: into a file, or on the plainest terminal.
    if once or not console.is_terminal or console.is_dumb_terminal:
        console.print(view(watched, width=console.width, look=look))
        return

    def drawn(seen: Watched) -> Group:
        return view(seen, console.height, console.width, look)

    with Live(drawn(watched), console=console, auto_refresh=False) as live:
        try:
            while watched.left:
                time.sleep(every)
                watched = reader.read()
                live.update(drawn(watched), refresh=True)
        except KeyboardInterrupt:
            return


def need_run(folder: Path) -> None:
    """Raises UsageError for the folder of a study, and names the runs in it."""
    if (folder / MANIFEST).is_file() or not folder.is_dir():
        return
    inside = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    if inside:
        names = ", ".join(printable(path.name) for path in inside)
        raise UsageError(
            f"'{printable(str(folder))}' is no run; it holds the runs {names}.",
            f"Watch one of them, such as {printable(str(inside[0]))}.",
        )
