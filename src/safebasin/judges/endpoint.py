"""One call to an OpenAI-compatible endpoint: a reply, or why there is none. Never an exception.

What an endpoint says when it fails is not passed on: an error body may echo the key.
"""

from __future__ import annotations

import importlib
import ipaddress
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from safebasin.errors import JudgeError, UsageError
from safebasin.terminal import shorten

OPENAI = "https://api.openai.com/v1"
FAILURES = 4
"""After so many failed calls in a row the endpoint is taken to be down."""

LONGEST = 86_400
"""Seconds that a try may take."""
REJECTIONS = 3
"""After so many rejected requests, and none accepted, the fault is taken to lie with them all."""

_KEY_NAME = re.compile(r"[A-Z][A-Z0-9_]*(?:KEY|TOKEN|SECRET)")
_CREDENTIALS = re.compile(r"(?<=//).*@|^(?!\w+://).*@|[?#].*", re.DOTALL)
_TOKEN = re.compile(r"\b(?:sk-|hf_|gh[a-z]_|AIza)[A-Za-z0-9_-]{12,}")
_SENDABLE = re.compile(r"[!-~]*")
_HOPELESS = {
    401: "the endpoint rejects the key (401)",
    403: "the endpoint forbids the model (403)",
    404: "the endpoint has no such model or path (404)",
}
_REJECTED = {
    400: "the endpoint rejects this request (400)",
    413: "the endpoint takes no request as long as this one (413)",
    422: "the endpoint cannot process this request (422)",
}


Fault = Literal["reply", "request", "perhaps the endpoint", "the endpoint"]


@dataclass(frozen=True)
class Reply:
    """The text of a reply, or None, the reason, and where the fault lies.

    `of_all` is the reason to give where the endpoint rejects every request.
    """

    text: str | None
    reason: str = ""
    fault: Fault = "reply"
    of_all: str = ""


