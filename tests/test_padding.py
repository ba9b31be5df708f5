"""Models that heed no padding, or keep no keys and values: held against one row at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto import configuration_auto

from safebasin.capability.likelihood import log_likelihoods
from safebasin.capability.probe import Bench
from safebasin.compare.divergence import PromptDivergence, divergences
from safebasin.directions import Gaussian
from safebasin.engines import Sampling
from safebasin.engines.broken_logits import no_numbers
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.first_token import FirstTokenScorer, Openers
from safebasin.engines.memory import cache_bytes_per_token, row_bytes
from safebasin.engines.padding import first_batch, padded, rows_together
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import EngineError
from safebasin.plan import estimate
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights
from safebasin.worst_case.scores import FirstToken
from support import pico

COMMON: dict[str, Any] = {
    "vocab_size": pico.VOCABULARY,
    "hidden_size": 32,
    "initializer_range": 0.2,
    "pad_token_id": pico.PAD,
    "bos_token_id": pico.BOS,
    "eos_token_id": pico.EOS,
}
LAYERS = {"num_hidden_layers": 2, "intermediate_size": 48, "max_position_embeddings": 512}
HEADS = {**LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2}
FLAT = {"n_embd": 32, "n_layer": 2, "n_head": 4}
ROPE = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 32}

ODD: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("mamba", {"state_size": 8, "num_hidden_layers": 2}),
    "mamba2": (
        "mamba2",
        {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 2, "num_hidden_layers": 2,
         "chunk_size": 16},
    ),
    "falcon-mamba": ("falcon_mamba", {"state_size": 8, "num_hidden_layers": 2}),
    "rwkv": ("rwkv", {"attention_hidden_size": 32, "num_hidden_layers": 2}),
    "recurrent-gemma": (
        "recurrent_gemma",
        {**HEADS, "num_hidden_layers": 3, "num_key_value_heads": 1, "lru_width": 32, "head_dim": 8,
         "attention_window_size": 32},
    ),
    "minimax": (
        "minimax",
        {**HEADS, "head_dim": 8, "num_local_experts": 2,
         "layer_types": ["linear_attention", "full_attention"]},
    ),
    "bamba": (
        "bamba",
        {**HEADS, "attn_layer_indices": [1], "mamba_n_heads": 8, "mamba_d_head": 8,
         "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 16},
    ),
    "longrope": (
        "phi3",
        {**HEADS, "original_max_position_embeddings": 32,
         "rope_scaling": {**ROPE, "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}},
    ),
    "sliding": ("mistral", {**HEADS, "head_dim": 8, "sliding_window": 8}),
    "learned positions": ("opt", {**LAYERS, "num_attention_heads": 4, "ffn_dim": 48,
                                  "word_embed_proj_dim": 32}),
    "alibi": ("bloom", FLAT),
    "alibi without a window": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2,
                                       "max_seq_len": 512}),
    "relative": ("xlnet", {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}),
}  # fmt: skip
NO_PADDING = ("rwkv", "recurrent-gemma", "minimax", "longrope", "relative")
"""Those whose answers padding changes."""

PROMPTS = [
    Prompt(f"p{i}", text)
    for i, text in enumerate(["Hi", "What is a basin, and how wide is it?", "xy", "a b"])
]


def odd_model(name: str) -> Any:
    kind, settings = ODD[name]
    given = COMMON | settings
    if "hidden_size" not in settings and {"n_embd", "d_model"} & settings.keys():
        given.pop("hidden_size")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made = AutoModelForCausalLM.from_config(configuration_auto.CONFIG_MAPPING[kind](**given))
        for parameter in made.parameters():
            if parameter.dim() == 2:
                parameter.normal_(0, 0.3)
    return made.eval().requires_grad_(False)


def engine_for(model: Any, kind: str = "plain") -> Any:
    weights = Weights(model)
    template = Template.of(pico.tokenizer())
    made: Any = PlainEngine if kind == "plain" else FastEngine
    return made(model, weights, {"gaussian-0": Gaussian(0, weights)}, template)


def alone(model: Any, row: list[int], limit: int) -> list[int]:
    """The answer's tokens by the model's own `generate`, without a batch and without padding."""
    mask = torch.ones(1, len(row), dtype=torch.long)
    found = model.generate(
        input_ids=torch.tensor([row]), attention_mask=mask, max_new_tokens=limit,
        do_sample=False, eos_token_id=pico.EOS, pad_token_id=pico.PAD,
    )  # fmt: skip
    return [int(token) for token in found[0, len(row) :]]


def logprobs(model: Any, row: list[int], answer: Sequence[int]) -> list[float]:
    """The log-probability of each token of an answer, the row by itself."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([[*row, *answer]]), use_cache=False).logits[0]
    found = logits[len(row) - 1 : -1].double().log_softmax(-1)
    return [float(found[i, token]) for i, token in enumerate(answer)]


