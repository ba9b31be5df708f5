"""The cells of a bench: which there are, their records, and which process measures which."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from safebasin.defence_bench.methods import methods_named
from safebasin.defence_bench.settings import BenchConfig
from safebasin.defence_bench.tunes import tunes_named
from safebasin.errors import RunBusy, RunError
from safebasin.run.atomic import read_plain
from safebasin.run.lock import lock_shard
from safebasin.run.strictjson import loads
from safebasin.terminal import printable

CELLS, LOCKS = "cells", "locks"
"""Folders of the bench: a record of each cell, and what processes hold while they are at work."""


@dataclass(frozen=True, order=True)
class Cell:
    """One defence on one fine-tune, by one seed of the fine-tune."""

    tune: str
    seed: int
    defence: str

    @property
    def name(self) -> str:
        return f"{self.tune}-{self.seed}-{self.defence}"


def plan(config: BenchConfig) -> list[Cell]:
    """All cells: those of one fine-tune stand together, the undefended one first.

    Raises UsageError for a defence or a fine-tune that nobody has, and for settings that are
    missing.
    """
    names = list(methods_named(config.defences, config))
    tunes = tunes_named(config.tunes, config)
    return [
        Cell(tune, seed, name) for seed in range(config.seeds) for tune in tunes for name in names
    ]


def path_of(folder: Path, cell: Cell) -> Path:
    return folder / CELLS / f"{cell.name}.json"


def read(folder: Path, cell: Cell) -> dict[str, Any]:
    """The record of a cell; RunError where it is damaged."""
    path = path_of(folder, cell)
    try:
        found: dict[str, Any] = loads(read_plain(path))
        found["failed"], found["defence"]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{printable(str(path))} is damaged: it is no record of a cell.",
            "Remove it and run the same command again; the cell is then measured anew.",
        ) from error
    return found


class Sharing:
    """The cells of a bench between processes that were told the same, from now on.

    A cell is to be measured that has no record, or one of a failure. Each is measured by one
    process; one that failed is tried once by all of them together.
    """

    def __init__(self, folder: Path, cells: Sequence[Cell]) -> None:
        self.folder, self.cells = folder, tuple(cells)
        self._before = {
            cell: self._written(cell)
            for cell in cells
            if not path_of(folder, cell).exists() or read(folder, cell)["failed"] is not None
        }

    def recorded(self, cell: Cell) -> bool:
        """Whether the cell is measured, or was tried, by this process or another."""
        return cell not in self._before or self._written(cell) != self._before[cell]

    @property
    def done(self) -> int:
        return sum(map(self.recorded, self.cells))

    def turns(self) -> Generator[Cell, None, None]:
        """The cells that are this process's, each for as long as it measures it.

        First those of the fine-tunes that no other process is at, so that two do not wait for one
        training, and then what others have not begun.
        """
        groups = [list(own) for _, own in groupby(self._before, lambda one: (one.tune, one.seed))]
        for helping in (False, True):
            for own in groups:
                with _free(self.folder, f"{own[0].tune}-{own[0].seed}") as first:
                    for cell in own if first or helping else ():
                        with _free(self.folder, cell.name) as mine:
                            if mine and not self.recorded(cell):
                                yield cell

    def _written(self, cell: Cell) -> int | None:
        try:
            return path_of(self.folder, cell).stat().st_mtime_ns
        except FileNotFoundError:
            return None


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Something of all processes of a bench, which one at a time makes: others wait for it."""
    lock = lock_shard(folder / LOCKS, name, wait=-1)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _free(folder: Path, name: str) -> Iterator[bool]:
    """Whether no other process is at it; none will be while the context lasts."""
    try:
        lock = lock_shard(folder / LOCKS, name)
    except RunBusy:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
