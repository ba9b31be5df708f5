"""`safebasin` in processes forked from one that has imported everything: seconds saved a command.

Run as a program, this file is that process: it listens on the socket that it is given. The
command of the name `safebasin` that `on_path` makes sends it where, with what and by whom it was
called, with its three streams, and leaves with the exit code that comes back. So does its
`snippet`, which runs the code that it is given.
"""

from __future__ import annotations

import array
import atexit
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STUB = """#!{python} -IS
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = {{"arguments": sys.argv, "folder": os.getcwd(), "environment": dict(os.environ)}}
streams = array.array("i", [0, 1, 2])
server.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
server.sendall(json.dumps(asked).encode() + b"\\n")
sys.exit(int(server.makefile().readline()))
"""
SNIPPET = "snippet"
WARM = (
    "matplotlib.backends.backend_agg", "matplotlib.pyplot", "peft", "plotly.offline", "scipy.stats",
    "safebasin.scanning.adaptive", "safebasin.cli.application", "safebasin.cli.views.compare",
    "safebasin.cli.views.scan", "safebasin.engines.fast", "safebasin.finetune.trainer",
    "safebasin.report.page", "torch",
    "transformers.models.auto.tokenization_auto", "transformers.models.llama.modeling_llama",
)  # fmt: skip


@contextmanager
def on_path() -> Iterator[Path]:
    """A folder with a command `safebasin`, for the front of PATH; while the context is open."""
    # Of a short name: that of a socket has some hundred characters at most.
    with tempfile.TemporaryDirectory(prefix="warm") as name:
        yield from _serving(Path(name))


def _serving(folder: Path) -> Iterator[Path]:
    address = str(folder / "socket")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen()
    for name in ("safebasin", SNIPPET):
        stub = folder / name
        stub.write_text(STUB.format(python=sys.executable, address=address), encoding="utf-8")
        stub.chmod(0o755)
    number = listening.fileno()
    process = subprocess.Popen([sys.executable, __file__, str(number)], pass_fds=[number])
    listening.close()
    try:
        yield folder
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    import importlib

    listening = socket.socket(fileno=int(sys.argv[1]))
    for name in WARM:
        importlib.import_module(name)
    read_tables()
    gc.freeze()  # no fork goes through what all of them share, which would copy it
    os.fsync = lambda _: None  # as in the tests: none of them cuts the power
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks
    while True:
        connection, _ = listening.accept()
        # A fork of its own for each call waits for the command and tells its exit code.
        if os.fork() == 0:
            listening.close()
            _serve(connection)
        connection.close()


def read_tables() -> None:
    """Have what each process makes anew: names of weights, phrases of refusals, languages, and
    the kernels for heads of the packaged model."""
    import torch
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    from safebasin.engines.fast.compiled.kernels import Kernels
    from safebasin.exchange import Exchange
    from safebasin.judges import OutcomeJudge

    Kernels.of(torch.float32, repeats=1, size=32)
    get_checkpoint_conversion_mapping("llama")
    for answer in ("I would water it in the evening.", "No puedo ayudar con eso, lo siento."):
        OutcomeJudge().judge([Exchange("", "", answer, "eos", 1, 1)])


def _serve(connection: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    streams = array.array("i")
    _, sent, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * streams.itemsize))
    streams.frombytes(sent[0][2])
    asked = json.loads(connection.makefile().readline())
    command = os.fork()
    if command == 0:
        connection.close()
        _run(asked, streams)
    code = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
    connection.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
    os._exit(0)


def _run(asked: dict[str, Any], streams: array.array[int]) -> None:
    """What the installed command does, or Python with a snippet, from its start to its end."""
    import torch
    from exit_codes import exit_code  # of this folder, which a program finds by itself

    from safebasin.cli import main as command

    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # torch makes its pool of threads anew in a fork, and fails where two threads are the first.
    torch.set_num_threads(1)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", 1)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    program, *arguments = asked["arguments"]
    sys.argv = [Path(program).name, *arguments]
    code = 70
    try:
        if sys.argv[0] == SNIPPET:
            sys.path[0] = ""  # where Python looks first for what a snippet imports
            code = exit_code(lambda: exec(arguments[0], {"__name__": "__main__"}))
        else:
            code = exit_code(command)
    except Exception:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
