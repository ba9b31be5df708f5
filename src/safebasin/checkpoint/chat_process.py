"""The process in which chat templates are rendered: a program of its own, run by `chats`.

A chat template is a program that comes with a model. In a process of its own it can be stopped,
and what it takes of memory is taken from nobody else. A line of JSON on standard input is a
conversation, a line on standard output what became of it; the process ends with its input.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any


def writer() -> Any:
    """The module of transformers that writes conversations, with as little of the rest as it needs.

    At its own start transformers lists all of its models: half a second that no template needs.
    """
    module = "transformers.utils.chat_template_utils"
    for name in ("transformers", "transformers.utils"):
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ImportError("it is not installed")
        sys.modules[name] = importlib.util.module_from_spec(spec)  # which is not run
    try:
        return importlib.import_module(module)
    except Exception:
        # Of a version in which it needs more than itself.
        for name in [one for one in sys.modules if one.split(".")[0] == "transformers"]:
            del sys.modules[name]
        return importlib.import_module(module)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="ascii")
    sys.stdout = sys.stderr  # nothing but answers may reach the parent

    def answer(value: dict[str, str]) -> None:
        answers.write(f"{json.dumps(value)}\n")
        answers.flush()

    try:
        chats = writer()
    except Exception as error:
        answer({"failed": f"transformers cannot be imported ({error})"})
        return
    # The first use imports what is left, which counts for no template.
    chats.render_jinja_template([[{"role": "user", "content": ""}]], chat_template="{{ messages }}")
    answer({"text": "ready"})
    for line in sys.stdin:
        answer(_answer(chats, json.loads(line)))


def _answer(chats: Any, request: dict[str, Any]) -> dict[str, str]:
    try:
        _limit(request["memory"], request["seconds"])
        with _date(chats, request["source"], request["today"]):
            [text], _ = chats.render_jinja_template(
                [request["messages"]],
                chat_template=request["source"],
                **{**request["special"], **request["options"]},
            )
        if len(text) > request["longest"]:
            return {"failed": f"it writes {len(text)} characters"}
        return {"text": text}
    except MemoryError:
        return {"failed": "it takes too much memory", "memory": "out"}
    except RecursionError:
        return {"failed": "it is nested too deeply, or calls itself without end"}
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return {"failed": (lines[0] if lines else f"{type(error).__name__}, no reason given")[:300]}


def _limit(memory: int, seconds: float) -> None:
    """Let this process take so many bytes more than at its first use, and seconds more than now."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        # The parent stops this process in time; this is for one whose parent has gone.
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + 2 * seconds) + 2, hard))
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        if soft != hard:
            return
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + memory, hard))


@contextlib.contextmanager
def _date(chats: Any, source: str, today: str | None) -> Any:
    """Let a template that asks for the time be told that it is the start of a given day."""
    if today is None:
        yield
        return
    names: Any = chats._compile_jinja_template(source).globals
    before = names["strftime_now"]
    names["strftime_now"] = datetime.datetime.fromisoformat(today).strftime
    try:
        yield
    finally:
        names["strftime_now"] = before


if __name__ == "__main__":
    main()
