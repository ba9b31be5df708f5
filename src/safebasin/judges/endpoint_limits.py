"""How much an endpoint may send, and for how long: no reply is waited for or kept without end."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

LARGEST = 4 * 2**20
"""Bytes of a reply that are read; a grade takes a few hundred."""

LONGEST_WAIT = 120
"""Seconds that the `openai` library lets an endpoint ask for between two tries."""

NO_QUOTA = "insufficient_quota"
"""How a 429 says that waiting is no use."""


def within(seconds: float, work: Callable[[], T]) -> T | None:
    """What `work` gives, or None where it takes longer; it is then left to itself.

    The time-outs of an HTTP client are for each read. Only a clock beside it ends a server that
    sends its headers one byte at a time.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, daemon=True, name="endpoint call").start()
    try:
        return done.result(seconds)
    except TimeoutError:
        if done.done():
            raise
        return None


def response_hook(timeout: float) -> Callable[[Any], None]:
    """For an HTTP client's responses: bounds each body, and spares tries that cannot succeed.

    After LARGEST bytes a body ends; where it takes longer than `timeout` seconds, reading it fails
    as by a time-out. An error that says that the quota is used up is not to be tried again.
    """

    def bound(response: Any) -> None:
        # The client is of httpx or of httpx2, as the installed openai has it.
        http = importlib.import_module(type(response).__module__.partition(".")[0])
        source, ends = response.stream, time.monotonic() + timeout

        class Bounded(http.SyncByteStream):  # type: ignore[misc, name-defined]
            def __iter__(self) -> Iterator[bytes]:
                size = 0
                for chunk in source:
                    if time.monotonic() > ends:
                        raise http.ReadTimeout("the body takes too long", request=response.request)
                    size += len(chunk)
                    yield chunk
                    if size > LARGEST:
                        return

            def close(self) -> None:
                source.close()

        response.stream = Bounded()
        if response.status_code == 429 and NO_QUOTA.encode() in response.read():
            response.headers["x-should-retry"] = "false"

    return bound
