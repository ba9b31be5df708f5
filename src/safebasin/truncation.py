"""What the token limit of a run did to its answers and verdicts, by the records of the run."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from safebasin.config import DEFAULT_MAX_NEW_TOKENS
from safebasin.errors import RunError
from safebasin.exchange import Exchange, Verdict
from safebasin.judges import Judge
from safebasin.judges.refusal_reach import (
    first_tokens,
    refusal_reader,
    refuses,
    tokens_needed,
)
from safebasin.landscape.truncation import (
    LATE,
    SOME,
    Cut,
    Further,
    Reading,
    Truncation,
    tokens_before,
)
from safebasin.plane import Point
from safebasin.run import RunFolder
from safebasin.run.rows import exchange_from_json, exchange_to_json

FURTHER = "further.json"
"""Answers of the undisplaced model that were given again with a longer limit."""
MOST_FURTHER = 8
"""How many are, at most: one small batch."""

Given = Mapping[str, Exchange]
"""Answers by prompt id."""
Read = Mapping[str, Verdict]
"""Verdicts by prompt id."""


def longer_limit(limit: int) -> int:
    """Up to how many tokens a few answers are given again where `limit` cut them.

    Four times as many while that is little, and twice as many in any case.
    """
    return max(2 * limit, min(4 * limit, 256), 64)


def truncation_of(run: RunFolder, judges: Sequence[Judge], ids: Sequence[str]) -> Truncation:
    """How many answers to these prompts were cut, and what that does to the stored verdicts.

    Nothing is asked or stored; answers that were given further are read by the project's own
    judges of text alone. Raises RunError where a record is damaged.
    """
    cuts = {point: cut_at(run, point, ids) for point in run.manifest.points}
    origin = cuts.get(Point())
    limit, further = _limit(run), _read_further(run)
    return Truncation(
        limit=limit,
        origin=origin if origin and origin.answers else None,
        points=sum(cuts.values(), Cut(0, 0)),
        readings=_readings(run, judges, frozenset(ids), limit, further),
        further=None if further is None else further.summary,
        usual=DEFAULT_MAX_NEW_TOKENS,
    )


def cut_at(run: RunFolder, point: Point, ids: Sequence[str]) -> Cut:
    """How many answers to these prompts at a point were cut."""
    wanted = frozenset(ids)
    ends = [one.finish for one in run.read_point(point) or () if one.prompt_id in wanted]
    return Cut(ends.count("length"), len(ends))


def cut_before_refusal(
    run: RunFolder, judges: Sequence[Judge], ids: Sequence[str], point: Point
) -> Cut:
    """How many answers at a point were cut before any refusal that the first judge finds.

    Of those that it read, and the first that has a map; a judge of harm goes by the refusals that
    the others find.
    """
    given, found = _answers(run, frozenset(ids), point), _verdicts(run, judges, point)
    if not found:
        return Cut(0, 0)
    judge, verdicts = found[0]
    cut = _cut_before_refusal(judge, given, verdicts, _refused(found))
    return Cut(len(cut), len(given.keys() & verdicts.keys()))


def worth_asking_further(
    run: RunFolder, judges: Sequence[Judge], ids: Sequence[str]
) -> tuple[str, ...]:
    """The prompts, a few, whose cut answers at the origin are worth asking for again.

    None where they have been, and where no verdict of these judges is in doubt.
    """
    if run.read_json(FURTHER) is not None:
        return ()
    given, found = _answers(run, frozenset(ids), Point()), _verdicts(run, judges, Point())
    for judge, verdicts in found:
        before = _cut_before_refusal(judge, given, verdicts, _refused(found))
        if len(before) > SOME * len(given.keys() & verdicts.keys()):
            few = min(MOST_FURTHER, len(before))
            return tuple(before[i * len(before) // few] for i in range(few))
    return ()


def further_at_most(run: RunFolder | None, limit: int) -> float:
    """How much may be worth asking further, in answers of `limit` tokens; 0 where it was asked.

    `run` is None where there is none yet.
    """
    if run is not None and run.read_json(FURTHER) is not None:
        return 0.0
    return MOST_FURTHER * longer_limit(limit) / limit


def store_further(run: RunFolder, limit: int, exchanges: Sequence[Exchange]) -> None:
    """Keep answers that were given again, up to `limit` tokens."""
    rows = [exchange_to_json(exchange) for exchange in exchanges]
    run.write_json(FURTHER, {"max_new_tokens": limit, "answers": rows})


@dataclass(frozen=True)
class _Stored:
    """What `store_further` kept."""

    limit: int
    answers: Given

    @property
    def summary(self) -> Further:
        cut = sum(one.finish == "length" for one in self.answers.values())
        longest = max((one.new_tokens for one in self.answers.values()), default=0)
        return Further(self.limit, len(self.answers), cut, longest)


def _read_further(run: RunFolder) -> _Stored | None:
    stored = run.read_json(FURTHER)
    if stored is None:
        return None
    try:
        match stored:
            case {"max_new_tokens": int(limit), "answers": [*rows]}:
                exchanges = [exchange_from_json(_object(row)) for row in rows]
                return _Stored(limit, {one.prompt_id: one for one in exchanges})
        raise ValueError("it is not as it was written")
    except ValueError as error:
        raise RunError(
            f"{FURTHER} of the run '{run.path}' is damaged: {error}.",
            "Remove the file and run the same command again to make it anew.",
        ) from None


def _object(row: object) -> dict[str, object]:
    if not isinstance(row, dict):
        raise ValueError("an answer is not a JSON object")
    return row


def _readings(
    run: RunFolder,
    judges: Sequence[Judge],
    ids: Collection[str],
    limit: int | None,
    further: _Stored | None = None,
) -> tuple[Reading, ...]:
    """What the limit does to each judge's verdicts at the origin; none where it was not asked."""
    given, found = _answers(run, ids, Point()), _verdicts(run, judges, Point())
    refused = _refused(found)
    return tuple(
        _reading(judge, given, verdicts, refused, limit, further)
        for judge, verdicts in found
        if given.keys() & verdicts.keys()
    )


