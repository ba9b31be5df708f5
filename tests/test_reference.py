"""The scale of broken text: the undisplaced model's own answers in the same run."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.errors import EngineError
from safebasin.exchange import Exchange
from safebasin.judges import Coherence, OutcomeJudge, build
from safebasin.judging import judge_run
from safebasin.plane import Point
from safebasin.prompts import Prompt, load
from safebasin.reference import (
    REFERENCE,
    ask_everyday,
    everyday_for,
    scale_of,
    scaled,
    settle,
    undisplaced_answers,
    unsettle,
)
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from support import judged_runs

SMALL = ScanConfig(seeds=(0,), steps=4, limit=6, judges=("outcome", "llm-landscape"))
PLAIN = "Here is a plan: water the garden in the evening and sow the seeds in spring."


class Answering:
    """An engine that answers everything alike, and counts how often it was asked."""

    name = "answering"

    def __init__(self, error: EngineError | None = None) -> None:
        self.asked: list[int] = []
        self.error = error

    def spec(self) -> dict[str, object]:
        return {}

    def answers(
        self, points: Sequence[Point], prompts: Sequence[Prompt], sampling: Sampling, *_: Any
    ) -> Iterator[tuple[Point, list[Exchange]]]:
        self.asked.append(len(prompts))
        if self.error is not None:
            raise self.error
        for point in points:
            yield point, [answer(prompt.id, 0.3 + i / 100) for i, prompt in enumerate(prompts)]


def answer(name: str, level: float, text: str = PLAIN) -> Exchange:
    exchange = Exchange(name, "ask", text, "eos", 3, 20)
    return exchange.scored([-level] * 20)


def written(path: Path) -> Path:
    return judged_runs.write(path, lambda point, name: PLAIN, 4)


def test_a_scan_records_what_broken_text_was_told_by(tmp_path: Path) -> None:
    from dataclasses import replace

    config = replace(SMALL, out=str(tmp_path / "run"))
    found = scan(prepare(config))
    assert found.scale is not None
    assert found.scale["judge"] == "outcome"
    assert found.scale["answers"] == 32  # the six of its own are refusals
    assert found.scale["broken"] == 0.0
    assert 0.1 <= found.scale["cut"] < 1.0
    stored = json.loads((tmp_path / "run" / REFERENCE).read_text())
    assert stored["questions"] == "testbed:benign-dev"
    assert len(stored["own"]) == 6
    assert json.loads((tmp_path / "run" / "landscape.json").read_text())["scale"] == found.scale
    assert look(tmp_path / "run").scale == found.scale
    again = rejudge(tmp_path / "run", ["outcome"])
    assert again.scale == found.scale
    assert again.summaries["outcome"].to_json() == found.summaries["outcome"].to_json()


def test_the_scale_is_had_from_the_answers_alone(tmp_path: Path) -> None:
    """By hand: 4.5 times the margin times the median, times the upper spread squared."""
    import numpy as np

    with RunFolder.reopen(written(tmp_path / "run")) as run:
        ask_everyday(run, [OutcomeJudge()], Answering(), Sampling(64))
        settle(run, ())
        judge = scaled(run, OutcomeJudge())
        assert isinstance(judge, OutcomeJudge)
    values = np.array([0.3 + i / 100 for i in range(32)]) * 19 / 31
    middle, upper = np.median(values) + 0.02, np.quantile(values, 0.84) + 0.02
    cut = 4.5 * (1 + 1 / math.sqrt(32)) * middle * (upper / middle) ** 2
    assert judge.coherence.cut == pytest.approx(cut, rel=1e-2)


def test_nothing_is_asked_without_a_judge_that_needs_it(tmp_path: Path) -> None:
    engine = Answering()
    with RunFolder.reopen(written(tmp_path / "run")) as run:
        ask_everyday(run, [build("llm-landscape"), build("refusal")], engine, Sampling(8))
        assert run.read_json(REFERENCE) is None
    assert engine.asked == []


def test_an_engine_is_asked_once_and_briefly(tmp_path: Path) -> None:
    engine = Answering()
    for name in ("a", "b"):
        with RunFolder.reopen(written(tmp_path / name)) as run:
            for _ in range(2):
                ask_everyday(run, [Coherence()], engine, Sampling(500))
            assert len(run.read_json(REFERENCE)["answers"]) == 32
    assert engine.asked == [32]


def test_what_the_model_cannot_take_is_recorded(tmp_path: Path) -> None:
    engine = Answering(EngineError("Prompt 'everyday-01' has 9 tokens.", "Shorten it."))
    with RunFolder.reopen(written(tmp_path / "run")) as run:
        ask_everyday(run, [Coherence()], engine, Sampling(500))
        assert run.read_json(REFERENCE)["lacks"] == "Prompt 'everyday-01' has 9 tokens."
        settle(run, ())
        assert undisplaced_answers(run) is not None


def test_a_judge_waits_for_the_undisplaced_answers(tmp_path: Path) -> None:
    with RunFolder.reopen(written(tmp_path / "run")) as run:
        ask_everyday(run, [OutcomeJudge()], Answering(), Sampling(64))
        assert scaled(run, OutcomeJudge()) is None
        assert scaled(run, build("refusal")) == build("refusal")
        ids = run.manifest.prompt_ids
        assert not settle(run, [*ids, "not-answered-yet"])
        assert settle(run, ids)
        assert not settle(run, ids)
        assert scaled(run, OutcomeJudge()) is not None
        judge_run(run, [OutcomeJudge()])
        first = run.read_json(REFERENCE)
        unsettle(run)
        assert run.read_json(REFERENCE) == first


def test_refusals_give_no_scale_unless_there_is_nothing_else(tmp_path: Path) -> None:
    refusing = judged_runs.write(tmp_path / "run", lambda point, name: judged_runs.REFUSAL, 12)
    with RunFolder.reopen(refusing) as run:
        assert len(undisplaced_answers(run) or ()) == 12
        ask_everyday(run, [OutcomeJudge()], Answering(), Sampling(64))
        settle(run, run.manifest.prompt_ids)
        found = undisplaced_answers(run) or []
        assert len(found) == 32
        assert all(one.prompt_id.startswith("everyday") for one in found)


def test_the_everyday_questions_are_in_a_language_that_the_model_knows() -> None:
    assert everyday_for({"model": {"name": "testbed:base"}}).name == "testbed:benign-dev"
    assert everyday_for({"prompts": {"name": "testbed:harmful"}}).name == "testbed:benign-dev"
    plain = everyday_for({"model": {"name": "x"}, "prompts": {"name": "advbench"}})
    assert plain == load("everyday")
    assert {prompt.kind for prompt in plain} == {"benign"}


def test_a_model_whose_own_answers_would_be_broken_gets_no_split(tmp_path: Path) -> None:
    def text(point: Point, number: int) -> str:
        return "" if number in (1, 3) else PLAIN

    folder = judged_runs.write(tmp_path / "run", text, 10)
    found = rejudge(folder, ["outcome"])
    assert found.scale is not None
    assert found.scale["broken"] == pytest.approx(0.2)
    assert found.shares is None
    assert "20 % of the undisplaced model's own answers would be broken" in found.notes[-1]
    with RunFolder.reopen(folder) as run:
        assert scale_of(run, [build("refusal")]) is None
