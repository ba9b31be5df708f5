"""Points along an adapter as LoRA requests of vLLM: with vLLM itself, and what needs none of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.checkpoint import Checkpoint
from safebasin.compare.comparison import Comparison
from safebasin.compare.preparation import prepare as prepare_compare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare
from safebasin.config import ScanConfig
from safebasin.directions import Adapter, Gaussian
from safebasin.directions.lora import read_lora
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.vllm import lora_requests
from safebasin.engines.vllm.engine import LOG, MOST_POINTS, VllmEngine
from safebasin.engines.vllm.lora_requests import AdapterLine, adapter_line
from safebasin.engines.vllm.session import RANKS, Generated, Session, Slots
from safebasin.errors import DirectionError
from safebasin.exchange import Exchange
from safebasin.judges.keywords import LLM_LANDSCAPE
from safebasin.plan import estimate
from safebasin.plane import Point
from safebasin.prompts import Prompt, load
from safebasin.stopping import StopRule
from safebasin.weights import Weights
from safebasin.weights.sums import fp32
from support import pico
from support.vllm_stand import Stand, assert_decided_sooner, stand_in

PROMPTS = [Prompt(f"p{i}", text) for i, text in enumerate(["Hi", "What is a basin?", "What"])]
LIMIT = Sampling(8)
PATH = [Point(), *(Point.of({"tuned": value}) for value in (0.25, 0.5, 1.0, 1.5)), Point()]
PATTERNS = {"rank_pattern": {"v_proj": 3}, "alpha_pattern": {"layers.1.mlp.down_proj": 5}}

# vLLM leaves a context of its message queue for the garbage collector to find.
LEAK = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

Made = tuple[Any, Weights, dict[str, Any], Template]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> list[Stand]:
    """The stand-ins that engines start, in place of vLLM."""
    return stand_in(monkeypatch)


def tuned(
    tmp_path: Path, family: str = "llama", *, tied: bool = False, head: int = 8, **settings: Any
) -> Made:
    """A pico model, and an adapter over it as the direction `tuned`."""
    wide = {} if head == 8 else {"hidden_size": 4 * head}
    base = pico.save(tmp_path / "base", family, tied, **wide)
    folder = pico.adapter(base, tmp_path / "adapter", **settings)
    model, tokenizer = pico.load(base)
    weights = Weights(model, exclude_norms=False)
    direction = Adapter(folder, weights, name="tuned")
    return model, weights, {"tuned": direction}, Template.of(tokenizer)


def same(
    found: Sequence[tuple[Point, list[Exchange]]], expected: Sequence[tuple[Point, list[Exchange]]]
) -> None:
    """Require the same texts, lengths and ends, and scores but for rounding."""
    for (point, ours), (other, theirs) in zip(found, expected, strict=True):
        assert point == other
        for own, plain in zip(ours, theirs, strict=True):
            assert (own.response, own.finish) == (plain.response, plain.finish)
            assert (own.prompt_tokens, own.new_tokens) == (plain.prompt_tokens, plain.new_tokens)
            assert own.origin_logprob == pytest.approx(plain.origin_logprob, abs=1e-3)


# --- which adapters ------------------------------------------------------------------------------


def test_an_adapter_of_linear_layers_is_covered(tmp_path: Path) -> None:
    model, weights, directions, _ = tuned(
        tmp_path, targets=("q_proj", "v_proj", "down_proj"), **PATTERNS
    )
    line, reason = adapter_line(model, weights, directions)
    assert line is not None
    assert reason == ""
    assert line.modules == ("down_proj", "q_proj", "v_proj")
    assert line.rank == 3
    assert len(line.parameters) == 6


@pytest.mark.parametrize(
    ("family", "settings", "reason"),
    [
        ("llama", {"targets": ("embed_tokens", "q_proj")}, "'model.embed_tokens.weight', no lin"),
        ("llama", {"targets": ("lm_head",)}, "'lm_head.weight', no linear layer of a block"),
        ("llama", {"saved_whole": ("lm_head",)}, "replaces 'lm_head.weight' whole"),
        ("qwen2", {"bias": "lora_only"}, "replaces 'model.layers.0.self_attn.q_proj.bias' whole"),
        ("gpt2", {"targets": ("c_attn",), "fan_in_fan_out": True}, "attn.weight', no linear"),
    ],
    ids=["embedding", "head", "whole", "bias", "transposed"],
)
def test_why_an_adapter_is_not_covered(
    tmp_path: Path, family: str, settings: dict[str, Any], reason: str
) -> None:
    model, weights, directions, _ = tuned(tmp_path, family, **settings)
    for kind, change in (("bias", 0.1), ("lm_head.weight", 0.1)):  # PEFT saves them as they were
        file = tmp_path / "adapter" / "adapter_model.safetensors"
        stored = load_file(file)
        moved = {
            name: tensor + change if name.endswith(kind) and "lora" not in name else tensor
            for name, tensor in stored.items()
        }
        save_file(moved, file, {"format": "pt"})
    directions = {"tuned": Adapter(tmp_path / "adapter", weights, name="tuned")}
    line, found = adapter_line(model, weights, directions)
    assert line is None
    assert reason in found


def test_why_other_points_are_not_covered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, weights, directions, _ = tuned(tmp_path)
    other = Gaussian(0, weights, name="g")
    assert "'g' is no LoRA adapter" in adapter_line(model, weights, {"g": other})[1]
    assert "several directions" in adapter_line(model, weights, {**directions, "g": other})[1]
    assert "no direction" in adapter_line(model, weights, {})[1]
    reference = Weights(model, tied="reference", exclude_norms=False)
    assert "tied" in adapter_line(model, reference, directions)[1]
    norms = Adapter(tmp_path / "adapter", Weights(model, include=("*mlp*",)), name="tuned")
    assert "changes none" in adapter_line(model, norms.weights, {"tuned": norms})[1]
    with monkeypatch.context() as patch:
        patch.setattr(lora_requests, "LARGEST_RANK", 1)
        assert "rank 2" in adapter_line(model, weights, directions)[1]
    with monkeypatch.context() as patch:
        patch.setattr(torch.cuda, "is_available", lambda: True)
        assert "float32" in adapter_line(model, weights, directions)[1]
    model.config.num_experts = 4
    assert "experts" in adapter_line(model, weights, directions)[1]


def test_there_is_room_for_every_rank_that_is_covered() -> None:
    assert max(RANKS) == lora_requests.LARGEST_RANK
    asked = [Slots(8, rank, ("q_proj",)).options()["max_lora_rank"] for rank in (1, 2, 8, 9, 512)]
    assert asked == [1, 8, 8, 16, 512]


@pytest.mark.parametrize(
    "settings", [{}, {"use_rslora": True}, PATTERNS], ids=["plain", "rs", "patterns"]
)
def test_the_folder_of_a_point_is_the_scaled_adapter(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    made = tuned(tmp_path, targets=("q_proj", "v_proj", "down_proj"), **settings)
    model, weights, directions, _ = made
    adapter = directions["tuned"]
    line = AdapterLine.of(model, weights, adapter)
    folder = line.write(tmp_path / "point", 0.3)
    found = read_lora(folder)
    assert found.factors.keys() == {parameter.name for parameter in line.parameters}
    assert not found.whole
    again = Adapter(folder, weights)
    for parameter in line.parameters:
        up, down = adapter.factors(parameter)
        read = found.factors[parameter.name]
        assert read.scaling == 1
        assert torch.equal(read.down, down)
        assert torch.equal(read.up, up * fp32(0.3))
        torch.testing.assert_close(
            again.tensor(parameter), 0.3 * adapter.tensor(parameter), rtol=1e-5, atol=1e-7
        )


def test_factors_that_vllm_cannot_hold_are_one_sentence(tmp_path: Path) -> None:
    model, weights, directions, _ = tuned(tmp_path)
    model.config.dtype = torch.float16
    line = AdapterLine.of(model.half(), weights, directions["tuned"])
    with pytest.raises(DirectionError, match="too large for"):
        line.write(tmp_path / "point", 1e6)


# --- how it answers ------------------------------------------------------------------------------


def test_points_along_an_adapter_share_a_batch_and_no_weights_move(
    tmp_path: Path, stand: list[Stand]
) -> None:
    made = tuned(tmp_path)
    before = made[1].checksum()
    expected = list(PlainEngine(*made).answers(PATH, PROMPTS, LIMIT))
    engine = VllmEngine(*made)
    heard: list[tuple[Point, list[str]]] = []
    found = list(
        engine.answers(
            PATH,
            PROMPTS,
            LIMIT,
            lambda point, new: heard.append((point, [one.response for one in new])),
        )
    )
    same(found, expected)
    assert heard == [(point, [one.response for one in new]) for point, new in expected]
    [session] = stand
    assert session.loads == 1
    # The first adapter is that of the comparison; then the origin, all points, the origin again.
    assert session.batches == [[], [i for i in (2, 3, 4, 5) for _ in PROMPTS], []]
    assert session.slots == Slots(MOST_POINTS, 2, ("q_proj", "v_proj"))
    assert session.rows == MOST_POINTS * len(PROMPTS)
    assert not any(folder.exists() for folder in session.folders)
    assert made[1].checksum() == before


def test_a_batch_holds_no_more_points_than_vllm_has_slots(
    tmp_path: Path, stand: list[Stand]
) -> None:
    made = tuned(tmp_path)
    points = [Point.of({"tuned": 0.1 * i}) for i in range(1, MOST_POINTS + 4)]
    unwanted = {points[1], points[-1]}
    engine = VllmEngine(*made, scores=False)
    found = list(engine.answers(points, PROMPTS, LIMIT, wanted=lambda point: point not in unwanted))
    assert [point for point, _ in found] == [p for p in points if p not in unwanted]
    assert [len(set(batch)) for batch in stand[0].batches] == [MOST_POINTS - 1, 2]
    assert {one.origin_logprob for _, exchanges in found for one in exchanges} == {None}


def test_a_refuted_stop_is_asked_again_under_its_own_adapter(
    tmp_path: Path, stand: list[Stand]
) -> None:
    made = tuned(tmp_path)
    whole = list(PlainEngine(*made).answers(PATH, PROMPTS, LIMIT))
    rule = StopRule((whole[1][1][0].response[:1],))
    found = list(VllmEngine(*made, stop=rule, scores=False).answers(PATH, PROMPTS, LIMIT))
    ends = [one.finish for _, exchanges in found for one in exchanges]
    assert 0 < ends.count("verdict") < len(ends)
    for (_, ours), (_, theirs) in zip(found, whole, strict=True):
        for own, plain in zip(ours, theirs, strict=True):
            if own.finish == "verdict":
                assert rule.decides(own.response)
                assert plain.response.startswith(own.response)
            else:
                assert own.response == plain.response


@pytest.mark.parametrize("fault", ["refuses_slots", "refuses_adapters", "ignores_adapters"])
def test_where_vllm_does_not_take_the_adapter_weights_are_streamed(
    tmp_path: Path,
    stand: list[Stand],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    monkeypatch.setattr(Stand, fault, True)
    told: list[str] = []
    monkeypatch.setattr(LOG, "warning", lambda text, *given: told.append(text % given))
    made = tuned(tmp_path)
    engine = VllmEngine(*made)
    found = list(engine.answers(PATH, PROMPTS, LIMIT))
    same(found, list(PlainEngine(*made).answers(PATH, PROMPTS, LIMIT)))
    assert stand[-1].slots is None
    assert stand[-1].loads == 9  # the origin, then each point and the origin after it
    assert all(one.closed for one in stand[:-1])
    reason = {
        "refuses_slots": "no LoRA",
        "refuses_adapters": "it is not",
        "ignores_adapters": "something else with these weights",
    }[fault]
    assert reason in engine.plan_text().splitlines()[1]
    assert [reason in text for text in told] == [True]
    assert "weights are streamed into it" in engine.plan_text()


def test_longer_rows_start_it_anew_and_the_adapter_is_compared_again(
    tmp_path: Path, stand: list[Stand]
) -> None:
    engine = VllmEngine(*tuned(tmp_path), scores=False)
    list(engine.answers(PATH, PROMPTS, LIMIT))
    list(engine.answers(PATH, PROMPTS, LIMIT))
    list(engine.answers(PATH, PROMPTS, Sampling(300)))
    assert [len(one.adapters) for one in stand] == [9, 5]
    assert [one.loads for one in stand] == [1, 1]


def test_the_plan_says_that_points_are_requests(tmp_path: Path, stand: list[Stand]) -> None:
    engine = VllmEngine(*tuned(tmp_path))
    plan = estimate(engine, PROMPTS, LIMIT, PATH, 9)
    assert f"{MOST_POINTS} points at a time" in plan.way
    assert "each is a LoRA request" in plan.way
    assert "'tuned'" in plan.way
    assert "twice a point" not in plan.way
    assert plan.batch_size == MOST_POINTS * len(PROMPTS)


def compared(tmp_path: Path, **changes: Any) -> CompareConfig:
    """A comparison of a pico model with an adapter over it, by vLLM."""
    base = pico.save(tmp_path / "base")
    adapter = pico.adapter(base, tmp_path / "adapter")
    (tmp_path / "prompts.txt").write_text("one\ntwo two\nthree\n", encoding="utf-8")
    scan = ScanConfig(
        model=str(base), prompts=str(tmp_path / "prompts.txt"), max_new_tokens=4, steps=2,
        prompts_kind="harmful",
        seeds=(0,), engine="vllm", judges=("llm-landscape",), out=str(tmp_path / "out"),
    )  # fmt: skip
    return CompareConfig(str(adapter), scan, steps=4, refine=0, **changes)


def test_a_comparison_asks_by_requests_and_says_so(
    tmp_path: Path, stand: list[Stand], command: Callable[..., tuple[int, str, str]]
) -> None:
    config = compared(tmp_path)
    code, _, err = command(
        "compare", config.scan.model, config.tuned, "--engine", "vllm", "--steps", 4, "--refine", 0,
        "--prompts", config.scan.prompts, "--prompts-kind", "harmful", "--max-new-tokens", 4,
        "--judge", "llm-landscape", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code in (0, 3, 5), err
    assert "each is a LoRA request" in err
    assert [one.loads for one in stand] == [1]


def test_the_tuned_models_own_landscape_has_vllms_memory_to_itself(
    tmp_path: Path, stand: list[Stand]
) -> None:
    found = compare(prepare_compare(compared(tmp_path, landscape=True)))
    assert found.landscape is not None
    assert found.landscape.complete
    assert [one.slots is None for one in stand] == [False, True]
    assert stand[0].closed


def test_a_comparison_leaves_the_device_to_vllm(
    tmp_path: Path, stand: list[Stand], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    opened = Checkpoint.load

    def load_noted(self: Checkpoint, *given: Any, **more: Any) -> tuple[Any, Any]:
        asked.append(more["keep_on_host"])
        return opened(self, *given, **more)

    monkeypatch.setattr(Checkpoint, "load", load_noted)
    prepare_compare(compared(tmp_path))
    assert asked == [True]


# --- with vLLM itself -----------------------------------------------------------------------------


class Counted:
    """How often a running vLLM was given weights, and the adapters of each batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loads = 0
        self.batches: list[int] = []
        load, generate = Session.load, Session.generate

        def counted_load(session: Session, tensors: Any) -> None:
            self.loads += 1
            load(session, tensors)

        def counted_generate(
            session: Session,
            prompts: Any,
            limit: int,
            ends: Any,
            stop: Sequence[str] = (),
            adapters: Sequence[int] = (),
        ) -> list[Generated]:
            self.batches.append(len(set(adapters)))
            return generate(session, prompts, limit, ends, stop, adapters)

        monkeypatch.setattr(Session, "load", counted_load)
        monkeypatch.setattr(Session, "generate", counted_generate)


