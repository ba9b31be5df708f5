"""One point of weight space in numbers: refusal, over-refusal, coherence, capability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from safebasin.errors import SafebasinError
from safebasin.evaluate.preparation import BENIGN, CAPABILITY, HARMFUL, Prepared
from safebasin.evaluate.shares import Codes, Shares, gap, right, shares
from safebasin.judges import HoldsModel, Judge
from safebasin.judging import adopt, judge_point
from safebasin.landscape.cells import CODES
from safebasin.landscape.intervals import Estimate
from safebasin.landscape.truncation import Cut
from safebasin.plane import Point
from safebasin.prompts.expected import right_answers
from safebasin.run import RunFolder, sealed
from safebasin.run.kinds import STUDY_FILES
from safebasin.run.records import SCHEMA_VERSION
from safebasin.spread.shards import Shard
from safebasin.study.loop import measure
from safebasin.study.observer import Observer, Silent
from safebasin.study.parts import finished, unmeasured
from safebasin.truncation import cut_at, truncation_of

EVALUATION = STUDY_FILES["evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """What a model answers at one point, the headline judge first.

    harmful, benign   the shares of answers by each judge; `benign` is empty where not measured,
                      and without the judges of harm. Over-refusal is the share of benign prompts
                      refused.
    gap               by each judge of `benign`: refusals of harmful less those of benign prompts
    capability        the share of right answers, or None where not measured
    cut               how many answers to each set of prompts ended at the token limit
    """

    folder: Path
    model: str
    prompts: Mapping[str, str]
    harmful: Mapping[str, Shares]
    benign: Mapping[str, Shares]
    gap: Mapping[str, Estimate]
    capability: Estimate | None
    notes: tuple[str, ...]
    cut: Mapping[str, Cut]

    @property
    def judge(self) -> str:
        """The headline judge."""
        return next(iter(self.harmful))

    @property
    def unjudged_shares(self) -> dict[str, float]:
        """The share of answers that each judge left unjudged, in [0, 1], in its worst set."""
        shares: dict[str, float] = {}
        for part in [*self.harmful.values(), *self.benign.values()]:
            share = part.unjudged / max(1, part.judged + part.unjudged)
            shares[part.judge] = max(share, shares.get(part.judge, 0.0))
        return shares

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "prompts": dict(self.prompts),
            "headline": self.judge,
            "harmful": {name: part.to_json() for name, part in self.harmful.items()},
            "benign": {name: part.to_json() for name, part in self.benign.items()},
            "gap": {name: one.to_json() for name, one in self.gap.items()},
            "capability": None if self.capability is None else self.capability.to_json(),
            "cut": {kind: cut.to_json() for kind, cut in self.cut.items()},
            "notes": list(self.notes),
        }


def evaluate(prepared: Prepared, observer: Observer | None = None) -> Evaluation:
    """Ask what the run folders do not hold yet, let the model go, and judge the answers.

    One run folder a set of prompts and sample, under `prepared.folder`; the same call goes on
    where an interrupted one stopped. `prepared` cannot be used again. Raises RunMismatch where a
    folder holds the answers of other settings.
    """
    _measure(prepared, observer or Silent())
    # A judge may need the memory.
    prepared.subject.release()
    found = _read(prepared)
    sealed.write(prepared.folder / EVALUATION, found.to_json())
    return found


def evaluate_shard(
    prepared: Prepared, shard: Shard, observer: Observer | None = None
) -> Evaluation | None:
    """Ask one shard's sets of prompts and samples; the one that completes all judges them.

    Shards may run at the same time, on machines that share the folder. Returns None where other
    shards are still missing or at work.
    """
    observer = observer or Silent()
    _measure(prepared, observer, shard)
    missing = unmeasured(prepared.folder, prepared.parts)
    return finished(missing, lambda: evaluate(prepared, observer))


def _measure(prepared: Prepared, observer: Observer, shard: Shard | None = None) -> None:
    for before, sample in enumerate(prepared.samples):
        dealt = before * len(prepared.sets)
        measure(sample, sample.parts, observer, shard=shard, before=dealt)


def _read(prepared: Prepared) -> Evaluation:
    """Judge what is stored and not judged yet, and count."""
    codes: dict[str, dict[str, Codes]] = {HARMFUL: {}, BENIGN: {}}
    failed: list[SafebasinError] = []
    # One judge after the other, so that no two of their models have to fit at once.
    for judge in prepared.judges:
        try:
            for kind in prepared.read_by(judge):
                rows = []
                for folder in _folders(prepared, kind):
                    with RunFolder.reopen(folder) as run:
                        rows.append(_codes(run, judge, prepared.sets[kind].ids))
                codes[kind][judge.name] = np.array(rows, dtype=np.int8)
        except SafebasinError as error:
            failed.append(error)  # once the other judges have read, too
        if isinstance(judge, HoldsModel):
            judge.unload()
    if failed:
        raise failed[0]
    answered: list[list[bool | None]] = []
    if CAPABILITY in prepared.sets:
        asked = prepared.sets[CAPABILITY].prompts
        for folder in _folders(prepared, CAPABILITY):
            exchanges = RunFolder.read(folder).read_point(Point()) or []
            answered.append(right_answers(asked, exchanges))
    harmful, benign = (
        {name: shares(name, found) for name, found in codes[kind].items()}
        for kind in (HARMFUL, BENIGN)
    )
    return Evaluation(
        folder=prepared.folder,
        model=prepared.subject.checkpoint.name,
        prompts={kind: f"{found.name} ({len(found)})" for kind, found in prepared.sets.items()},
        harmful=harmful,
        benign=benign,
        gap={
            name: gap(harmful[name].outcomes["refused"], benign[name].outcomes["refused"])
            for name in benign
        },
        capability=right(answered) if answered else None,
        notes=(*prepared.notes, *_warned(prepared)),
        cut={kind: _cut(prepared, kind) for kind in prepared.sets},
    )


def _cut(prepared: Prepared, kind: str) -> Cut:
    """How many answers to a set were cut, in all samples."""
    ids = prepared.sets[kind].ids
    runs = map(RunFolder.read, _folders(prepared, kind))
    return sum((cut_at(run, Point(), ids) for run in runs), Cut(0, 0))


def _warned(prepared: Prepared) -> list[str]:
    """A sentence where the token limit could change verdicts on the harmful prompts.

    By the first sample: the limit is that of all.
    """
    run = RunFolder.read(_folders(prepared, HARMFUL)[0])
    warning = truncation_of(run, prepared.judges, prepared.sets[HARMFUL].ids).warning
    return [warning] if warning else []


def _folders(prepared: Prepared, kind: str) -> list[Path]:
    """The run folder of each sample of a set."""
    position = list(prepared.sets).index(kind)
    return [prepared.folder / sample.parts[position].name for sample in prepared.samples]


def _codes(run: RunFolder, judge: Judge, ids: tuple[str, ...]) -> list[int]:
    # With `replace`: the answers are kept by their own identity, and a judge may have changed.
    adopt(run, [judge], replace=True)
    judge_point(run, [judge], Point())
    verdicts = run.read_verdicts(judge.name, judge.spec(), Point())
    return [
        CODES[verdicts[prompt_id].outcome if prompt_id in verdicts else None] for prompt_id in ids
    ]
