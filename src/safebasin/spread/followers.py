"""The processes that hold the other parts of a model which is divided among processes.

The first process, which a person starts, leads: it plans, judges and writes. The others do what it
tells them, call by call, since to compute with a divided model all have to do the same. They are
told over pipes, and end with the process that started them.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import IO, Any

from safebasin.errors import EngineError
from safebasin.terminal import printable, shorten

_FOLLOW = "import sys; from safebasin.scanning.divided import follow; follow(int(sys.argv[1]))"
AGAIN = "Give the same command again: what was measured is kept."

CLOSING_SECONDS = 5.0
"""How long a process may take to end once what it held is closed; longer only delays an error."""

GRACE_SECONDS = 30.0
"""How long the first process may take to fail by itself once another one has ended; by gloo it does
at once, and by other libraries no measurement sets it."""


@dataclass
class _Follower:
    """A process, this end of its pipe, and what it says on standard error."""

    rank: int
    process: subprocess.Popen[bytes]
    pipe: Connection
    said: IO[bytes] = field(repr=False)

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None


class Followers:
    """Starts `count` more processes, numbered from 1, and tells them what to do.

    Each first gets `settings`, from which it makes its part of the model. Raises EngineError where
    this process belongs to a group of others already, be it of another divided model.
    """

    def __init__(self, count: int, settings: dict[str, Any]) -> None:
        if _in_group():
            raise EngineError(
                "This process takes part in a group of processes of torch.distributed already.",
                "Let go of the other divided model first, or scan in a process of its own.",
            )
        self.count = count
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._meeting = {
                "WORLD_SIZE": str(count + 1),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(free.getsockname()[1]),
            }
        if sys.platform == "linux":  # where the machine's own name may lead nowhere
            self._meeting["GLOO_SOCKET_IFNAME"] = os.environ.get("GLOO_SOCKET_IFNAME", "lo")
        self._all = [_started(rank, self._meeting) for rank in range(1, count + 1)]
        # They end with this object, at the latest with this process.
        self._end = weakref.finalize(self, _end, self._all)
        threading.Thread(target=_watch, args=(self._all, self._end), daemon=True).start()
        self.tell(settings)

    @contextmanager
    def met(self) -> Iterator[None]:
        """While the block lasts this process is the first of all, and the others find it."""
        added = {**self._meeting, "RANK": "0", "LOCAL_RANK": "0"}
        before = {name: os.environ.get(name) for name in added}
        os.environ.update(added)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def tell(self, *order: Any) -> None:
        """Send an order to each of them. Raises EngineError where one has ended."""
        for one in self._all:
            try:
                one.pipe.send(order)
            except OSError as error:
                raise self.lost() from error

    def close(self) -> None:
        """End them all."""
        self._end()

    def ended(self, within: float = 0.0) -> bool:
        """Whether one of them has ended, or does so in so many seconds.

        What it held is closed before it has ended for good.
        """
        until = time.monotonic() + within
        while not any(one.ended for one in self._all):
            if time.monotonic() >= until:
                return False
            time.sleep(0.05)
        return True

    def lost(self) -> EngineError:
        """The error for a process that has ended, with the last that it said."""
        return EngineError(_what_ended(self._all), AGAIN)


def orders(pipe: int) -> Iterator[tuple[Any, ...]]:
    """What the first process tells this one over a pipe, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the first process
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    told = Connection(pipe)
    while True:
        try:
            yield told.recv()
        except EOFError:
            return


def _started(rank: int, meeting: dict[str, str]) -> _Follower:
    ours, theirs = multiprocessing.Pipe()
    said = tempfile.TemporaryFile()  # noqa: SIM115 - closed where the process ends
    own = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    process = subprocess.Popen(
        [sys.executable, "-c", _FOLLOW, str(theirs.fileno())],
        env={**os.environ, **meeting, **own},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=said,
    )
    theirs.close()
    return _Follower(rank, process, ours, said)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)  # in the midst of what the others no longer take part in


def _end(followers: Sequence[_Follower]) -> None:
    for one in followers:
        one.pipe.close()
        one.process.terminate()
        one.process.wait()
        one.said.close()
    if _in_group():
        sys.modules["torch.distributed"].destroy_process_group()


def _in_group() -> bool:
    library = sys.modules.get("torch.distributed")  # without it there can be none
    return bool(library is not None and library.is_available() and library.is_initialized())


def _watch(followers: Sequence[_Follower], end: weakref.finalize[Any, Any]) -> None:
    """End this process, too, where it waits for one that has ended: it could for hours."""
    while end.alive and not any(one.ended for one in followers):
        time.sleep(0.5)
    until = time.monotonic() + GRACE_SECONDS
    while end.alive and time.monotonic() < until:
        time.sleep(0.5)
    if end.alive:
        print("Error:", _what_ended(followers), AGAIN, file=sys.stderr, flush=True)
        os._exit(EngineError.exit_code)


def _what_ended(followers: Sequence[_Follower]) -> str:
    for one in followers:
        if one.ended:
            one.said.seek(0)
            last = one.said.read().decode(errors="replace").strip().rpartition("\n")[2]
            end = f", and last said: {shorten(printable(last))}" if last else ""
            return f"Process {one.rank} of those that hold a part of the model ended{end}."
    return "A process that holds a part of the model does not answer."