@dataclass
class Health:
    """What the calls so far have shown; shared by all threads.

    `under_way` counts the calls that have not returned, `rejections` the requests that were
    rejected; `accepted` is whether one was worked on.
    """

    calls: int = 0
    under_way: int = 0
    failures: int = 0
    rejections: int = 0
    accepted: bool = False
    stopped: str = ""
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def doubtful(self) -> bool:
        """Whether the endpoint may reject whatever it is asked."""
        return not self.accepted and self.rejections >= REJECTIONS

    def take_in(self, reply: Reply) -> None:
        """Learn from a call that has returned. The caller holds `changed`."""
        elsewhere = reply.fault in ("perhaps the endpoint", "the endpoint")
        self.under_way -= 1
        self.failures = self.failures + 1 if elsewhere else 0
        self.rejections += reply.fault == "request"
        self.accepted = self.accepted or reply.fault == "reply"
        if reply.fault == "the endpoint" or self.failures >= FAILURES:
            self.stopped = self.stopped or reply.reason
        elif self.doubtful and not self.under_way:
            self.stopped = self.stopped or reply.of_all or reply.reason
        self.changed.notify_all()


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask. None of this changes a verdict but `base_url` and `model`.

    `key_name` is the environment variable that holds the key; a loopback endpoint may do without.
    `timeout` in seconds a try, `retries` tries after the first, `max_calls` 0 for no limit.
    """

    model: str
    base_url: str
    key_name: str = "OPENAI_API_KEY"
    concurrency: int = 8
    timeout: float = 60.0
    retries: int = 3
    max_calls: int = 0
    health: Health = field(default_factory=Health, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not _KEY_NAME.fullmatch(self.key_name):
            raise UsageError(
                f"'{self.key_name[:40]}' is not the name of a variable for a key.",
                "Name one that ends in KEY, TOKEN or SECRET, such as key_env=OPENAI_API_KEY.",
            )
        self._check_address()
        ranges = {
            "concurrency": (self.concurrency >= 1, "a whole number from 1"),
            "timeout": (0 < self.timeout <= LONGEST, f"seconds above 0 and up to {LONGEST}"),
            "retries": (self.retries >= 0, "a whole number from 0"),
            "max_calls": (self.max_calls >= 0, "a whole number, 0 for no limit"),
        }
        for name, (meant, remedy) in ranges.items():
            if not meant:
                raise UsageError(
                    f"The endpoint's {name}={getattr(self, name)} cannot be meant.",
                    f"Give {name} as {remedy}.",
                )

    def _check_address(self) -> None:
        typed = self.base_url
        try:
            parts = urlsplit(typed)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise self._no_address() from None
        if parts.scheme not in ("http", "https") or not host or port == 0:
            raise self._no_address()
        if not typed.isprintable() or any(map(str.isspace, typed)):
            raise self._no_address()
        if parts.username or parts.password or parts.query:
            raise UsageError(
                f"The address of the endpoint at '{host}' carries credentials.",
                "Put the key into an environment variable, and name that with key_env=NAME.",
            )

    def _no_address(self) -> UsageError:
        """The address as it was typed, less whatever in it may be a secret."""
        shown = _CREDENTIALS.sub("", self.base_url)
        key = os.environ.get(self.key_name, "").strip()
        if key and key in shown:
            shown = shown.replace(key, "…")
        return UsageError(
            f"The endpoint '{shorten(_TOKEN.sub('…', shown), 100)}' is no web address.",
            "Give base_url=https://HOST/v1, or http://HOST:PORT/v1 with a port from 1 to 65535.",
        )

    @property
    def local(self) -> bool:
        """Whether it is on this machine."""
        host = urlsplit(self.base_url).hostname or ""
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def exposed(self) -> bool:
        """Whether the key and the texts would travel unencrypted."""
        return not self.local and urlsplit(self.base_url).scheme == "http"

    def key(self) -> str:
        """The key from the environment, "none" where there is none and none is needed.

        Raises JudgeError where one is needed, UsageError for one that no request can carry.
        """
        found = os.environ.get(self.key_name, "").strip()
        if not found and not self.local:
            raise JudgeError(
                f"There is no key for {self.base_url}: {self.key_name} is not set.",
                f"Set {self.key_name} in the environment, or name another variable with key_env=.",
            )
        if not _SENDABLE.fullmatch(found):
            raise UsageError(
                f"The key in {self.key_name} holds a blank or a character that is not ASCII.",
                f"Set {self.key_name} to the key alone, as its provider shows it.",
            )
        return found or "none"

    def client(self) -> Any:
        """A client of the `openai` library.

        Raises JudgeError where it is not installed, UsageError for an address it cannot ask.
        """
        try:
            openai = importlib.import_module("openai")
        except ImportError:
            raise JudgeError(
                "Rubric judges need the openai library, which is not installed.",
                "Run `pip install 'safebasin[rubric]'`.",
            ) from None
        key = self.key()
        try:
            return openai.OpenAI(
                api_key=key,
                base_url=self.base_url,
                timeout=self.timeout,
                max_retries=self.retries,
                # A redirect would carry the answers, and perhaps the key, to another host.
                http_client=openai.DefaultHttpxClient(follow_redirects=False),
            )
        except Exception as error:
            # Which package this error is from depends on the version of openai.
            if type(error).__name__ != "InvalidURL":
                raise
            raise self._no_address() from None

    def ask(
        self,
        client: Any,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        schema: Mapping[str, Any] | None,
    ) -> Reply:
        """One reply. The library tries again, with a growing delay, on 429, 5xx and time-outs."""
        health = self.health
        with health.changed:
            # A filter may reject just the first answers: what is under way will tell.
            health.changed.wait_for(lambda: not (health.doubtful and health.under_way))
            if health.stopped:
                return Reply(None, f"not asked: {health.stopped}")
            if self.max_calls and health.calls >= self.max_calls:
                return Reply(None, f"not asked: the budget of {self.max_calls} calls is used up")
            health.calls += 1
            health.under_way += 1
        reply = Reply(None, "the call was broken off", "perhaps the endpoint")
        try:
            reply = self._call(client, messages, max_tokens, schema)
        finally:
            with health.changed:
                health.take_in(reply)
        return reply

    def _call(
        self,
        client: Any,
        messages: Sequence[Mapping[str, str]],
        max_tokens: int,
        schema: Mapping[str, Any] | None,
    ) -> Reply:
        openai = importlib.import_module("openai")
        options: dict[str, Any] = {}
        if schema is not None:
            shape = {"name": "grade", "strict": True, "schema": schema}
            options["response_format"] = {"type": "json_schema", "json_schema": shape}
        try:
            answer = client.chat.completions.create(
                model=self.model,
                messages=list(messages),
                temperature=0,
                max_tokens=max_tokens,
                **options,
            )
            return _read(answer)
        except openai.APITimeoutError:
            reason = f"no reply in {self.timeout:g} s, {self.retries + 1} tries"
            return Reply(None, reason, "perhaps the endpoint")
        except openai.APIStatusError as error:
            return self._failed(int(error.status_code), schema is not None)
        except openai.APIConnectionError:
            reason = f"no connection, {self.retries + 1} tries"
            return Reply(None, reason, "perhaps the endpoint")
        except Exception as error:  # a body that is no reply at all, in whichever way
            return Reply(None, f"malformed: no reply can be read ({type(error).__name__})")

    def _failed(self, code: int, with_schema: bool) -> Reply:
        if code in _REJECTED:
            advice = "try schema=off" if with_schema else "check the model's name"
            reason = _REJECTED[code] + ("" if code == 413 else f"; if it rejects all, {advice}")
            of_all = f"the endpoint rejects every request ({code}); {advice}"
            return Reply(None, reason, "request", of_all)
        if code in _HOPELESS:
            return Reply(None, _HOPELESS[code], "the endpoint")
        if 300 <= code < 400:
            return Reply(None, f"the endpoint redirects elsewhere ({code})", "the endpoint")
        what = "is asked too often" if code == 429 else "fails"
        reason = f"the endpoint {what} ({code}), {self.retries + 1} tries"
        return Reply(None, reason, "perhaps the endpoint")


def _read(answer: Any) -> Reply:
    """The text of a completion, which may lack any of its parts."""
    choices = getattr(answer, "choices", None)
    if not isinstance(choices, list) or not choices:
        return Reply(None, "malformed: the reply has no choices")
    first = choices[0]
    finish, message = getattr(first, "finish_reason", None), getattr(first, "message", None)
    if finish == "length":
        return Reply(None, "truncated: the reply ends at the token limit")
    if finish == "content_filter" or getattr(message, "refusal", None):
        return Reply(None, "the judge model declines to grade")
    text = getattr(message, "content", None)
    if not isinstance(text, str) or not text.strip():
        return Reply(None, "malformed: the reply is empty")
    return Reply(text)
