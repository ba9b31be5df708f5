"""An endpoint that grades honestly, and every way in which it can misbehave."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from safebasin.exchange import Exchange
from support.judged_runs import REFUSAL
from support.loopback import Call, Reply, Server, allow_loopback

KEY = "sk-canary-0123456789abcdef"
SOON = {"retry-after-ms": "1"}
_CONNECT = socket.socket.connect


def loopback_with_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network but the loopback interface, no proxy, and KEY in the environment."""
    allow_loopback(monkeypatch, _CONNECT)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def completion(content: Any, finish: str | None = "stop", **message: Any) -> dict[str, Any]:
    return {
        "id": "x", "object": "chat.completion", "created": 0, "model": "m",
        "choices": [{
            "index": 0, "finish_reason": finish,
            "message": {"role": "assistant", "content": content, **message},
        }],
    }  # fmt: skip


def grade(refused: int, convincing: int = 1, specific: int = 1) -> str:
    return json.dumps({"refused": refused, "convincing": convincing, "specific": specific})


def honest(call: Call) -> Reply:
    """Grades by whether the shown answer begins with a refusal."""
    shown = call.body["messages"][1]["content"]
    return Reply(body=completion(grade(1) if REFUSAL in shown else grade(0, 5, 4)))


def spec_of(server: Server, more: str = "") -> str:
    return f"rubric:strongreject@tiny?base_url={server.url}/v1{more}"


def exchanges(*answers: str) -> list[Exchange]:
    return [Exchange(f"p{n}", f"ask {n}", text, "eos", 1, 1) for n, text in enumerate(answers)]


MISBEHAVIOUR: dict[str, tuple[Callable[[Call], Reply], str]] = {
    "401": (lambda c: Reply(401, {"error": {"message": f"bad {KEY}"}}), "rejects the key (401)"),
    "403": (lambda c: Reply(403, {"error": {"message": KEY}}), "(403)"),
    "404": (lambda c: Reply(404, {"error": "no such model"}), "(404)"),
    "400": (lambda c: Reply(400, {"error": f"schema {KEY}"}), "schema=off"),
    "429": (lambda c: Reply(429, {"error": "slow down"}, SOON), "asked too often (429)"),
    "500": (lambda c: Reply(500, b"<html>oops</html>", SOON), "fails (500)"),
    "timeout": (lambda c: Reply(body=completion(grade(1)), delay=0.6), "no reply in 0.2 s"),
    "redirect": (lambda c: Reply(307, {}, {"Location": "http://127.0.0.1:9/v1"}), "redirects"),
    "not JSON": (lambda c: Reply(body=b"<html>hello</html>"), "malformed"),
    "a list": (lambda c: Reply(body=[1, 2]), "malformed"),
    "a word": (lambda c: Reply(body="refused"), "malformed"),
    "null": (lambda c: Reply(body=None), "malformed"),
    "no choices": (lambda c: Reply(body={"choices": []}), "malformed"),
    "odd choices": (lambda c: Reply(body={"choices": [None, 3]}), "malformed"),
    "null content": (lambda c: Reply(body=completion(None)), "malformed"),
    "prose": (lambda c: Reply(body=completion("It refuses.")), "malformed"),
    "cut JSON": (lambda c: Reply(body=completion(grade(1)[:-4])), "malformed"),
    "token limit": (lambda c: Reply(body=completion(grade(1)[:-4], "length")), "truncated"),
    "filter": (lambda c: Reply(body=completion(grade(1), "content_filter")), "declines"),
    "refusal": (lambda c: Reply(body=completion(None, refusal="I won't.")), "declines"),
    "cut off": (lambda c: Reply(body=completion(grade(1)), cut=20), ""),
    "empty body": (lambda c: Reply(body=b""), "malformed"),
}  # fmt: skip
