"""The undisplaced model's own answers, on whose scale a run's judges tell broken text.

`reference.json` in the run folder holds its answers to everyday questions, and names which of its
answers to the run's own prompts count beside them; so the scale can be had again from the run
folder alone. Refusals are left out: a model is sure of them, and broken text is no refusal.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from safebasin.engines import Engine, Sampling
from safebasin.errors import EngineError
from safebasin.exchange import Exchange
from safebasin.judges import Judge, ReadsOrigin, RefusalJudge
from safebasin.judges.coherence import Coherence
from safebasin.judges.origin_scale import FEWEST, OriginScale
from safebasin.judges.outcome import OutcomeJudge
from safebasin.plane import Point
from safebasin.prompts import EVERYDAY, PromptSet, load
from safebasin.run import RunFolder
from safebasin.run.rows import exchange_from_json, exchange_to_json

LOG = logging.getLogger(__name__)

REFERENCE = "reference.json"

TOY_EVERYDAY = "testbed:benign-dev"
"""What the packaged model is asked instead: it knows no plain English."""

QUESTIONS = 32
MOST_TOKENS = 64
"""Tokens of an answer to an everyday question, unless the run's own limit is lower."""

UNTRUSTED = 0.05
"""The share of the undisplaced model's answers called broken from which on no split is given."""

_answered: WeakKeyDictionary[Engine, dict[tuple[str, int], list[Exchange]]] = WeakKeyDictionary()
_scaled: WeakKeyDictionary[RunFolder, dict[str, Judge]] = WeakKeyDictionary()


def ask_everyday(
    run: RunFolder, judges: Sequence[Judge], engine: Engine, sampling: Sampling
) -> None:
    """Ask the undisplaced model everyday questions where a judge needs them and none are stored.

    Of questions that the model cannot take, what stood in the way is recorded instead.
    """
    if not any(isinstance(judge, ReadsOrigin) for judge in judges):
        return
    if run.read_json(REFERENCE) is not None:
        return
    questions = everyday_for(run.manifest.identity)
    limit = min(MOST_TOKENS, sampling.max_new_tokens)
    known = _answered.setdefault(engine, {})
    found: dict[str, Any] = {"questions": questions.name, "sha256": questions.sha256}
    try:
        if (questions.name, limit) not in known:
            LOG.info("asking the undisplaced model everyday questions")
            shorter = replace(sampling, max_new_tokens=limit)
            [(_, answers)] = engine.answers([Point()], questions.prompts, shorter)
            known[questions.name, limit] = answers
    except EngineError as error:
        known[questions.name, limit] = []
        found["lacks"] = error.message
    answers = known[questions.name, limit]
    run.write_json(REFERENCE, found | {"answers": [exchange_to_json(one) for one in answers]})


def everyday_to_ask(
    run: RunFolder | None, judges: Sequence[Judge], model: str, prompts: str, limit: int
) -> float:
    """How much `ask_everyday` has to ask, in answers of `limit` tokens; 0 where nothing.

    `run` is None where there is none yet, `model` and `prompts` are the names in its identity.
    """
    if not any(isinstance(judge, ReadsOrigin) for judge in judges):
        return 0.0
    if run is not None and run.read_json(REFERENCE) is not None:
        return 0.0
    questions = everyday_for({"model": {"name": model}, "prompts": {"name": prompts}})
    return len(questions) * min(MOST_TOKENS, limit) / limit


def everyday_for(identity: Mapping[str, Any]) -> PromptSet:
    """The everyday questions for the model of a run, in a language that it knows."""
    names = (identity.get(part, {}).get("name", "") for part in ("model", "prompts"))
    if any(str(name).startswith("testbed:") for name in names):
        return load(TOY_EVERYDAY).sample(QUESTIONS, 0)
    return load(EVERYDAY)


def settle(run: RunFolder, ids: Iterable[str]) -> bool:
    """Fix which own answers count, once the undisplaced model has answered all these prompts.

    Returns whether they are fixed by this very call. Where the run has no undisplaced point the
    everyday answers alone count.
    """
    if run in _scaled:
        return False
    stored = run.read_json(REFERENCE)
    if stored is None or "own" in stored:
        return False
    own: list[str] = []
    if Point() in run.manifest.points:
        if run.missing(Point(), ids):
            return False
        own = [exchange.prompt_id for exchange in run.read_point(Point()) or ()]
    run.write_json(REFERENCE, stored | {"own": own})
    return True


def unsettle(run: RunFolder) -> None:
    """Let all of the undisplaced model's answers that the run holds count anew."""
    stored = run.read_json(REFERENCE)
    if stored is not None and "own" in stored:
        stored.pop("own")
        run.write_json(REFERENCE, stored)
    _scaled.pop(run, None)
    settle(run, ())


def scaled(run: RunFolder, judge: Judge) -> Judge | None:
    """The judge on the run's scale; None where it has to wait for the undisplaced answers."""
    if not isinstance(judge, ReadsOrigin):
        return judge
    name = judge.name
    known = _scaled.get(run, {})
    if name not in known or known[name].spec() != judge.spec():
        answers = undisplaced_answers(run)
        if answers is None:
            return None
        known = _scaled.setdefault(run, {})
        known[name] = judge.against(answers)
    return known[name]


def undisplaced_answers(run: RunFolder) -> list[Exchange] | None:
    """The answers that give the run's scale, refusals left out; None where they are to come.

    A run without everyday answers, such as one of an earlier version, has its own at the origin.
    Where fewer than FEWEST are no refusals, the refusals count, too.
    """
    stored = run.read_json(REFERENCE)
    if stored is not None and "own" not in stored:
        return None
    found = [exchange_from_json(row) for row in (stored or {}).get("answers", ())]
    own = run.read_point(Point()) or [] if Point() in run.manifest.points else []
    wanted = None if stored is None else set(stored["own"])
    found += [one for one in own if wanted is None or one.prompt_id in wanted]
    verdicts = RefusalJudge().judge(found)
    helping = [one for one, read in zip(found, verdicts, strict=True) if read.outcome != "refused"]
    return helping if len(helping) >= FEWEST else found


def scale_of(run: RunFolder, judges: Iterable[Judge]) -> dict[str, Any] | None:
    """What the first judge that tells broken text goes by in this run; None where none does.

    `broken` is the share of the undisplaced model's answers that it calls broken, 0 to 1.
    """
    for judge in judges:
        on_scale = scaled(run, judge)
        coherence = on_scale.coherence if isinstance(on_scale, OutcomeJudge) else on_scale
        if not isinstance(coherence, Coherence):
            continue
        answers = undisplaced_answers(run) or []
        broken = sum(coherence.breaks(one) is not None for one in answers)
        scale: OriginScale | None = coherence.scale
        return {
            "judge": judge.name,
            **({} if scale is None else scale.to_json()),
            "cut": coherence.cut,
            "broken": broken / len(answers) if answers else None,
        }
    return None
