"""What `safebasin watch` knows of a run at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from safebasin.exchange import Outcome, Verdict
from safebasin.landscape.intervals import Estimate, wilson
from safebasin.plane import Point
from safebasin.run import RunFolder
from safebasin.run.sittings import Sitting


@dataclass(frozen=True)
class Measured:
    """What is known of one point: its tokens, its answers, its verdicts in order.

    `three` are the verdicts of a judge that tells broken text from compliance, where there is one;
    `paid` counts those of judges that cost.
    """

    new_tokens: int
    answers: int
    verdicts: tuple[tuple[str, Verdict], ...]
    three: tuple[Verdict, ...]
    paid: int = 0

    @property
    def asr(self) -> Estimate:
        """The share of judged answers that are not refusals, in [0, 1]."""
        outcomes = [verdict.outcome for _, verdict in self.verdicts if verdict.outcome is not None]
        return wilson(sum(outcome != "refused" for outcome in outcomes), len(outcomes))

    def share(self, outcome: Outcome) -> float:
        judged = [verdict for verdict in self.three if verdict.outcome is not None]
        return sum(verdict.outcome == outcome for verdict in judged) / max(1, len(judged))


@dataclass(frozen=True)
class Watched:
    """A run at one moment. Points beyond the plateau count as done.

    `paying` is how many of its judges cost. `sittings` are what the run recorded of its work; a
    run of an earlier version has none.
    """

    run: RunFolder
    judge: str
    points: dict[Point, Measured]
    assumed: frozenset[Point]
    paying: int = 0
    sittings: tuple[Sitting, ...] = ()

    @property
    def wanted(self) -> int:
        """The answers that a point is to have."""
        return len(self.run.manifest.prompt_ids)

    @property
    def left(self) -> int:
        """Points that lack answers."""
        return sum(self._lacking(point) > 0 for point in self.run.manifest.points)

    @property
    def answers(self) -> int:
        return sum(one.answers for one in self.points.values())

    @property
    def answers_left(self) -> int:
        return sum(map(self._lacking, self.run.manifest.points))

    def _lacking(self, point: Point) -> int:
        if point in self.assumed:
            return 0
        return max(0, self.wanted - (self.points[point].answers if point in self.points else 0))

    @property
    def seconds_left(self) -> float | None:
        """By the pace of this sitting, shards beside it included; None where it finished nothing.

        Points whose record was removed since do not count.
        """
        if not self.answers_left:
            return 0.0
        if not self.sittings:
            return None
        last = self.sittings[-1]
        if last.began < self._opened:
            return None  # another sitting began after it
        beside = [one for one in self.sittings if one.ended >= last.began]
        known = {point.key for point in self.points}
        done = sum(e.answers for one in beside for e in one.finished if e.key in known)
        if not done:
            return None
        began, ended = min(one.began for one in beside), max(one.ended for one in beside)
        return (ended - began) / done * self.answers_left

    @property
    def seconds_spent(self) -> float:
        """From the start of each sitting to the last point that it finished, in all sittings."""
        return sum(one.ended - one.began for one in self.sittings)

    @property
    def last(self) -> Point | None:
        """The point that was finished last, else the outermost one that is measured."""
        order = {point.key: point for point in self.points}
        events = [event for one in self.sittings for event in one.finished if event.key in order]
        if events:
            return order[max(events, key=lambda event: event.at).key]
        return next(reversed(self.points), None)

    @property
    def tokens_to_come(self) -> float | None:
        """By the mean of the answers so far; None where there are none."""
        if not self.answers:
            return None
        tokens = sum(one.new_tokens for one in self.points.values())
        return tokens / self.answers * self.answers_left

    @property
    def _opened(self) -> float:
        """When the run was last opened to be measured, in seconds since the epoch."""
        found = [0.0]
        for session in self.run.manifest.sessions:
            try:
                found.append(datetime.fromisoformat(str(session["started"])).timestamp())
            except (KeyError, ValueError):
                continue
        return max(found)
