"""One call to an endpoint: a verdict, or why there is none. Never an exception.

What an endpoint says when it fails is not passed on: an error body may echo the key.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from safebasin.exchange import Verdict
from safebasin.judges.endpoint import Endpoint
from safebasin.judges.endpoint_limits import LONGEST_WAIT, NO_QUOTA, within
from safebasin.judges.endpoint_reply import DECLINES, Fault, Reply, read_body, said
from safebasin.judges.endpoint_request import Request
from safebasin.terminal import printable

SHOWN = 80
"""Characters of a reply that the reason quotes."""

_HOPELESS = {
    401: "the endpoint rejects the key (401)",
    402: "the endpoint wants to be paid (402)",
    403: "the endpoint forbids the model (403)",
    404: "the endpoint has no such model or path (404)",
}
_REJECTED = {
    400: "the endpoint rejects this request (400)",
    413: "the endpoint takes no request as long as this one (413)",
    422: "the endpoint cannot process this request (422)",
}


def ask(
    endpoint: Endpoint,
    client: Any,
    messages: Sequence[Mapping[str, str]],
    schema: Mapping[str, Any] | None,
    read: Callable[[Reply], Verdict],
) -> Verdict:
    """The verdict that `read` finds in the reply, or none, with the reason.

    The library tries again, with a growing delay, on 429, 5xx and time-outs. A request that the
    endpoint does not take as it is, or whose reply is cut off, is sent again in another way, which
    is kept for all further calls.
    """
    health = endpoint.health
    with health.changed:
        # A filter may reject just the first answers: what is under way will tell.
        health.changed.wait_for(lambda: not (health.doubtful and health.under_way))
        if health.stopped:
            return Verdict(None, f"not asked: {health.stopped}")
        if endpoint.max_calls and health.calls >= endpoint.max_calls:
            return Verdict(None, f"not asked: the budget of {endpoint.max_calls} calls is used up")
        health.calls += 1
        health.under_way += 1
    reply = Reply(None, "the call was broken off", "perhaps the endpoint")
    verdict: Verdict | None = None
    try:
        shape = None
        if schema is not None:
            form = {"name": "grade", "strict": True, "schema": schema}
            shape = {"type": "json_schema", "json_schema": form}
        reply, verdict = _Call(endpoint, client, messages, shape, read).make()
        shown = printable(" ".join(endpoint.without_secrets(reply.shown).split()))
        reply = replace(reply, shown=shown[:SHOWN] + ("…" if len(shown) > SHOWN else ""))
    finally:
        with health.changed:
            health.take_in(reply)
    return verdict or Verdict(None, reply.reason)


@dataclass(frozen=True)
class _Call:
    """`shape` is the response format, None to ask for none."""

    endpoint: Endpoint
    client: Any
    messages: Sequence[Mapping[str, str]]
    shape: Mapping[str, Any] | None
    read: Callable[[Reply], Verdict]

    def make(self) -> tuple[Reply, Verdict | None]:
        """The last reply, and its verdict where there is one."""
        health = self.endpoint.health
        request, cut = health.request, None
        while True:
            reply, verdict = self._judged(self._within_time(request), request)
            if cut is not None and reply.fault == "request":
                health.too_large(request.limit)
                return cut, None
            if reply.fault in ("none", "reply", "declined"):
                health.learn(request)
            following = self._following(request, reply)
            if following is None or not health.another(self.endpoint.max_calls):
                return reply, verdict
            request, cut = following, reply if reply.cut else None

    def _following(self, request: Request, reply: Reply) -> Request | None:
        """How to ask for the same once more; None where that is no use."""
        if reply.fault == "request":
            return request.corrected(reply.said, self.shape is not None)
        if reply.fault == "reply" and reply.cut:
            return self.endpoint.health.larger(request)
        return None

    def _judged(self, reply: Reply, request: Request) -> tuple[Reply, Verdict | None]:
        if reply.text is None:
            return reply, None
        verdict = self.read(reply)
        if verdict.outcome is not None:
            if request.omitted:
                reason = f"{verdict.reason}; asked without {request.omitted}"
                verdict = replace(verdict, reason=reason)
            return reply, verdict
        if reply.cut:
            reason = f"truncated: the reply ends at the limit of {request.limit} tokens"
            advice = "take a model that thinks less"
            return replace(reply, text=None, reason=reason, fault="reply", of_all=advice), None
        fault: Fault = "declined" if verdict.reason == DECLINES else "reply"
        return replace(reply, text=None, reason=verdict.reason, fault=fault), None

    def _within_time(self, request: Request) -> Reply:
        timeout, retries = self.endpoint.timeout, self.endpoint.retries
        longest = (retries + 1) * timeout + retries * LONGEST_WAIT + 1
        reply = within(longest, lambda: self._send(request))
        if reply is None:
            reason = f"no whole reply in {longest:g} s, {retries + 1} tries"
            return Reply(None, reason, "perhaps the endpoint")
        return reply

    def _send(self, request: Request) -> Reply:
        openai = importlib.import_module("openai")
        tries = self.endpoint.retries + 1
        try:
            answer = self.client.chat.completions.with_raw_response.create(
                model=self.endpoint.model,
                messages=list(self.messages),
                **request.options(self.shape),
            )
            return read_body(answer.http_response.content)
        except openai.APITimeoutError:
            reason = f"no reply in {self.endpoint.timeout:g} s, {tries} tries"
            return Reply(None, reason, "perhaps the endpoint")
        except openai.APIStatusError as error:
            return self._failed(int(error.status_code), said(error.body))
        except openai.APIConnectionError:
            return Reply(None, f"no connection, {tries} tries", "perhaps the endpoint")
        except Exception as error:  # what no library was made for, in whichever way
            return Reply(None, f"malformed: no reply can be read ({type(error).__name__})", "reply")

    def _failed(self, code: int, told: str) -> Reply:
        if code in _REJECTED:
            advice = "check the model's name" if self.shape is None else "try schema=off"
            reason = _REJECTED[code] + ("" if code == 413 else f"; if it rejects all, {advice}")
            of_all = f"the endpoint rejects every request ({code}); {advice}"
            return Reply(None, reason, "request", of_all, said=told)
        if code in _HOPELESS:
            return Reply(None, _HOPELESS[code], "the endpoint")
        if code == 429 and NO_QUOTA in told:
            return Reply(None, "the account's quota is used up (429)", "the endpoint")
        if 300 <= code < 400:
            return Reply(None, f"the endpoint redirects elsewhere ({code})", "the endpoint")
        what = "is asked too often" if code == 429 else "fails"
        reason = f"the endpoint {what} ({code}), {self.endpoint.retries + 1} tries"
        return Reply(None, reason, "perhaps the endpoint")
