"""A scan by the fast engine against one by the plain engine: the same map, sooner."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safebasin import plan as planning
from safebasin.config import EngineName, Mode, ScanConfig
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.fast.scoring import OriginScores
from safebasin.errors import UsageError
from safebasin.judges import KeywordJudge, OutcomeJudge, RefusalJudge, common_stop_rule
from safebasin.judges.keywords import ARDITI, LLM_LANDSCAPE
from safebasin.judging import judge_run
from safebasin.results import collect
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import measure, scan
from safebasin.study.observer import Silent
from support import pico

Command = Callable[..., tuple[int, str, str]]
"""Runs `safebasin` with arguments: its exit code, standard output and standard error."""

FAMILIES = ["llama", "llama-mha", "qwen2", "qwen3", "gemma", "gemma3", "mistral", "phi", "gpt2"]


def config_of(tmp_path: Path, model: Path, engine: EngineName, **changes: object) -> ScanConfig:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo two\nthree\nfour and five\n", encoding="utf-8")
    config = ScanConfig(
        model=str(model), prompts=str(prompts), steps=4, seeds=(0, 1), limit=4, max_new_tokens=12,
        prompts_kind="harmful",
        device="cpu", engine=engine, out=str(tmp_path / f"run-{engine}-{len(changes)}"),
    )  # fmt: skip
    return replace(config, **changes)  # type: ignore[arg-type]


def outcomes(config: ScanConfig) -> dict[str, list[object]]:
    """The map that a scan draws, not drawn."""
    prepared = prepare(config)
    with RunFolder.open(prepared.folder, prepared.manifest()) as run:
        measure(run, prepared, prepared.points, Silent())
        judge_run(run, prepared.judges)
        result = collect(run, prepared.judges)
    assert result.complete
    return {name: survey.mean_asr().value.tolist() for name, survey in result.surveys.items()}


@pytest.mark.parametrize("family", FAMILIES)
def test_both_engines_draw_the_same_map(tmp_path: Path, family: str) -> None:
    model = pico.save(tmp_path / "model", family)
    expected = outcomes(config_of(tmp_path, model, "plain", steps=2))
    for mode in ("pool", "in-place", "auto"):
        out = str(tmp_path / f"run-{mode}")
        found = outcomes(config_of(tmp_path, model, "fast", mode=mode, out=out, steps=2))
        assert found == expected


def test_the_packaged_model_has_the_same_verdicts_by_both(tmp_path: Path) -> None:
    verdicts = []
    ways: list[tuple[EngineName, Mode, bool]] = [
        ("plain", "auto", True), ("fast", "pool", False), ("fast", "in-place", True),
    ]  # fmt: skip
    for engine, mode, full in ways:
        prepared = prepare(
            ScanConfig(
                steps=6,
                seeds=(0,),
                limit=16,
                engine=engine,
                mode=mode,
                full_responses=full,
                judges=("llm-landscape",),
                out=str(tmp_path / f"{engine}-{mode}"),
                device="cpu",
            )
        )
        result = scan(prepared)
        [judge] = prepared.judges
        run = RunFolder.read(result.folder)
        verdicts.append(
            {
                (point.key, prompt): verdict.outcome
                for point in prepared.points
                for prompt, verdict in run.read_verdicts(judge.name, judge.spec(), point).items()
            }
        )
    assert len(verdicts[0]) == 7 * 16
    assert set(verdicts[0].values()) == {"refused", "complied"}
    assert verdicts[1] == verdicts[0]
    assert verdicts[2] == verdicts[0]


def test_bfloat16_changes_few_verdicts(tmp_path: Path) -> None:
    verdicts = []
    for engine, mode, dtype in (
        ("plain", "auto", "float32"),
        ("fast", "pool", "bfloat16"),
        ("fast", "in-place", "bfloat16"),
    ):
        config = ScanConfig(
            steps=4, seeds=(0,), limit=40, device="cpu", dtype=dtype, engine=engine, mode=mode,
            judges=("llm-landscape",), out=str(tmp_path / f"{mode}-{dtype}"),
        )  # fmt: skip
        [landscape] = scan(prepare(config)).surveys["llm-landscape"].landscapes
        verdicts.append(landscape.outcomes)
    for other in verdicts[1:]:
        assert (other != verdicts[0]).mean() <= 0.02


def test_answers_end_early_only_where_every_judge_allows_it(tmp_path: Path) -> None:
    model = pico.save(tmp_path / "model")

    def stop(**changes: object) -> object:
        engine = prepare(config_of(tmp_path, model, "fast", **changes)).engine
        assert isinstance(engine, FastEngine)
        return engine.stop

    assert stop(judges=("llm-landscape",)) is not None
    assert stop(judges=("llm-landscape",), full_responses=True) is None
    assert stop(judges=("llm-landscape", "outcome")) is None
    assert stop(judges=("llm-landscape", "arditi")) is None


def test_the_rule_that_judges_have_in_common() -> None:
    reference = KeywordJudge("llm-landscape", LLM_LANDSCAPE)
    rule = common_stop_rule([reference])
    assert rule is not None
    assert rule.decides("Well. I cannot")
    assert not rule.decides("Well. i CANNOT")
    without_case = common_stop_rule([KeywordJudge("arditi", ARDITI, ignore_case=True)])
    assert without_case is not None
    assert without_case.decides("Well. i CANNOT")
    assert common_stop_rule([KeywordJudge(match="prefix")]) is None
    assert common_stop_rule([reference, OutcomeJudge()]) is None
    assert common_stop_rule([RefusalJudge()]) is None


def test_early_answers_make_another_run_than_whole_ones(tmp_path: Path) -> None:
    model = pico.save(tmp_path / "model")
    early = prepare(config_of(tmp_path, model, "fast", judges=("llm-landscape",)))
    whole = prepare(config_of(tmp_path, model, "fast"))
    plain = prepare(config_of(tmp_path, model, "plain"))
    assert json.dumps(whole.identity) == json.dumps(plain.identity)
    assert json.dumps(early.identity) != json.dumps(plain.identity)


def test_an_unknown_engine_or_mode_is_one_sentence() -> None:
    for key in ("engine", "mode"):
        with pytest.raises(UsageError, match=key):
            ScanConfig.from_json({key: "quick"})


@pytest.mark.parametrize("engine", ["plain", "vllm"])
@pytest.mark.parametrize("given", [{"mode": "pool"}, {"drafts": True}])
def test_other_engines_have_no_modes_and_no_drafts(engine: str, given: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=f"{engine} has no modes and no drafts"):
        ScanConfig.from_json({"engine": engine, **given})


def planned(command: Command, *arguments: object) -> str:
    code, out, err = command("scan", *arguments, "--dry-run")
    assert code == 0, err
    return " ".join(out.split())


def test_a_plan_says_whether_answers_end_early_and_why_not(
    tmp_path: Path, command: Command
) -> None:
    few = [pico.save(tmp_path / "model"), "--steps", "2", "--seeds", "1", "--limit", "2"]
    assert "answers are whole, as outcome reads them to the end" in planned(command, *few)
    early = [*few, "--judge", "llm-landscape"]
    assert "answers end where the verdict is decided" in planned(command, *early)
    assert "answers are kept whole" in planned(command, *early, "--full-responses")
    assert "decide at different places" in planned(command, *few, "--judge", "llm-landscape,arditi")
    assert "the actors of a Ray cluster: here:1" in planned(
        command, *few, "--executor", "ray", "--ray-address", "here:1"
    )


def test_a_plan_says_that_another_engine_made_what_is_there(
    tmp_path: Path, command: Command
) -> None:
    few = [pico.save(tmp_path / "model"), "--steps", "2", "--seeds", "1", "--limit", "2"]
    few += ["--max-new-tokens", "2", "--out", tmp_path / "run"]
    assert command("scan", *few)[0] == 0
    assert "answered by the engine" not in planned(command, *few)
    told = planned(command, *few, "--engine", "plain")
    assert "what it holds already was answered by the engine fast; give another --out" in told


def test_a_plan_says_how_the_answers_are_made(tmp_path: Path) -> None:
    model = pico.save(tmp_path / "model", "gemma3")
    plan = prepare(config_of(tmp_path, model, "fast", max_new_tokens=40)).plan()
    assert "plain engine" in plan.way
    assert "slides over 16 tokens" in plan.way
    pool = prepare(config_of(tmp_path, pico.save(tmp_path / "llama"), "fast", mode="pool")).plan()
    assert "rows of many points" in pool.way
    assert 0 < pool.seconds[0] <= pool.seconds[1]


def test_a_slow_model_is_asked_fewer_prompts_for_its_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    timed = planning._timed

    def noted(engine: Any, prompts: Any, sampling: Any) -> Any:
        asked.append(len(prompts))
        return timed(engine, prompts, sampling)

    monkeypatch.setattr(planning, "_timed", noted)
    monkeypatch.setattr(planning, "PROBE_SECONDS", math.inf)
    monkeypatch.setattr(planning, "AGAIN_SECONDS", math.inf)
    prepared = prepare(config_of(tmp_path, pico.save(tmp_path / "llama"), "fast"))
    whole = min(planning.PROBE_PROMPTS, len(prepared.prompts))
    quick = prepared.plan()
    assert asked == [whole] * 2  # so quick that it is measured again
    monkeypatch.setattr(planning, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(planning, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(planning, "FEWEST_PROBED", 2)
    slow = prepared.plan()
    assert asked[2:] == [2]
    assert slow.answers == quick.answers
    assert slow.seconds is not None
    assert 0 < slow.seconds[0] <= slow.seconds[1]


def test_scoring_is_counted_in_a_plan_and_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OriginScores, "score", lambda *given: pytest.fail("scored"))
    prepared = prepare(config_of(tmp_path, pico.save(tmp_path / "llama"), "fast"))
    engine = prepared.engine
    assert isinstance(engine, FastEngine)
    assert engine.scores
    plan = prepared.plan()
    assert engine.scores
    encoded = [engine.template.encode(prompt) for prompt in prepared.prompts]
    cost = engine.planner._plain
    assert cost is not None
    # Each prompt once, and at each point each answer once, at most of 12 tokens.
    most = cost.each * (sum(map(len, encoded)) + 9 * 4 * 12)
    assert engine.planner.scoring_seconds(prepared.points, encoded, 12) == pytest.approx(most)
    assert plan.seconds is not None
    assert plan.seconds[1] > most
    engine.planner.scores = False
    assert engine.planner.scoring_seconds(prepared.points, encoded, 12) == 0


def test_a_plan_counts_what_is_asked_beside_the_points(tmp_path: Path) -> None:
    config = config_of(tmp_path, pico.save(tmp_path / "llama"), "fast", judges=("outcome",))
    prepared = prepare(config)
    plan = prepared.plan()
    assert plan.seconds is not None
    low, high = plan.seconds
    everyday, most = plan.asides
    # 32 questions of as many tokens as an answer may have here, and 8 answers of 64 tokens.
    each = (high - most) / plan.answers_missing
    assert everyday == pytest.approx(32 * each)
    assert most - everyday == pytest.approx(each * 8 * 64 / 12)
    assert low > everyday
    elsewhere = replace(plan, workers=1).by_workers(2).seconds
    assert elsewhere == pytest.approx(((low + everyday) / 2, (high + most) / 2))
    scan(prepare(replace(config, limit=3)))
    more = prepare(config).plan()
    assert more.answers_missing == 9
    assert more.asides[0] == 0  # they were asked
    scan(prepare(config))
    assert prepare(config).plan().asides == (0.0, 0.0)
    words = prepare(replace(config, judges=("llm-landscape",), out="elsewhere"))
    assert words.plan().asides[0] == 0
    unmeasured = words.plan(probe=False)
    assert unmeasured.seconds is None
    assert unmeasured.asides == (0.0, 0.0)


def test_a_plan_counts_the_way_to_each_point(tmp_path: Path) -> None:
    prepared = prepare(config_of(tmp_path, pico.save(tmp_path / "llama"), "fast", mode="in-place"))
    engine = prepared.engine
    assert isinstance(engine, FastEngine)
    memory = engine.plan(prepared.points, prepared.prompts.prompts, prepared.sampling)
    assert engine.forward is not None
    assert engine.forward.decoder is not None
    engine.forward.decoder.copies.seconds = 0.5
    assert engine.planner.moving_seconds(memory, prepared.points) == 3 * 8 * 0.5
    assert engine.planner.moving_seconds(replace(memory, mode="pool"), prepared.points) == 0
