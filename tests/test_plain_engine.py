"""The plain engine against transformers used by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from safebasin.directions import Gaussian
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import EngineError
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights
from support import pico

PROMPTS = [Prompt(f"p{i}", text) for i, text in enumerate(["Hi", "What is a basin?", "a b", "xyz"])]
FAMILIES = ["llama", "qwen2", "gemma", "mistral", "phi", "gpt2"]


def engine_for(model: Any, batch_size: int | None = None) -> PlainEngine:
    weights = Weights(model)
    direction = Gaussian(0, weights)
    template = Template.of(pico.tokenizer())
    return PlainEngine(model, weights, {"gaussian-0": direction}, template, batch_size)


def greedy(model: Any, ids: list[int], limit: int) -> list[int]:
    """One token after the other, the whole sequence read anew each time: no cache, no batch."""
    out: list[int] = []
    with torch.inference_mode():
        while len(out) < limit and (not out or out[-1] != pico.EOS):
            out.append(int(model(torch.tensor([ids + out])).logits[0, -1].argmax()))
    return out


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_equal_greedy_decoding_by_hand(family: str) -> None:
    model = pico.model(family)
    engine = engine_for(model)
    [(point, exchanges)] = engine.answers([Point()], PROMPTS, Sampling(8))
    assert point == Point()
    for prompt, exchange in zip(PROMPTS, exchanges, strict=True):
        ids = engine.template.encode(prompt)
        tokens = greedy(model, ids, 8)
        assert exchange.prompt_id == prompt.id
        assert exchange.new_tokens == len(tokens)
        assert exchange.prompt_tokens == len(ids)
        assert exchange.response == engine.template.tokenizer.decode(
            tokens, skip_special_tokens=True
        )
        assert exchange.finish == ("eos" if tokens[-1] == pico.EOS else "length")


@pytest.mark.parametrize("family", FAMILIES)
def test_the_batch_size_does_not_change_answers(family: str) -> None:
    model = pico.model(family)
    points = [Point(), Point.of({"gaussian-0": 0.3})]
    one = list(engine_for(model, 1).answers(points, PROMPTS, Sampling(6)))
    four = list(engine_for(model, 4).answers(points, PROMPTS, Sampling(6)))
    assert [[e.response for e in es] for _, es in one] == [
        [e.response for e in es] for _, es in four
    ]


def test_the_model_is_back_after_a_scan_and_after_an_exception() -> None:
    model = pico.model()
    engine = engine_for(model)
    before = engine.weights.checksum()
    list(engine.answers([Point.of({"gaussian-0": 0.4})], PROMPTS, Sampling(4)))
    assert engine.weights.checksum() == before

    def fail(point: Point, exchanges: object) -> None:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        list(engine.answers([Point.of({"gaussian-0": 0.4})], PROMPTS, Sampling(4), fail))
    assert engine.weights.checksum() == before


def test_the_origin_logprob_is_that_of_the_pristine_model() -> None:
    model = pico.model()
    engine = engine_for(model)
    [(_, exchanges)] = engine.answers([Point.of({"gaussian-0": 0.4})], PROMPTS, Sampling(6))
    with engine.weights.displaced([(0.4, engine.directions["gaussian-0"])]):
        answers = [greedy(model, engine.template.encode(p), 6) for p in PROMPTS]
    for prompt, tokens, exchange in zip(PROMPTS, answers, exchanges, strict=True):
        ids = engine.template.encode(prompt)
        with torch.inference_mode():
            logits = model(torch.tensor([ids + tokens])).logits[0, len(ids) - 1 : -1]
        logprobs = logits.log_softmax(-1)[range(len(tokens)), tokens]
        assert exchange.origin_logprob == pytest.approx(float(logprobs.mean()), abs=2e-4)
        assert exchange.origin_logprobs == pytest.approx(logprobs.tolist(), abs=6e-3)


def test_the_models_own_sampling_settings_do_not_leak_in() -> None:
    model = pico.model()
    expected = list(engine_for(model).answers([Point()], PROMPTS, Sampling(8)))
    model = pico.model()
    model.generation_config.do_sample = True
    model.generation_config.temperature = 5.0
    model.generation_config.repetition_penalty = 3.0
    assert list(engine_for(model).answers([Point()], PROMPTS, Sampling(8))) == expected


def test_the_models_own_limit_is_known() -> None:
    model = pico.model()
    model.generation_config.max_new_tokens = 17
    assert engine_for(model).own_limit == 17


def test_a_prompt_beyond_the_models_positions_is_refused() -> None:
    with pytest.raises(EngineError, match=r"'p1'.*512"):
        list(engine_for(pico.model()).answers([Point()], PROMPTS, Sampling(500)))


def test_memory_that_runs_out_halves_the_batch_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pico.model()
    engine = engine_for(model, 4)
    expected = list(engine_for(model, 2).answers([Point()], PROMPTS, Sampling(4)))
    generate = model.generate

    def scarce(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**inputs)

    monkeypatch.setattr(model, "generate", scarce)
    assert list(engine.answers([Point()], PROMPTS, Sampling(4))) == expected
    assert engine.halved
    assert engine.batch_size == 2


def test_memory_that_runs_out_twice_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pico.model()

    def none_left(**inputs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "generate", none_left)
    with pytest.raises(EngineError, match="Memory ran out") as caught:
        list(engine_for(model, 4).answers([Point()], PROMPTS, Sampling(4)))
    assert "--batch" in caught.value.hint


def test_other_errors_are_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pico.model()

    def broken(**inputs: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(model, "generate", broken)
    with pytest.raises(EngineError, match="fails at a prompt: RuntimeError: shape mismatch"):
        list(engine_for(model).answers([Point()], PROMPTS, Sampling(4)))


def test_a_saved_pico_model_answers_like_the_one_in_memory(tmp_path: Path) -> None:
    pico.save(tmp_path)
    model, _ = pico.load(tmp_path)
    first = list(engine_for(model).answers([Point()], PROMPTS, Sampling(4)))
    assert first == list(engine_for(pico.model()).answers([Point()], PROMPTS, Sampling(4)))
