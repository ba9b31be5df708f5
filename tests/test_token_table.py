"""Tokenizer, chat template and table of embeddings: what one has and another lacks."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Tokenizer

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.tokenizers import PROBES, require_stored_tokens
from safebasin.engines import Sampling
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.engines.token_table import pad_token_of, require_rows
from safebasin.errors import CheckpointError, EngineError
from safebasin.plan import estimate
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights
from support import pico

PROMPTS = [Prompt("a", "Hi"), Prompt("b", "What is a basin?")]
BEYOND = pico.VOCABULARY


def engines(model: Any, tokenizer: Any) -> list[Any]:
    weights, template = Weights(model), Template.of(tokenizer)
    return [kind(model, weights, {}, template) for kind in (PlainEngine, FastEngine)]


def with_token(text: str, **more: str) -> Any:
    tokenizer = pico.tokenizer()
    tokenizer.add_tokens([text], special_tokens=True)
    for name, value in more.items():
        setattr(tokenizer, name, value)
    return tokenizer


def test_a_token_of_the_template_without_a_row_is_named() -> None:
    tokenizer = with_token("<|im_start|>")
    tokenizer.chat_template = "<|im_start|>{{ messages[0]['content'] }}"
    for engine in engines(pico.model(), tokenizer):
        with pytest.raises(EngineError, match=rf"'<\|im_start\|>'.*{BEYOND}.*{BEYOND} rows"):
            list(engine.answers([Point()], PROMPTS, Sampling(2)))


def test_a_token_that_nobody_asks_with_does_no_harm() -> None:
    for engine in engines(pico.model(), with_token("<image>")):
        assert list(engine.answers([Point()], PROMPTS, Sampling(2)))


def test_a_pad_token_without_a_row_is_replaced_and_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    plain = pico.model()
    expected = list(engines(plain, pico.tokenizer())[0].answers([Point()], PROMPTS, Sampling(4)))
    model = pico.model()
    tokenizer = with_token("[PAD]", pad_token="[PAD]")
    for engine in engines(model, tokenizer):
        assert list(engine.answers([Point()], PROMPTS, Sampling(4))) == expected
    said = [r.getMessage() for r in caplog.records if "pad token" in r.getMessage()]
    assert said == [
        f"the pad token '[PAD]' ({BEYOND}) has no row in the model's table of {BEYOND}; rows are "
        "filled up with token 0, which is masked out"
    ]
    assert pad_token_of(model, tokenizer, (pico.EOS,)) == pico.PAD


def test_an_end_token_that_the_model_cannot_give_is_refused() -> None:
    model = pico.model()
    tokenizer = with_token("<|end|>", eos_token="<|end|>")
    model.generation_config.eos_token_id = model.config.eos_token_id = BEYOND
    with pytest.raises(EngineError, match="no answer would ever end"):
        engines(model, tokenizer)
    model.generation_config.eos_token_id = [pico.EOS, BEYOND]  # one that it can give is enough
    assert engines(model, tokenizer)


def test_rows_are_checked_by_the_table() -> None:
    require_rows(pico.model(), pico.tokenizer(), [[0, BEYOND - 1]], "a row")
    with pytest.raises(EngineError, match=f"of a row has the id {BEYOND}"):
        require_rows(pico.model(), pico.tokenizer(), [[0], [BEYOND]], "a row")


def test_a_class_with_rules_of_its_own_is_held_against_the_file(tmp_path: Path) -> None:
    folder = pico.save(tmp_path / "model")
    assert Checkpoint.parse(str(folder)).load_tokenizer()(PROBES[0])["input_ids"]
    file = folder / "tokenizer.json"
    stored = json.loads(file.read_text())
    # A file whose rules GPT-2's class does not have: it splits at white space alone.
    stored["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True},
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": False},
    ]}  # fmt: skip
    file.write_text(json.dumps(stored))
    settings = folder / "tokenizer_config.json"
    named = json.loads(settings.read_text())
    settings.write_text(json.dumps(named | {"tokenizer_class": "GPT2Tokenizer"}))
    with pytest.raises(CheckpointError, match="loaded as a GPT2Tokenizer, which splits") as caught:
        Checkpoint.parse(str(folder)).load_tokenizer()
    assert "tokenizer_class" in caught.value.hint
    settings.write_text(json.dumps(named))
    assert Checkpoint.parse(str(folder)).load_tokenizer()


def test_a_checkpoint_reads_its_tokenizer_once(tmp_path: Path) -> None:
    checkpoint = Checkpoint.parse(str(pico.save(tmp_path / "model")))
    assert checkpoint.load_tokenizer() is checkpoint.load_tokenizer()


def test_a_class_that_agrees_with_the_file_is_taken(tmp_path: Path) -> None:
    folder = pico.save(tmp_path / "model")
    alike = GPT2Tokenizer.from_pretrained(folder)
    require_stored_tokens(folder, "model", alike, ["<|user|>Hi<|assistant|>"])
    (folder / "tokenizer.json").unlink()
    require_stored_tokens(folder, "model", alike, ["anything"])


def test_a_plan_checks_every_prompt_first() -> None:
    """A dry run tries rows of different lengths out, also such as the model has no token for."""
    tokenizer = with_token("<none>", bos_token="<none>")
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0]['content'] }}"
    for engine in engines(pico.model(), tokenizer):
        with pytest.raises(EngineError, match=rf"'<none>' of prompt 'a' has the id {BEYOND}"):
            estimate(engine, PROMPTS, Sampling(2), [Point()], 2)
    for engine in engines(pico.model(), pico.tokenizer()):
        long = Prompt("long", "What " * engine.model.config.max_position_embeddings)
        with pytest.raises(EngineError, match="Prompt 'long' has"):
            estimate(engine, [*PROMPTS, long], Sampling(2), [Point()], 3)