def _reading(
    judge: Judge,
    given: Given,
    verdicts: Read,
    refused: Collection[str],
    limit: int | None,
    further: _Stored | None,
) -> Reading:
    reader = refusal_reader(judge)
    before = _cut_before_refusal(judge, given, verdicts, refused)
    again: list[Exchange] = []
    turned: list[Exchange] = []
    if reader is not None and further is not None:
        again = [further.answers[name] for name in before if name in further.answers]
        turned = [one for one, yes in zip(again, refuses(reader, again), strict=True) if yes]
    own = [i for i in given if i in verdicts and verdicts[i].outcome == "refused"]
    if judge.measures == "harm":
        own = []  # that an answer does no harm does not make it a refusal
    starts = sorted(
        start for i in own if (start := tokens_before(given[i], verdicts[i])) is not None
    )
    late = _late(reader, [(given[i], verdicts[i]) for i in own], limit)
    needed = [
        one.new_tokens if reader is None else tokens_needed(reader, one) for one in (*late, *turned)
    ]
    return Reading(
        judge=judge.name,
        answers=len(given.keys() & verdicts.keys()),
        cut=len(before),
        refused=len(own),
        late=len(late),
        start=starts[math.ceil(0.95 * len(starts)) - 1] if starts else None,
        further=len(again),
        turned=len(turned),
        needed=max(needed, default=None),
    )


def _late(
    reader: Judge | None, found: Sequence[tuple[Exchange, Verdict]], limit: int | None
) -> list[Exchange]:
    """The refusals that begin beyond LATE of the limit, or are not found with so many tokens."""
    if limit is None:
        return []
    early = math.floor(LATE * limit)
    late, rest = [], []
    for exchange, verdict in found:
        if (tokens_before(exchange, verdict) or 0) > early:
            late.append(exchange)
        elif exchange.new_tokens > early:
            rest.append(exchange)
    if reader is None:
        return late
    whole = refuses(reader, rest)
    # One token more, for the estimate by characters can be as much short of the real part.
    part = refuses(reader, [first_tokens(exchange, early + 1) for exchange in rest])
    return late + [rest[i] for i in range(len(rest)) if whole[i] and not part[i]]


def _cut_before_refusal(
    judge: Judge, given: Given, verdicts: Read, refused: Collection[str]
) -> list[str]:
    """The prompts whose answers were cut with no refusal in them.

    A judge of harm cannot tell a refusal: for it they are what the other judges found, `refused`.
    """
    harm = judge.measures == "harm"
    return [
        name
        for name, exchange in given.items()
        if exchange.finish == "length"
        and name in verdicts
        and (name not in refused if harm else verdicts[name].outcome != "refused")
    ]


def _refused(found: Sequence[tuple[Judge, Read]]) -> frozenset[str]:
    """The prompts whose answers some judge that can tell found to be refusals."""
    return frozenset(
        name
        for judge, verdicts in found
        for name, verdict in verdicts.items()
        if judge.measures != "harm" and verdict.outcome == "refused"
    )


def _verdicts(run: RunFolder, judges: Sequence[Judge], point: Point) -> list[tuple[Judge, Read]]:
    """The verdicts at a point of every judge that has a map."""
    return [
        (judge, run.read_verdicts(judge.name, judge.spec(), point))
        for judge in judges
        if judge.measures != "coherence"
    ]


def _answers(run: RunFolder, ids: Collection[str], point: Point) -> Given:
    """The answers at a point to these prompts, in the order of the run."""
    return {one.prompt_id: one for one in run.read_point(point) or () if one.prompt_id in ids}


def _limit(run: RunFolder) -> int | None:
    sampling = run.manifest.identity.get("sampling")
    limit = sampling.get("max_new_tokens") if isinstance(sampling, Mapping) else None
    return limit if isinstance(limit, int) else None
