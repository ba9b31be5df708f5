"""What an endpoint sends back: the text of a reply, or why there is none.

An error's body may echo the key, so it is read for what it says of the request and not passed on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from safebasin.judges.endpoint_limits import LARGEST

Fault = Literal["none", "reply", "declined", "request", "perhaps the endpoint", "the endpoint"]

DECLINES = "the judge model declines to grade"


@dataclass(frozen=True)
class Reply:
    """The text of a reply, or None, the reason, and where the fault lies.

    reason  why there is no text, or no grade in it
    of_all  what to say, or to do, where all replies are like this one
    cut     whether it ends at the token limit
    alone   whether it counts only where nothing but the grade is in it
    shown   how it begins, for people
    said    what an error says of the request, in lower case; it is shown to nobody
    """

    text: str | None
    reason: str = ""
    fault: Fault = "none"
    of_all: str = ""
    cut: bool = False
    alone: bool = False
    shown: str = ""
    said: str = ""


class TwiceError(ValueError):
    """An object that has a field twice."""


def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these fields, for `json`. Raises TwiceError for a field that is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise TwiceError
    return found


def read_body(body: bytes) -> Reply:
    """The reply that the body of a completed call holds, in whichever way a server writes it.

    A stream of events that nobody asked for is put together; a text completion, content in parts
    and the arguments of the only tool call are read as content. What is thought alone is none.
    """
    if len(body) > LARGEST:
        return _malformed(f"the reply has more than {LARGEST // 2**20} MB", body[:400])
    if not body.strip():
        return _malformed("the reply is empty", body, "check base_url")
    try:
        text = body.decode("utf-8-sig").lstrip()
    except UnicodeDecodeError:
        return _malformed("the reply is not UTF-8", body, "check base_url")
    if text.startswith("<"):
        return _malformed("a web page came instead of a reply", body, "check base_url and the key")
    try:
        streamed = text.startswith(("data:", "event:", ":"))
        found = _of_events(text) if streamed else json.loads(text, object_pairs_hook=once)
    except TwiceError:
        return _malformed("the reply has a field twice", body)
    except (ValueError, RecursionError):
        return _malformed("no reply can be read: it is not JSON", body, "check base_url")
    return _read(found) or _malformed("the reply has no choices", body, "check base_url")


def said(body: object) -> str:
    """What an error says of the request, in lower case, less what it repeats of it."""
    return " ".join(_said(body)).lower()


def _said(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _said(one)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            if name in (
                "code",
                "detail",
                "error",
                "errors",
                "loc",
                "message",
                "msg",
                "param",
                "type",
            ):
                yield from _said(one)


def _malformed(what: str, body: bytes | str, advice: str = "", fault: Fault = "reply") -> Reply:
    shown = body if isinstance(body, str) else body[:4000].decode(errors="replace")
    return Reply(None, f"malformed: {what}", fault, advice, shown=shown.strip())


def _of_events(text: str) -> Any:
    """The completion that server-sent events add up to. Raises ValueError where they break off."""
    lines = [line.strip() for line in text.split("\n")]
    data = [line[5:].strip() for line in lines if line.startswith("data:")]
    values = [json.loads(one, object_pairs_hook=once) for one in data if one != "[DONE]"]
    if len(values) == 1 and isinstance(values[0], Mapping) and not _pieces(values[0]):
        return values[0]
    content, finish = "", None
    for value in values:
        for choice, piece in _pieces(value):
            added = piece.get("content")
            content += added if isinstance(added, str) else ""
            finish = choice.get("finish_reason") or finish
        if isinstance(value, Mapping) and value.get("error"):
            return value
    if finish is None and "[DONE]" not in data:
        raise ValueError
    return {"choices": [{"finish_reason": finish, "message": {"content": content}}]}


def _pieces(value: Any) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The choices of a streamed event, each with what it adds."""
    choices = value.get("choices") if isinstance(value, Mapping) else None
    found = [one for one in _listed(choices) if isinstance(one, Mapping)]
    return [(one, one["delta"]) for one in found if isinstance(one.get("delta"), Mapping)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _read(found: Any) -> Reply | None:
    """The reply of a completion, which may lack any of its parts; None where it has no choices."""
    if not isinstance(found, Mapping):
        return None
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices:
        if found.get("error"):
            told = " ".join(_said(found["error"])) or json.dumps(found["error"])
            return _malformed("an error came as a reply", told, "see what the endpoint reports")
        return None
    if len(choices) > 1:
        return _malformed(f"{len(choices)} replies came for one", json.dumps(choices[0]))
    first = choices[0] if isinstance(choices[0], Mapping) else {}
    message = first.get("message")
    if message is None and isinstance(first.get("text"), str):
        message = {"content": first["text"]}
    if not isinstance(message, Mapping):
        return _malformed("the reply has no message", json.dumps(choices[0]))
    finish = first.get("finish_reason")
    parts = [part for part in _listed(message.get("content")) if isinstance(part, Mapping)]
    declined = message.get("refusal") or any(part.get("type") == "refusal" for part in parts)
    if finish == "content_filter" or declined:
        return Reply(None, DECLINES, "declined")
    return _of_message(message, finish)


def _of_message(message: Mapping[str, Any], finish: object) -> Reply:
    texts, cut = _contents(message), finish == "length"
    if texts is None:
        what = "the reply holds what is no text"
        return _malformed(what, json.dumps(message.get("content")), "take a model that writes text")
    text = "\n".join(texts)
    if text.strip():
        return Reply(text, cut=cut, shown=text.strip())
    if cut:
        return Reply("", cut=True)
    thought = message.get("reasoning_content") or message.get("reasoning")
    if not isinstance(thought, str) or not thought.strip():
        return _malformed("the reply is empty", "", "check the model's name")
    # A server that takes a model for a thinking one puts all it writes here.
    if thought.strip().startswith("{"):
        return Reply(thought, alone=True, shown=thought.strip())
    return _malformed("the reply is thought alone", thought, "take a model that answers")


def _contents(message: Mapping[str, Any]) -> list[str] | None:
    """The texts of a message, the arguments of its tool calls too; None where one is no text."""
    content = message.get("content")
    texts: list[Any] = []
    if isinstance(content, list):
        parts = [part if isinstance(part, Mapping) else {} for part in content]
        kept = [part for part in parts if part.get("type") not in ("thinking", "reasoning")]
        texts += [part.get("text") for part in kept]
    elif content is not None:
        texts.append(content)
    for call in _listed(message.get("tool_calls")):
        function = call.get("function") if isinstance(call, Mapping) else None
        texts.append(function.get("arguments") if isinstance(function, Mapping) else None)
    return texts if all(isinstance(text, str) for text in texts) else None
