"""HTTP servers on the loopback interface, for tests of what talks over the network."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Call:
    """One request as the server saw it; `number` counts from 0."""

    number: int
    path: str
    headers: dict[str, str]
    body: Any
    method: str = "GET"


@dataclass
class Reply:
    """`body` is sent as JSON unless it is bytes; `cut` closes the connection after so many.

    `drip` sends the body, and `drip_head` a header without end, byte by byte with so many seconds
    between. A HEAD request gets the headers alone.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None
    drip: float = 0.0
    drip_head: float = 0.0


class Server:
    """Answers each request as `reply` says and keeps what was asked."""

    def __init__(self, reply: Callable[[Call], Reply]) -> None:
        self.reply = reply
        self.calls: list[Call] = []
        self._counting = threading.Lock()
        self._ending = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None: ...

            def do_GET(self) -> None:
                outer.handle(self)

            do_HEAD = do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        data = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        with self._counting:
            call = Call(
                len(self.calls),
                handler.path,
                {name.lower(): value for name, value in handler.headers.items()},
                json.loads(data) if data else None,
                handler.command,
            )
            self.calls.append(call)
        reply = self.reply(call)
        threading.Event().wait(reply.delay)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.drip_head:
            self._drip(handler, b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10_000, reply.drip_head)
            return
        handler.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if call.method == "HEAD":
            return
        if reply.drip:
            self._drip(handler, body, reply.drip)
            return
        try:
            handler.wfile.write(body if reply.cut is None else body[: reply.cut])
        except OSError:
            handler.close_connection = True  # the client did not wait
        if reply.cut is not None:
            handler.close_connection = True

    def _drip(self, handler: BaseHTTPRequestHandler, data: bytes, seconds: float) -> None:
        handler.close_connection = True
        try:
            for number in range(len(data)):
                handler.wfile.write(data[number : number + 1])
                if self._ending.wait(seconds):
                    return
        except OSError:
            return  # the client did not wait

    @contextmanager
    def running(self) -> Iterator[Server]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def allow_loopback(monkeypatch: pytest.MonkeyPatch, connect: Any) -> None:
    """Connections to 127.0.0.1 alone; `connect` is the socket's own method."""

    def loopback_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] != "127.0.0.1":
            raise AssertionError(f"a test reached for the network: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", loopback_only)