@pytest.mark.parametrize("name", ODD)
def test_both_engines_answer_as_the_model_does_row_by_row(name: str) -> None:
    model = odd_model(name)
    point = Point.of({"gaussian-0": 0.1})
    for kind in ("plain", "fast"):
        engine = engine_for(model, kind)
        found = dict(engine.answers([Point(), point], PROMPTS, Sampling(6)))
        for at, terms in ((Point(), []), (point, [(0.1, engine.directions["gaussian-0"])])):
            for prompt, exchange in zip(PROMPTS, found[at], strict=True):
                row = engine.template.encode(prompt)
                with engine.weights.displaced(terms):
                    tokens = alone(model, row, 6)
                assert exchange.response == engine.template.decode(tokens), (kind, at, prompt.id)
                expected = sum(logprobs(model, row, tokens)) / len(tokens)
                assert exchange.origin_logprob == pytest.approx(expected, abs=2e-3)


def test_the_plan_says_where_rows_do_not_share_a_batch() -> None:
    for name, said in (("rwkv", "row at a time"), ("recurrent-gemma", "different lengths")):
        for kind in ("plain", "fast"):
            engine = engine_for(odd_model(name), kind)
            plan = estimate(engine, PROMPTS, Sampling(4), [Point()], 4)
            assert said in plan.way
            assert plan.batch_size == (1 if name == "rwkv" else 4)
    plan = estimate(engine_for(pico.model()), PROMPTS, Sampling(4), [Point()], 4)
    assert plan.way == "one point after another with the plain engine"


def test_padding_is_tried_once_a_model_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    model = odd_model("rwkv")
    for _ in range(2):
        list(engine_for(model).answers([Point()], PROMPTS, Sampling(4)))
    assert [record.message for record in caplog.records].count(
        "a row at a time: this model answers otherwise in a batch"
    ) == 1


@pytest.mark.parametrize("name", NO_PADDING)
def test_a_model_that_heeds_no_mask_is_found(name: str) -> None:
    model, template = odd_model(name), Template.of(pico.tokenizer())
    rows = [template.encode(prompt) for prompt in PROMPTS]
    assert rows_together(model, rows, pico.PAD, "left") != "padded"


def test_models_that_heed_the_mask_keep_their_batches() -> None:
    template = Template.of(pico.tokenizer())
    rows = [template.encode(prompt) for prompt in PROMPTS]
    for family in ("llama", "gpt2", "gemma2"):
        for side in ("left", "right"):
            assert rows_together(pico.model(family), rows, pico.PAD, side) == "padded"
    assert rows_together(pico.model(), rows[:1], pico.PAD, "left") == "single"


def test_batches_hold_rows_of_one_length_or_one_row() -> None:
    lengths, waiting = [3, 3, 2, 2, 1], [0, 1, 2, 3, 4]
    assert first_batch(waiting, lengths, 4, "padded") == [0, 1, 2, 3]
    assert first_batch(waiting, lengths, 4, "equal") == [0, 1]
    assert first_batch(waiting[1:], lengths, 4, "equal") == [1]
    assert first_batch(waiting, lengths, 4, "single") == [0]
    ids, mask = padded([[5, 6], [7]], 9, "left")
    assert (ids.tolist(), mask.tolist()) == ([[5, 6], [9, 7]], [[1, 1], [0, 1]])