@LEAK
@pytest.mark.vllm
def test_a_path_of_the_packaged_model_is_that_of_the_plain_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = Checkpoint.parse("testbed:harmful-50").folders[1]
    assert folder is not None
    model, tokenizer = Checkpoint.parse("testbed:aligned").load("float32", "cpu")
    weights = Weights(model, exclude_norms=False)
    before = weights.checksum()
    prompts = list(load("testbed:harmful").sample(24, 0))
    made = (
        model,
        weights,
        {"tuned": Adapter(folder, weights, name="tuned")},
        Template.of(tokenizer),
    )
    expected = list(PlainEngine(*made).answers(PATH, prompts, Sampling(48)))
    counted = Counted(monkeypatch)
    engine = VllmEngine(*made)
    found = list(engine.answers(PATH, prompts, Sampling(48)))
    same(found, expected)
    assert found[0][1] == found[-1][1]
    assert len({exchanges[0].response for _, exchanges in found}) > 1
    # The same vLLM with the verdict stop: every verdict stays, and answers get shorter.
    rule = StopRule(LLM_LANDSCAPE)
    engine.stop, engine.scores = rule, False
    early = list(engine.answers(PATH, prompts, Sampling(48)))
    assert counted.loads == 1
    assert counted.batches == [0, 4, 0] * 2
    assert "LoRA request" in engine.plan_text()
    assert_decided_sooner(early, expected, rule)
    engine.close()
    assert weights.checksum() == before


