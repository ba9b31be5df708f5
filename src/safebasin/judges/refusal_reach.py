"""How many tokens of an answer a judge of text needs to find its refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from safebasin.exchange import Exchange
from safebasin.judges.keywords import KeywordJudge
from safebasin.judges.outcome import OutcomeJudge
from safebasin.judges.protocol import Judge
from safebasin.judges.refusal import RefusalJudge


def refusal_reader(judge: Judge) -> Judge | None:
    """What finds refusals for one of the project's own judges of text, or None for any other.

    These read parts of answers again in no time; models, endpoints and the judges of other
    packages may take long, and cost.
    """
    if isinstance(judge, OutcomeJudge):
        return refusal_reader(judge.refusal)
    return judge if isinstance(judge, KeywordJudge | RefusalJudge) else None


def first_tokens(exchange: Exchange, tokens: int) -> Exchange:
    """About the first so many tokens of an answer, by the share of its characters."""
    if tokens >= exchange.new_tokens:
        return exchange
    end = len(exchange.response) * tokens // exchange.new_tokens
    return replace(
        exchange,
        response=exchange.response[:end],
        finish="length",
        new_tokens=tokens,
        origin_logprob=None,
        origin_logprobs=None,
    )


def refuses(reader: Judge, exchanges: Sequence[Exchange]) -> list[bool]:
    """Which of the answers a judge finds to be refusals."""
    if not exchanges:
        return []
    return [verdict.outcome == "refused" for verdict in reader.judge(exchanges)]


def tokens_needed(reader: Judge, exchange: Exchange) -> int:
    """About the fewest first tokens of a refusal with which the judge finds it to be one."""
    short, enough = 0, exchange.new_tokens
    while enough - short > 1:
        middle = (short + enough) // 2
        if refuses(reader, [first_tokens(exchange, middle)])[0]:
            enough = middle
        else:
            short = middle
    return enough
