"""The vLLM engine: with vLLM itself (`make test-vllm`), and what needs none of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from torch import Tensor

from safebasin.config import ScanConfig
from safebasin.directions import Gaussian
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm import session as vllm_session
from safebasin.engines.vllm.engine import VllmEngine
from safebasin.engines.vllm.session import Session
from safebasin.engines.vllm.weight_stream import named_tensors, offered, received
from safebasin.engines.vllm.worker import WeightReceiver
from safebasin.errors import DirectionError, EngineError, UsageError
from safebasin.exchange import Exchange
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.plan import estimate
from safebasin.plane import Point
from safebasin.prompts import Prompt, load
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.stopping import StopRule
from safebasin.weights import Weights
from support import pico
from support.vllm_stand import Stand, assert_decided_sooner, stand_in

PROMPTS = [Prompt(f"p{i}", text) for i, text in enumerate(["Hi", "What is a basin?", "What"])]
LIMIT = Sampling(8)
POINTS = [Point(), Point.of({"a": 0.3}), Point.of({"a": -0.4, "b": 0.1}), Point()]

Answers = list[tuple[Point, list[Exchange]]]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> list[Stand]:
    """The stand-ins that engines start, in place of vLLM."""
    return stand_in(monkeypatch)


def parts(**changes: Any) -> tuple[Any, Weights, dict[str, Gaussian], Template]:
    model = pico.model(**changes)
    weights = Weights(model)
    directions = {name: Gaussian(i, weights, name=name) for i, name in enumerate("ab")}
    return model, weights, directions, Template.of(pico.tokenizer())


def test_without_vllm_one_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_session, "find_spec", lambda name: None)
    with pytest.raises(EngineError, match="not installed") as caught:
        prepare(ScanConfig(engine="vllm", device="cpu"))
    assert "safebasin[vllm]" in caught.value.hint


def test_every_point_has_the_plain_answers_and_scores(stand: list[Stand]) -> None:
    made = parts()
    before = made[1].checksum()
    expected = list(PlainEngine(*made).answers(POINTS, PROMPTS, LIMIT))
    engine = VllmEngine(*made)
    heard: list[tuple[Point, int]] = []
    found = list(
        engine.answers(POINTS, PROMPTS, LIMIT, lambda point, new: heard.append((point, len(new))))
    )
    assert heard == [(point, len(PROMPTS)) for point in POINTS]
    for (point, ours), (other, theirs) in zip(found, expected, strict=True):
        assert point == other
        for own, plain in zip(ours, theirs, strict=True):
            assert own.origin_logprob == pytest.approx(plain.origin_logprob, abs=2e-4)
            assert (own.response, own.finish) == (plain.response, plain.finish)
            assert (own.prompt_tokens, own.new_tokens) == (plain.prompt_tokens, plain.new_tokens)
    assert made[1].checksum() == before
    # The origin, then two points and the origin after each: nothing goes where it is already.
    assert [one.loads for one in stand] == [5]


def test_without_scores_the_weights_go_once_a_point(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts(), scores=False)
    answers = list(engine.answers(POINTS, PROMPTS, LIMIT))
    assert {one.origin_logprob for _, exchanges in answers for one in exchanges} == {None}
    assert stand[0].loads == 4


def test_a_point_that_is_not_wanted_is_left_out(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts())
    answers = engine.answers(POINTS, PROMPTS, LIMIT, wanted=lambda point: point.is_origin)
    assert [point for point, _ in answers] == [Point(), Point()]
    assert stand[0].loads == 1


def test_a_stop_that_the_text_does_not_confirm_is_asked_again_whole(stand: list[Stand]) -> None:
    made = parts()
    [(_, whole)] = PlainEngine(*made).answers([Point()], PROMPTS, LIMIT)
    first = whole[0].response[:1]
    rule = StopRule((first,))
    engine = VllmEngine(*made, stop=rule, scores=False)
    [(_, found)] = engine.answers([Point()], PROMPTS, LIMIT)
    decided = [rule.decides(one.response[:2]) for one in whole]
    for ours, theirs in zip(found, whole, strict=True):
        if ours.finish == "verdict":
            assert rule.decides(ours.response)
            assert theirs.response.startswith(ours.response)
        else:
            assert ours.response == theirs.response
    assert "verdict" in {one.finish for one in found}
    assert stand[0].asked == 2 * len(PROMPTS) - sum(decided)


def test_a_rule_that_ignores_case_keeps_answers_whole(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts(), stop=StopRule(("no",), ignore_case=True))
    assert engine.stop is None
    assert "stop" not in engine.spec()
    assert "case" in engine.plan_text()
    [(_, found)] = engine.answers([Point()], PROMPTS, LIMIT)
    assert "verdict" not in {one.finish for one in found}


def test_a_rule_that_leaves_out_thoughts_keeps_answers_whole(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts(), stop=StopRule(("no",), answer_only=True))
    assert engine.stop is None
    assert "leave out a thought" in engine.plan_text()


def test_weights_that_vllm_ignores_are_noticed(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts())
    [(_, _)] = engine.answers([Point()], PROMPTS, LIMIT)
    stand[0].ignored = frozenset({"model.layers.1.mlp.down_proj.weight"})
    with pytest.raises(EngineError, match="something else"):
        list(engine.answers(POINTS, PROMPTS, LIMIT))


def test_longer_rows_start_it_anew_and_closing_ends_it(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts())
    list(engine.answers([Point()], PROMPTS, LIMIT))
    list(engine.answers([Point()], PROMPTS, Sampling(20)))
    assert len(stand) == 1
    list(engine.answers([Point()], PROMPTS, Sampling(300)))
    assert len(stand) == 2
    assert [one.loads for one in stand] == [1, 1]
    engine.close()
    assert all(one.closed for one in stand)


def test_another_device_than_vllms_is_refused(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts(), device="cuda:0")
    with pytest.raises(EngineError, match="works on cpu"):
        list(engine.answers([Point()], PROMPTS, LIMIT))
    assert stand[0].closed


def test_prompts_that_are_too_long_are_refused_before_it_starts(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts())
    with pytest.raises(EngineError, match="the model takes 512"):
        list(engine.answers([Point()], PROMPTS, Sampling(512)))
    assert not stand


def test_the_plan_says_how_it_answers(stand: list[Stand]) -> None:
    engine = VllmEngine(*parts())
    plan = estimate(engine, PROMPTS, LIMIT, POINTS, 9)
    assert "vLLM" in plan.way
    assert "twice a point" in plan.way
    assert plan.batch_size == len(PROMPTS)
    assert 0 < plan.seconds[0] <= plan.seconds[1]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_arrive_bit_for_bit_and_a_tied_one_once(tied: bool, dtype: torch.dtype) -> None:
    model = pico.model(tied=tied, dtype=dtype)
    arrived: dict[str, Tensor] = {}

    class Runner:
        def reload_weights(self, weights_iterator: Iterator[tuple[str, Tensor]]) -> None:
            arrived.update(weights_iterator)

        def get_model(self) -> torch.nn.Module:
            return torch.nn.Module()

    receiver = WeightReceiver()
    receiver.model_runner = Runner()
    with offered(named_tensors(model)) as path:
        assert receiver.receive_weights(path) == len(arrived)
    expected = dict(model.named_parameters())
    assert arrived.keys() == expected.keys()
    for name, tensor in arrived.items():
        assert tensor.dtype == dtype
        assert torch.equal(tensor, expected[name])
    assert not Path(path).exists()


def test_every_worker_of_a_divided_model_receives_all_weights() -> None:
    model = pico.model()
    expected = dict(named_tensors(model))
    with ThreadPoolExecutor(3) as pool, offered(named_tensors(model), 3) as path:
        found = list(pool.map(lambda _: dict(received(path)), range(3)))
    for arrived in found:
        assert arrived.keys() == expected.keys()
        assert all(torch.equal(arrived[name], expected[name]) for name in expected)


def test_where_one_worker_of_several_fails_the_others_are_told() -> None:
    big = [(f"t{i}", torch.zeros(300_000)) for i in range(4)]

    def take(path: str, fails: bool) -> str:
        with closing(received(path)) as tensors:
            next(tensors)
            if fails:
                return "failed"
            try:
                return str(len(list(tensors)))
            except (EOFError, ConnectionError):
                return "told"

    def give() -> None:
        with ThreadPoolExecutor(2) as pool, offered(big, 2) as path:
            raise KeyError(*pool.map(take, [path] * 2, [False, True]))

    with pytest.raises(KeyError) as caught:
        give()
    assert caught.value.args == ("told", "failed")


def test_a_model_is_divided_as_the_settings_say(
    stand: list[Stand], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = parts()
    engine = VllmEngine(*made, tensor_parallel=4)
    [(_, found)] = engine.answers([Point()], PROMPTS, LIMIT)
    [(_, expected)] = PlainEngine(*made).answers([Point()], PROMPTS, LIMIT)
    assert [one.response for one in found] == [one.response for one in expected]
    assert [one.tensor_parallel for one in stand] == [4]
    assert "over 4 GPUs" in engine.plan_text()
    assert engine.spec() == VllmEngine(*made).spec()
    config = ScanConfig(
        engine="vllm", device="cpu", limit=2, tensor_parallel=2, out=str(tmp_path / "run")
    )
    built = prepare(config).engine
    assert isinstance(built, VllmEngine)
    assert built.tensor_parallel == 2


@pytest.mark.parametrize("count", [1, 4])
def test_vllm_itself_is_told_how_many_gpus(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    core = SimpleNamespace(engine_core=SimpleNamespace(shutdown=lambda: None))

    def llm(name: str, **options: Any) -> Any:
        given.update(options)
        return SimpleNamespace(llm_engine=core)

    platforms = SimpleNamespace(current_platform=SimpleNamespace(device_type="cpu"))
    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(__version__="0", LLM=llm))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)  # type: ignore[arg-type]
    for name in ("VLLM_NO_USAGE_STATS", "VLLM_LOGGING_LEVEL", "VLLM_LOGGING_STREAM"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    Session(pico.model(), 64, 2, trust_remote_code=False, tensor_parallel=count).close()
    divided = {
        name: given.get(name) for name in ("tensor_parallel_size", "distributed_executor_backend")
    }
    expected = (None, None) if count == 1 else (4, "mp")
    assert tuple(divided.values()) == expected


def test_an_engine_that_keeps_a_model_on_one_gpu_divides_none() -> None:
    with pytest.raises(UsageError, match="engine plain keeps a model on one GPU") as caught:
        ScanConfig(engine="plain", tensor_parallel=2)
    assert "--engine fast or vllm" in caught.value.hint
    with pytest.raises(UsageError, match="over 0 GPUs"):
        ScanConfig(engine="vllm", tensor_parallel=0)


def test_whoever_fails_neither_side_waits_for_the_other() -> None:
    big = [(f"t{i}", torch.zeros(300_000)) for i in range(4)]

    class Broken:
        def reload_weights(self, weights_iterator: Iterator[tuple[str, Tensor]]) -> None:
            next(weights_iterator)
            raise ValueError("made up")

    receiver = WeightReceiver()
    receiver.model_runner = Broken()
    with pytest.raises(ValueError, match="made up"), offered(big) as path:
        receiver.receive_weights(path)
    with pytest.raises(KeyError, match="nobody came"), offered(big):
        raise KeyError("nobody came")

    def failing() -> Iterator[tuple[str, Tensor]]:
        yield big[0]
        raise DirectionError("made up", "")

    with pytest.raises(DirectionError, match="made up"), offered(failing()) as path:
        list(received(path))


def packaged() -> tuple[Any, Weights, dict[str, Gaussian], Template, list[Prompt]]:
    from safebasin.checkpoint import Checkpoint

    model, tokenizer = Checkpoint.parse("testbed:aligned").load("float32", "cpu")
    weights = Weights(model)
    prompts = list(load("testbed:harmful").sample(24, 0))
    directions = {"d": Gaussian(0, weights, name="d")}
    return model, weights, directions, Template.of(tokenizer), prompts


def texts(answers: Answers) -> list[list[tuple[str, str, int, int]]]:
    return [
        [(one.response, one.finish, one.prompt_tokens, one.new_tokens) for one in exchanges]
        for _, exchanges in answers
    ]


# vLLM leaves a context of its message queue for the garbage collector to find.
LEAK = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@LEAK
@pytest.mark.vllm
def test_the_packaged_model_has_the_plain_answers_by_vllm() -> None:
    model, weights, directions, template, prompts = packaged()
    before = weights.checksum()
    points = [Point(), *(Point.of({"d": value}) for value in (0.1, -0.3, 0.5)), Point()]
    sampling = Sampling(48)
    expected = list(
        PlainEngine(model, weights, directions, template).answers(points, prompts, sampling)
    )
    engine = VllmEngine(model, weights, directions, template)
    found = list(engine.answers(points, prompts, sampling))
    assert texts(found) == texts(expected)
    assert texts(found)[0] == texts(found)[-1]  # the origin again, after the points
    assert texts(found)[0] != texts(found)[2]
    for (_, ours), (_, theirs) in zip(found, expected, strict=True):
        for own, plain in zip(ours, theirs, strict=True):
            assert own.origin_logprob == pytest.approx(plain.origin_logprob, abs=1e-3)
    # The same vLLM with the verdict stop: every verdict stays, and answers get shorter.
    rule = StopRule(LLM_LANDSCAPE)
    engine.stop, engine.scores = rule, False
    early = list(engine.answers(points, prompts, sampling))
    assert_decided_sooner(early, expected, rule)
    engine.close()
    assert weights.checksum() == before


@LEAK
@pytest.mark.vllm
def test_a_scan_by_vllm_draws_the_map_of_the_plain_engine(tmp_path: Path) -> None:
    verdicts = []
    for name in ("plain", "vllm"):
        prepared = prepare(
            ScanConfig(
                steps=4,
                seeds=(0,),
                limit=12,
                max_new_tokens=32,
                judges=("llm-landscape",),
                engine=name,
                device="cpu",
                out=str(tmp_path / name),
            )
        )
        assert prepared.workers() == 1 or name == "plain"
        result = scan(prepared)
        assert result.complete
        run, [judge] = RunFolder.read(result.folder), prepared.judges
        verdicts.append(
            {
                (point.key, prompt): verdict.outcome
                for point in prepared.points
                for prompt, verdict in run.read_verdicts(judge.name, judge.spec(), point).items()
            }
        )
    assert len(verdicts[0]) == 5 * 12
    assert verdicts[0] == verdicts[1]
    # Its processes are lost: one sentence, and it starts again when it is asked again.
    assert isinstance(prepared.engine, VllmEngine)
    engine, first = prepared.engine, list(prepared.prompts)[:1]
    for process in psutil.Process().children(recursive=True):
        if "resource_tracker" not in " ".join(process.cmdline()):
            process.kill()
    with pytest.raises(EngineError, match="vLLM"):
        list(engine.answers([Point()], first, Sampling(4)))
    [(_, [again])] = engine.answers([Point()], first, Sampling(4))
    assert again.new_tokens == 4
    engine.close()


@LEAK
@pytest.mark.vllm
def test_a_tied_model_with_a_sliding_window_has_the_plain_answers_by_vllm(tmp_path: Path) -> None:
    # vLLM's kernels want larger heads than those of the other tests.
    folder = pico.save(tmp_path / "model", "gemma3", True, 3, hidden_size=128, head_dim=32)
    model, tokenizer = pico.load(folder)
    weights = Weights(model)
    directions = {name: Gaussian(i, weights, name=name) for i, name in enumerate("ab")}
    made = (model, weights, directions, Template.of(tokenizer))
    engine = VllmEngine(*made)
    found = list(engine.answers(POINTS, PROMPTS, LIMIT))
    engine.close()
    assert texts(found) == texts(list(PlainEngine(*made).answers(POINTS, PROMPTS, LIMIT)))


@LEAK
@pytest.mark.vllm
def test_a_model_that_vllm_does_not_run_is_one_sentence(tmp_path: Path) -> None:
    folder = pico.save(tmp_path / "model")
    model, tokenizer = pico.load(folder)
    config = folder / "config.json"
    config.write_text(config.read_text().replace("LlamaForCausalLM", "NoSuchForCausalLM"))
    engine = VllmEngine(model, Weights(model), {}, Template.of(tokenizer))
    with pytest.raises(EngineError, match="vLLM cannot run this model"):
        list(engine.answers([Point()], PROMPTS, LIMIT))


@pytest.mark.parametrize("place", [0, 3])
def test_logits_that_are_no_numbers_at_the_origin_are_an_error(
    stand: list[Stand], place: int
) -> None:
    """Wherever they show: in the row that is compared, or in what an answer is scored by."""
    made = parts()
    prompts = PROMPTS[:1] if place == 0 else [Prompt("short", "H"), PROMPTS[1]]
    if place == 0:
        made[0].lm_head.weight.data[0] = float("nan")
    engine = VllmEngine(*made)
    if place:
        list(engine.answers([Point()], prompts, LIMIT))
        stand[0].score = lambda rows, adapters=(): [[float("nan")] * len(row) for row in rows]  # type: ignore[method-assign]
    with pytest.raises(EngineError, match=r"no numbers.*, before anything is displaced"):
        list(engine.answers([Point()], prompts, LIMIT))