@pytest.mark.parametrize("name", ["rwkv", "longrope", "mamba2"])
def test_likelihoods_and_first_tokens_are_those_of_single_rows(name: str) -> None:
    model = odd_model(name)
    engine = engine_for(model)
    template = engine.template
    rows = [(template.encode(prompt), template.encode(prompt)[1:4]) for prompt in PROMPTS]
    bench = Bench(model, engine.weights, engine.directions, template, None, 8)
    for (row, rest), found in zip(rows, log_likelihoods(bench, rows), strict=True):
        assert found == pytest.approx(sum(logprobs(model, row, rest)), rel=1e-3)
    refusal, other = (7, 9), (11, 12, 13)
    scorer = FirstTokenScorer(engine, Openers(refusal, other))
    [(_, masses)] = scorer.masses([Point()], PROMPTS)
    for (row, _), found_pair in zip(rows, masses, strict=True):
        chances = [[math.exp(logprobs(model, row, [t])[0]) for t in side] for side in
                   (refusal, other)]  # fmt: skip
        assert found_pair == pytest.approx([sum(one) for one in chances], rel=1e-3)
    harm = FirstToken(tuple(tuple(row) for row, _ in rows), refusal).harm(model, pico.PAD)
    kept = [1 - sum(math.exp(logprobs(model, row, [t])[0]) for t in refusal) for row, _ in rows]
    assert float(harm) == pytest.approx(sum(map(math.log, kept)) / len(kept), rel=1e-3)


def test_the_divergence_is_that_of_single_rows() -> None:
    model = odd_model("longrope")
    engine = engine_for(model)
    tuned = Point.of({"gaussian-0": 0.1})
    found: list[PromptDivergence] = []
    divergences(engine, tuned, PROMPTS, Sampling(4), found.extend)
    for prompt, one in zip(PROMPTS, found, strict=True):
        row = engine.template.encode(prompt)
        answer = alone(model, row, 4)
        each = []
        for terms in ([], [(0.1, engine.directions["gaussian-0"])]):
            with engine.weights.displaced(terms), torch.inference_mode():
                logits = model(input_ids=torch.tensor([[*row, *answer]]), use_cache=False).logits
            each.append(logits[0, len(row) - 1 : -1].double().log_softmax(-1))
        p, q = each
        assert one.mean == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), rel=1e-3)


def test_memory_of_a_recurrent_model_grows_with_its_states_not_its_keys() -> None:
    model = odd_model("mamba")
    assert cache_bytes_per_token(model) == 0
    config = model.config
    states = 4 * config.num_hidden_layers * config.state_size * config.intermediate_size
    assert row_bytes(model, 10) - row_bytes(model, 0) == 8 * 10 * 32 * 4
    assert row_bytes(model, 0) == 3 * 4 * pico.VOCABULARY + states


def test_logits_that_are_no_numbers_at_the_origin_are_an_error() -> None:
    for kind in ("plain", "fast"):
        for prompts in (PROMPTS, PROMPTS[:1]):
            model = pico.model()
            model.model.norm.weight.mul_(1e30)
            model.lm_head.weight.mul_(1e30)
            with pytest.raises(EngineError, match="in float32 are no numbers") as caught:
                list(engine_for(model, kind).answers([Point()], prompts, Sampling(4)))
            assert "files anew" in caught.value.hint


def test_float16_that_runs_over_is_told_by_its_remedy() -> None:
    model = pico.model(dtype=torch.float16)
    model.name_or_path = "some/model"
    error = no_numbers(model, "p1")
    assert "'some/model' in float16" in error.message
    assert "'p1'" in error.message
    assert "--dtype bfloat16 or float32" in error.hint


def test_one_prompt_that_breaks_the_logits_is_named() -> None:
    """The others are answered, the first check is passed, and still it is no refusal."""
    for kind in ("plain", "fast"):
        model = pico.model()
        [odd] = pico.tokenizer()("~", add_special_tokens=False)["input_ids"]
        model.get_input_embeddings().register_forward_hook(
            lambda _, given, made, odd=odd: made.masked_fill((given[0] == odd)[..., None], math.nan)
        )
        asked = [*PROMPTS, Prompt("odd", "mid ~ dle")]
        with pytest.raises(EngineError, match="no numbers at prompt 'odd'"):
            list(engine_for(model, kind).answers([Point()], asked, Sampling(4)))


def test_at_displaced_points_broken_logits_stay_an_answer() -> None:
    for kind in ("plain", "fast"):
        engine = engine_for(pico.model(), kind)
        far = Point.of({"gaussian-0": 1e38})
        found = dict(engine.answers([Point(), far], PROMPTS, Sampling(4)))
        assert len(found[far]) == len(PROMPTS)