@LEAK
@pytest.mark.vllm
def test_some_layers_with_ranks_and_scalings_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More points than slots, tied embeddings, biases, and a part of the layers that vLLM fuses.
    made = tuned(
        tmp_path, "qwen2", tied=True, head=32, targets=("q_proj", "v_proj", "down_proj"),
        use_rslora=True, **PATTERNS,
    )  # fmt: skip
    points = [Point.of({"tuned": 0.1 * i}) for i in (*range(-3, 8), 15)]
    counted = Counted(monkeypatch)
    engine = VllmEngine(*made)
    found = list(engine.answers(points, PROMPTS, LIMIT))
    engine.close()
    assert engine.line is not None, engine.streamed
    same(found, list(PlainEngine(*made).answers(points, PROMPTS, LIMIT)))
    assert counted.loads == 1
    assert counted.batches == [3, 0, 8]


@LEAK
@pytest.mark.vllm
def test_a_comparison_by_vllm_is_that_of_the_plain_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Comparison] = {}
    counted = Counted(monkeypatch)
    for name in ("plain", "vllm"):
        scan = ScanConfig(
            model="testbed:aligned",
            engine=name,
            limit=8,
            max_new_tokens=48,
            device="cpu",
            out=str(tmp_path / name),
        )
        prepared = prepare_compare(CompareConfig("testbed:harmful-50", scan, steps=6, refine=2))
        found[name] = compare(prepared)
    assert isinstance(prepared.engine, VllmEngine)
    assert prepared.engine.line is not None, prepared.engine.streamed
    prepared.engine.close()
    assert counted.loads == 1
    plain, ours = (found[name].to_json() for name in ("plain", "vllm"))
    assert ours == plain
    assert ours["verdict"] == "FAIL"
