"""Conversations as a chat template writes them, within limits of time, memory and length.

The template runs in a process of its own (`chat_process`), which is started once, takes a quarter
of a second to start beside what else is being loaded, and answers in a tenth of a millisecond.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

from safebasin.checkpoint.sources import first_line
from safebasin.errors import TemplateError

SECONDS = 10.0
"""How long one conversation may take."""
MEMORY = 1 << 30
"""Bytes that the process may take beside what it has loaded (on Linux)."""
LONGEST = 10_000_000
"""Characters of a rendered conversation beside those that were put in."""
_START = 120.0
_DIED = "its process died, as of too much memory"
_KEPT, _KEPT_LENGTH = 8192, 20_000
_REMEDY = (
    "Give one with --template FILE (a Jinja chat template), or --template raw to send prompts bare."
)


class Unrendered(TemplateError):
    """A conversation that a chat template does not write; `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The chat template fails: {reason}.", _REMEDY)
        self.reason = reason


def write_chat(
    tokenizer: Any,
    messages: Sequence[Mapping[str, Any]],
    source: str | None = None,
    *,
    today: str | None = None,
    anew: bool = False,
    **options: Any,
) -> str:
    """What a chat template makes of a conversation, as text.

    source   the template; None for the tokenizer's own
    today    the day (YYYY-MM-DD) that a template which asks for the time is told; None for now
    anew     whether it is written again where the same was asked before
    options  what the template is told beside, JSON values all, such as `add_generation_prompt`

    Raises Unrendered for whatever hinders it: the template refuses, fails, or goes beyond the
    limits.
    """
    from transformers import PreTrainedTokenizerBase

    own = getattr(type(tokenizer), "apply_chat_template", None)
    if own is not PreTrainedTokenizerBase.apply_chat_template:
        # It writes conversations in code of its own, without a template.
        try:
            given = {} if source is None else {"chat_template": source}
            whole = tokenizer.apply_chat_template(
                list(messages), tokenize=False, **given, **options
            )
            return str(whole)
        except Exception as error:
            raise Unrendered(first_line(error)) from error
    try:
        template = tokenizer.get_chat_template(source)
    except Exception as error:
        raise Unrendered(first_line(error)) from error
    special = {name: _plain(value) for name, value in tokenizer.special_tokens_map.items()}
    request = {
        "source": template,
        "messages": [dict(message) for message in messages],
        "special": special,
        "options": options,
        "today": today,
    }
    return _RENDERER.render(json.dumps(request), anew)


def start() -> None:
    """Start the process now, so that it is ready when it is needed."""
    _RENDERER.start()


def _plain(value: Any) -> Any:
    return [str(one) for one in value] if isinstance(value, list | tuple) else str(value)


class _Renderer:
    """The process, and what it wrote lately. A fork of ours starts one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._process: subprocess.Popen[str] | None = None
        self._fresh = True
        self._known: OrderedDict[str, str] = OrderedDict()

    def start(self) -> None:
        with self._own_lock():
            self._started()

    def render(self, request: str, anew: bool) -> str:
        with self._own_lock():
            if request in self._known and not anew:
                return self._known[request]
            longest = LONGEST + len(request)
            limits = f'"seconds": {SECONDS}, "memory": {MEMORY}, "longest": {longest}'
            answer = self._ask(f"{request[:-1]}, {limits}}}\n")
            if "text" not in answer:
                raise Unrendered(answer["failed"])
            if len(request) <= _KEPT_LENGTH:
                self._known[request] = answer["text"]
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            return answer["text"]

    def stop(self) -> None:
        """End the process; nothing that it wrote is forgotten."""
        process, self._process = self._process, None
        if process is None:
            return
        if self._owner == os.getpid():
            process.kill()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        if self._owner == os.getpid():
            process.wait()

    def _own_lock(self) -> threading.Lock:
        if self._owner != os.getpid():
            # In a fork the lock may be held by a thread that is not there, and the process is not
            # ours to ask.
            self._lock = threading.Lock()
            if self._process is not None:
                self._process.returncode = 0  # it is no child of this process
            self.stop()
            self._owner = os.getpid()
        return self._lock

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self.stop()
            program = Path(__file__).with_name("chat_process.py")
            self._process = subprocess.Popen(
                # -P: the neighbours of the program bear names of libraries.
                [sys.executable, "-P", str(program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="ascii",
            )
            self._fresh = True
        return self._process

    def _ask(self, line: str) -> dict[str, str]:
        try:
            process = self._started()
        except OSError as error:
            return {"failed": f"the process for it cannot be started ({error.strerror})"}
        if self._fresh:
            ready = self._exchange(process, "", _START)
            if "text" not in ready:
                return {"failed": f"the process for it does not start: {ready['failed']}"}
            self._fresh = False
        answer = self._exchange(process, line, SECONDS)
        if "memory" in answer:
            self.stop()  # what it could not give back is not the next one's to do without
        return answer

    def _exchange(
        self, process: subprocess.Popen[str], line: str, seconds: float
    ) -> dict[str, str]:
        """The next line of the process, after it was told one, within so many seconds."""
        late = threading.Event()

        def give_up() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, give_up)
        timer.daemon = True
        timer.start()
        told, heard = cast("TextIO", process.stdin), cast("TextIO", process.stdout)
        try:
            told.write(line)
            told.flush()
            reply = heard.readline()
        except OSError:
            reply = ""
        except BaseException:
            self.stop()  # its answer would be taken for that to the next question
            raise
        finally:
            timer.cancel()
        if not reply.endswith("\n"):
            self.stop()
            return {"failed": f"it takes more than {seconds:g} s" if late.is_set() else _DIED}
        answer: dict[str, str] = json.loads(reply)
        return answer


_RENDERER = _Renderer()
atexit.register(_RENDERER.stop)
