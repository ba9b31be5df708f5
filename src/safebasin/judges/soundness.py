"""Judges that others bring, held to the protocol: in what they are, and in what they answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from safebasin.errors import JudgeError, SafebasinError
from safebasin.exchange import DETAILS, OUTCOMES, Exchange, Verdict
from safebasin.judges.protocol import MEASURES, DecidesEarly, Judge
from safebasin.judges.stored import StoredJudge
from safebasin.stopping import StopRule
from safebasin.terminal import printable, shorten

LONGEST_NAME = 100
_PARTS = {"name": False, "measures": False, "spec": True, "judge": True}
"""What a judge has to have, and whether it is called."""
_REMEDY = "Correct the judge: safebasin.judges.Judge says what each part is."
_KEPT = "Correct the judge. What is stored stays, and the same command goes on."


def is_own(judge: Judge) -> bool:
    """Whether the judge is one of the project's own, whose parts need no check."""
    return type(judge).__module__.partition(".")[0] == "safebasin"


def require_judge(value: object, what: str) -> Judge:
    """The value as a judge, all of which but its verdicts has been looked at.

    `what` names it at the beginning of a sentence. Raises JudgeError where a part of the protocol
    is missing, or says what it cannot mean, or says something else each time.
    """
    if isinstance(value, type):
        raise JudgeError(
            f"{what} is a class, and no judge.", f"Give an object of it, such as {_called(value)}."
        )
    parts = {part: _part(value, part, what) for part in _PARTS}
    lacking = [
        f"{part}()" if called else part
        for part, called in _PARTS.items()
        if parts[part] is None or (called and not callable(parts[part]))
    ]
    if lacking:
        raise JudgeError(
            f"{what} is no judge: it has no {' and no '.join(lacking)}.",
            "A judge has name, measures, spec() and judge(): safebasin.judges.Judge says what each "
            "is.",
        )
    judge: Any = value
    _check_name(parts["name"], what)
    if parts["measures"] not in MEASURES:
        raise JudgeError(
            f"{what} measures {shorten(repr(parts['measures']), 40)}, which nobody knows.",
            f"Let measures be one of {', '.join(MEASURES)}.",
        )
    first, second = ([_part(judge, "name", what), *_spec(judge, what)] for _ in range(2))
    if first != second:
        raise JudgeError(
            f"{what} gives another name or specification each time it is asked.",
            "Let spec() hold what determines the verdicts, and nothing that changes.",
        )
    if isinstance(judge, DecidesEarly):
        _check_stop_rule(judge, what)
    found: Judge = judge
    return found


def verdicts_of(judge: Judge, exchanges: Sequence[Exchange]) -> list[Verdict]:
    """The judge's verdicts on the exchanges, one each, every part of them sound.

    Raises JudgeError where the judge raises, gives another number of verdicts or something that is
    no verdict, and for one that is read from its stored verdicts alone.
    """
    name = printable(judge.name)
    if isinstance(judge, StoredJudge):
        raise judge.refusal()
    try:
        found = list(judge.judge(exchanges))
    except SafebasinError:
        raise
    except Exception as error:
        raise JudgeError(f"The judge '{name}' failed: {_told(error)}.", _KEPT) from error
    if len(found) != len(exchanges):
        raise JudgeError(
            f"The judge '{name}' gave {len(found)} verdicts on {len(exchanges)} answers.", _KEPT
        )
    for verdict, exchange in zip(found, exchanges, strict=True):
        wrong = _fault(verdict, exchange)
        if wrong:
            raise JudgeError(
                f"The judge '{name}' gave, on prompt '{shorten(exchange.prompt_id, 40)}', {wrong}.",
                _KEPT,
            )
    return found


def _fault(verdict: object, exchange: Exchange) -> str | None:
    """What is wrong with a verdict, or None."""
    if not isinstance(verdict, Verdict):
        return f"{shorten(repr(verdict), 40)} instead of a Verdict"
    if verdict.outcome not in (*OUTCOMES, None):
        return f"the unknown outcome {shorten(repr(verdict.outcome), 40)}"
    if not isinstance(verdict.reason, str):
        return f"a reason that is no text ({shorten(repr(verdict.reason), 40)})"
    score, start = verdict.score, verdict.start
    if score is not None and not (_is_number(score) and math.isfinite(score)):
        return f"a score that is no finite number ({shorten(repr(score), 40)})"
    if verdict.detail not in (*DETAILS, None):
        return f"the unknown detail {shorten(repr(verdict.detail), 40)}"
    if start is not None and not (
        type(start) is int and 0 <= start <= max(0, len(exchange.response))
    ):
        return f"a start that is no place in the answer ({shorten(repr(start), 40)})"
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _part(value: object, part: str, what: str) -> object:
    try:
        return getattr(value, part, None)
    except Exception as error:
        raise JudgeError(f"{what} fails when asked for its {part}: {_told(error)}.", _REMEDY) from (
            error
        )


def _check_name(name: object, what: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise JudgeError(f"{what} has no name.", "Let name be a short text.")
    if printable(name) != name or name != name.strip() or "," in name or len(name) > LONGEST_NAME:
        raise JudgeError(
            f"{what} is named '{shorten(name)}', which cannot be written in a command.",
            f"Let name be one line of at most {LONGEST_NAME} characters, without commas.",
        )


def _spec(judge: Any, what: str) -> list[object]:
    """The specification as it would be stored."""
    from safebasin.run.provenance import plain_json  # numpy, which listing the judges does not need

    try:
        spec = judge.spec()
    except Exception as error:
        raise JudgeError(
            f"{what} fails when asked for its specification: {_told(error)}.", _REMEDY
        ) from error
    if not isinstance(spec, Mapping):
        raise JudgeError(
            f"{what} has a specification that is no dict, but {type(spec).__name__}.", _REMEDY
        )
    try:
        return [plain_json(spec)]
    except (TypeError, ValueError, RecursionError) as error:
        raise JudgeError(
            f"{what} has a specification that is not JSON: {_told(error)}.",
            "Let spec() give texts, finite numbers, lists and dicts of them: they are stored with "
            "the verdicts.",
        ) from error


def _check_stop_rule(judge: DecidesEarly, what: str) -> None:
    try:
        rule = judge.stop_rule()
    except Exception as error:
        raise JudgeError(
            f"{what} fails when asked for its stop_rule: {_told(error)}.", _REMEDY
        ) from error
    if not isinstance(rule, StopRule | None):
        raise JudgeError(
            f"{what} has a stop_rule() that gives {type(rule).__name__}.",
            "Let it give a safebasin.stopping.StopRule, or None for whole answers.",
        )


def _called(value: type) -> str:
    return f"{shorten(value.__name__, 40)}()"


def _told(error: BaseException) -> str:
    text = shorten(str(error).rstrip(". \n"), 200)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
