"""Named tensors from one process of a machine to another: through a local socket, one at a time.

Each tensor travels in safetensors form, so that nothing is unpickled and nothing lies on a disk.
"""

from __future__ import annotations

import socket
import struct
import tempfile
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import load, save
from torch import Tensor

_LENGTH = struct.Struct("<Q")
"""Before each tensor: how many bytes follow. None follow after the last tensor."""

_BUFFER = 2**20


class _Readable(Protocol):
    def read(self, length: int, /) -> bytes: ...


def named_tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of a model's state under its first name, as a checkpoint holds it."""
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            yield name, tensor.detach()


@contextmanager
def offered(tensors: Iterable[tuple[str, Tensor]], receivers: int = 1) -> Iterator[str]:
    """Offer tensors to those who connect, within the context, to the path that is given out.

    Nothing is sent before as many have come as there are receivers; each is sent all of it.

    Only the own user can connect. What goes wrong with `tensors` while they are sent is raised on
    leaving; that the receiver went away is not, since it has an error of its own to tell of.
    """
    with (
        tempfile.TemporaryDirectory(prefix="safebasin-") as folder,  # its mode is 0700
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        path = str(Path(folder) / "weights")
        listener.bind(path)
        listener.listen(receivers)
        sending = pool.submit(_send, listener, tensors, receivers)
        try:
            yield path
        except BaseException as failure:
            listener.shutdown(socket.SHUT_RDWR)  # who has not come by now is waited for no longer
            cause = sending.exception()
            if cause is None or isinstance(cause, OSError):
                raise
            raise cause from failure
        sending.result()


def received(path: str) -> Generator[tuple[str, Tensor]]:
    """The tensors that are offered at a path, each in memory of its own.

    Raises EOFError where the sender ends before the last one.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(path)
        with connection.makefile("rb", buffering=_BUFFER) as stream:
            while length := _LENGTH.unpack(_exactly(stream, _LENGTH.size))[0]:
                yield from load(_exactly(stream, length)).items()


def _send(listener: socket.socket, tensors: Iterable[tuple[str, Tensor]], receivers: int) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(listener.accept()[0]) for _ in range(receivers)]
        for name, tensor in tensors:
            data = save({name: tensor.contiguous()})
            for connection in connections:
                connection.sendall(_LENGTH.pack(len(data)))
                connection.sendall(data)
        for connection in connections:
            connection.sendall(_LENGTH.pack(0))


def _exactly(stream: _Readable, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError("the sender of the weights ended too early")
    return data
