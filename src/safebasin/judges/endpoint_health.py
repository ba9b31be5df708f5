"""What the calls to an endpoint have shown so far, and when to stop asking."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from safebasin.judges.endpoint_reply import Reply
from safebasin.judges.endpoint_request import GROWTH, MOST_TOKENS, Request

FAILURES = 4
"""After so many failed calls in a row the endpoint is taken to be down."""

REJECTIONS = 3
"""After so many rejected requests, and none accepted, the fault is taken to lie with them all."""

PATIENCE = 5
"""After so many replies in a row that cannot be read, and none that could, judging stops."""
ONCE_READ = 4
"""Times the patience where a reply has been read before: some replies fail by themselves."""
DECLINING = 10
"""Times the patience with a judge model that declines: what it is shown may be harmful."""


@dataclass
class Health:
    """What the calls so far have shown; shared by all threads.

    `under_way` counts the calls that have not returned, `rejections` the requests that were
    rejected; `accepted` is whether one was worked on, `read` whether a grade was read. `unread`
    counts the replies in a row that could not be read, `declined` those without a grade since the
    last one that the judge model declined to give. `unreadable` is the last reply that could not
    be read, `request` how to ask, `most` the largest limit that the endpoint takes.
    """

    patience: int = PATIENCE
    calls: int = 0
    under_way: int = 0
    failures: int = 0
    rejections: int = 0
    unread: int = 0
    declined: int = 0
    accepted: bool = False
    read: bool = False
    stopped: str = ""
    unreadable: Reply | None = None
    request: Request = field(default_factory=Request)
    most: int = MOST_TOKENS
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def doubtful(self) -> bool:
        """Whether the endpoint may reject, or fail to grade, whatever it is asked."""
        return self._rejects or self._rambles or self._declines

    @property
    def _rejects(self) -> bool:
        return not self.accepted and self.rejections >= REJECTIONS

    @property
    def _rambles(self) -> bool:
        patience = self.patience * (ONCE_READ if self.read else 1)
        return 0 < patience <= self.unread

    @property
    def _declines(self) -> bool:
        return 0 < self.patience * DECLINING <= self.declined

    def take_in(self, reply: Reply) -> None:
        """Learn from a call that has returned. The caller holds `changed`."""
        elsewhere = reply.fault in ("perhaps the endpoint", "the endpoint")
        self.under_way -= 1
        self.failures = self.failures + 1 if elsewhere else 0
        self.rejections += reply.fault == "request"
        self.accepted = self.accepted or reply.fault in ("none", "reply", "declined")
        if reply.fault == "none":
            self.read, self.unread, self.declined = True, 0, 0
        if reply.fault == "reply":
            self.unread, self.unreadable = self.unread + 1, reply
        self.declined += reply.fault == "declined"
        if reply.fault == "the endpoint" or self.failures >= FAILURES:
            self.stopped = self.stopped or reply.reason
        elif self.doubtful and not self.under_way:
            self.stopped = self.stopped or self._why(reply)
        self.changed.notify_all()

    def _why(self, last: Reply) -> str:
        """Why judging stops, what came back last, and what to do."""
        if self._rejects:
            return last.of_all or last.reason
        anyway = "or ask on with patience=0"
        if self._rambles and self.unreadable is not None:
            shown = f"; the last begins '{self.unreadable.shown}'" if self.unreadable.shown else ""
            advice = self.unreadable.of_all or "take a model that keeps to the form"
            return (
                f"{self.unread} replies in a row gave no grade ({self.unreadable.reason}){shown}; "
                f"{advice}, {anyway}"
            )
        return f"the judge model declined {self.declined} answers in a row; take another, {anyway}"

    def another(self, max_calls: int) -> bool:
        """Whether a call may be repeated in another way, which is then counted."""
        with self.changed:
            if self.stopped or (max_calls and self.calls >= max_calls):
                return False
            self.calls += 1
            return True

    def learn(self, request: Request) -> None:
        """The endpoint worked on this request: ask in this way from now on."""
        with self.changed:
            self.request = self.request.learnt(request)

    def too_large(self, limit: int) -> None:
        """The endpoint takes no limit as large as this."""
        with self.changed:
            self.most = min(self.most, limit // GROWTH)

    def larger(self, request: Request) -> Request | None:
        """The request with the next limit; None where there is none."""
        limit = min(request.limit * GROWTH, self.most)
        return replace(request, limit=limit) if limit > request.limit else None
