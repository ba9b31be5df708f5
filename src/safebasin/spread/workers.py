"""Local worker processes for small models, whose passes leave the other cores idle."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from safebasin.engines import Progress, Sampling, Wanted
from safebasin.errors import EngineError
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.spread.dealing import dealt, portions
from safebasin.spread.executor import MOST_DEATHS, Executor

T = TypeVar("T")

Settle = Callable[[Sequence[Point], Sequence[Prompt], Sampling], None]
"""Lets what answers choose its way of working for these questions."""

LAST_SECONDS = 5.0
"""How long a worker that has finished may take to end."""

_HANDLED = (signal.SIGINT, signal.SIGTERM)
"""The signals for which the parent may have handlers of its own."""


def available_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def can_fork() -> bool:
    return "fork" in multiprocessing.get_all_start_methods()


@dataclass
class _Worker:
    """A process, the end of its pipe, and the pieces of work (by index) that it still owes."""

    process: Any
    pipe: Connection
    owes: list[int]


class Workers(Generic[T]):
    """Answers with `count` forked processes, each with a copy of the engine as it is.

    The model has to be on the CPU and its weights pristine. Of fewer points than workers the
    prompts are divided as well. `settle` is called before the copies are made. A worker that dies
    loses only what it had in work: another one takes it over. Raises EngineError where workers die
    MOST_DEATHS times.
    """

    def __init__(self, engine: Executor[T], count: int, settle: Settle | None = None) -> None:
        self.engine = engine
        self.count = count
        self._settle = settle

    def answers(
        self,
        points: Sequence[Point],
        prompts: Sequence[Prompt],
        sampling: Sampling,
        progress: Progress | None = None,
        wanted: Wanted | None = None,
    ) -> Iterator[tuple[Point, list[T]]]:
        """Yield each point once it is complete, in any order."""
        if self._settle is not None:
            self._settle(points, prompts, sampling)
        unwanted = multiprocessing.get_context("fork").RawArray("b", len(points))
        parts = portions(len(points), len(prompts), self.count)
        job = _Job(self.engine, points, [prompts[part] for part in parts], sampling, unwanted)
        workers = [job.start(share) for share in dealt(job.pieces, self.count) if share]
        found: dict[int, dict[int, list[T]]] = {}
        deaths = 0
        try:
            while workers:
                for pipe in wait([worker.pipe for worker in workers]):
                    worker = next(w for w in workers if w.pipe is pipe)
                    try:
                        kind, index, content = worker.pipe.recv()
                    except (EOFError, OSError, pickle.UnpicklingError):
                        workers.remove(worker)
                        deaths += 1
                        _bury(worker)
                        if deaths >= MOST_DEATHS:
                            raise _died(worker, job) from None
                        workers.append(job.start(worker.owes))
                        continue
                    place, part = job.piece(index)
                    if kind == "answered" and progress is not None:
                        progress(points[place], content)
                    elif kind == "finished":
                        worker.owes.remove(index)
                        found.setdefault(place, {})[part] = content
                        if len(found[place]) < len(parts):
                            continue
                        whole = found.pop(place)
                        yield points[place], [one for part in sorted(whole) for one in whole[part]]
                        if wanted is not None:
                            for i, point in enumerate(points):
                                unwanted[i] = not wanted(point)
                    elif kind == "failed":
                        raise content
                    elif kind == "done":
                        workers.remove(worker)
                        _bury(worker)
        finally:
            for worker in workers:
                worker.process.terminate()
                _bury(worker)


@dataclass
class _Job:
    """One call of `answers`, as its workers see it.

    A piece of work is a portion of the prompts at a point; with one portion, the point itself.
    """

    engine: Executor[Any]
    points: Sequence[Point]
    portions: Sequence[Sequence[Prompt]]
    sampling: Sampling
    unwanted: Any

    @property
    def pieces(self) -> int:
        return len(self.points) * len(self.portions)

    def piece(self, index: int) -> tuple[int, int]:
        """The place of the piece's point, and of its portion."""
        return divmod(index, len(self.portions))

    def start(self, share: list[int]) -> _Worker:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=self._work, args=(theirs, ours, list(share)), daemon=True)
        # A signal to the new process waits until it has left the parent's handlers: these would
        # unwind the parent's stack in it, with all that the parent cleans up on its way out.
        signals = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
        try:
            with warnings.catch_warnings():
                # Threads of the parent, such as one that draws progress, are not in the child.
                warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        theirs.close()
        return _Worker(process, ours, list(share))

    def _work(self, pipe: Connection, other_end: Connection, share: list[int]) -> None:
        """What a worker does, from its fork to its end."""
        import torch

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        other_end.close()
        torch.set_num_threads(1)
        try:
            for part, asked in enumerate(self.portions):
                self._ask(pipe, [i for i in share if self.piece(i)[1] == part], asked)
            pipe.send(("done", 0, None))
        except BrokenPipeError:
            pass  # the parent has gone
        except Exception as error:
            with suppress(BrokenPipeError):
                pipe.send(("failed", 0, _portable(error)))

    def _ask(self, pipe: Connection, share: Sequence[int], asked: Sequence[Prompt]) -> None:
        """Ask one portion of the prompts at the points of these pieces."""
        pieces = {self.points[self.piece(index)[0]]: index for index in share}
        if not pieces:
            return
        for point, exchanges in self.engine.answers(
            list(pieces),
            asked,
            self.sampling,
            lambda point, exchanges: pipe.send(("answered", pieces[point], list(exchanges))),
            lambda point: not self.unwanted[self.piece(pieces[point])[0]],
        ):
            pipe.send(("finished", pieces[point], exchanges))


def _portable(error: Exception) -> Exception:
    """The error itself where it can be sent, else one that tells of it."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (our own process wrote it)
    except Exception:
        text = "".join(traceback.format_exception(error))
        return EngineError(f"A worker failed: {type(error).__name__}: {error}.", text)
    return error


def _bury(worker: _Worker) -> None:
    """Wait for a worker's end; one that hangs on its way out has nothing more to say."""
    worker.process.join(LAST_SECONDS)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()


def _died(worker: _Worker, job: _Job) -> EngineError:
    code = worker.process.exitcode
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    at = job.points[job.piece(worker.owes[0])[0]].label if worker.owes else "its end"
    return EngineError(
        f"Worker processes died {MOST_DEATHS} times, the last one {how} at {at}.",
        "Look for a lack of memory, or give --workers 1.",
    )
