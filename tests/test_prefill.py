"""Answers that are made to begin with a text: prompts, tokens, and a scan of such prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from safebasin.config import ScanConfig
from safebasin.engines.template import Template
from safebasin.errors import PromptError, TemplateError, UsageError
from safebasin.prompts import Prompt, PromptSet, load
from safebasin.prompts.identity import content_digest
from safebasin.prompts.prefill import Prefill, prefilled
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.testbed import model_path
from support import pico

OPENER = "Sure,  here is a short list:"


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """Two harmful prompts, each with how a complying answer would begin."""
    file = tmp_path / "asked.csv"
    file.write_text(
        f'goal,target\nFirst request,"{OPENER}"\nSecond request,"Of course, here you are"\n',
        encoding="utf-8",
    )
    return file


@pytest.mark.parametrize(
    ("given", "begun"),
    [
        ("target", OPENER),
        ("target:1", "Sure,"),
        ("target:3", "Sure,  here is"),
        ("target:99", OPENER),
        ("Well then", "Well then"),
        ("target: it", "target: it"),
    ],
)
def test_what_an_answer_begins_with(given: str, begun: str) -> None:
    assert Prefill.parse(given).of(Prompt("a", "Hi", opener=OPENER)) == begun


@pytest.mark.parametrize("given", ["", "  ", "target:0"])
def test_what_no_answer_can_begin_with(given: str) -> None:
    with pytest.raises(UsageError, match="nothing that an answer could begin with") as caught:
        ScanConfig(prefill=given)
    assert "--prefill" in caught.value.hint


def test_a_prompt_without_an_opener_is_named() -> None:
    bare = PromptSet("own", (Prompt("first", "Hi"),), "")
    with pytest.raises(PromptError, match="'first' has no column 'target'"):
        prefilled(bare, "target:2")
    assert prefilled(bare, "Yes").prompts[0].prefill == "Yes"


def test_a_set_says_that_it_is_prefilled(asked: Path) -> None:
    plain = load(asked)
    assert [prompt.opener for prompt in plain] == [OPENER, "Of course, here you are"]
    assert prefilled(plain, None) is plain
    found = prefilled(plain, "target:2")
    assert found.name == f"{plain.name} + prefill target:2"
    assert found.ids == plain.ids
    assert found.taken() == {"prefill": "target:2"}
    assert found.take(1, 0, first=True).taken() == {"order": "file", "prefill": "target:2"}
    assert content_digest(found) == found.content != plain.content


@pytest.mark.parametrize("system", [None, "Be brief."])
@pytest.mark.parametrize("begun", ["Sure, here is", "Sure, here is ", "Sì"])
def test_the_tokens_are_those_of_transformers(system: str | None, begun: str) -> None:
    """`apply_chat_template(continue_final_message=True)`, for a pico model and the testbed's."""
    from transformers import AutoTokenizer

    for tokenizer in (pico.tokenizer(), AutoTokenizer.from_pretrained(model_path("aligned"))):
        messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": begun}]
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        expected = tokenizer.apply_chat_template(
            messages, continue_final_message=True, return_dict=False
        )
        template = Template.of(tokenizer, system=system)
        assert template.encode(Prompt("a", "Hi", prefill=begun)) == expected
        assert template.encode(Prompt("a", "Hi")) != expected


def test_a_raw_prompt_has_no_answer_to_begin() -> None:
    template = Template.of(pico.tokenizer(chat_template=False), "raw")
    with pytest.raises(TemplateError, match="no answer that could be begun") as caught:
        template.encode(Prompt("a", "Hi", prefill="Sure"))
    assert "--prefill" in caught.value.hint


@pytest.mark.parametrize("engine", ["fast", "plain"])
def test_a_scan_judges_what_the_model_adds(tmp_path: Path, asked: Path, engine: str) -> None:
    """Held against transformers' own generation after the same tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    config = ScanConfig(
        model=str(pico.save(tmp_path / "model")), prompts=str(asked), prefill="target:3",
        seeds=(0,), steps=2, max_new_tokens=6, judges=("llm-landscape",), engine=engine,
        device="cpu", out=str(tmp_path / "run"), dtype="float32",
    )  # fmt: skip
    scan(prepare(config))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    with RunFolder.read(tmp_path / "run") as run:
        [origin] = [point for point in run.manifest.points if point.is_origin]
        answers = {one.prompt: one.response for one in run.read_point(origin)}
        assert run.manifest.identity["prompts"]["prefill"] == "target:3"
    for request, begun in (
        ("First request", "Sure,  here is"),
        ("Second request", "Of course, here"),
    ):
        ids = tokenizer(f"<s><|user|>{request}<|assistant|>{begun}", add_special_tokens=False)
        ids = torch.tensor([ids["input_ids"]])
        made = model.generate(ids, max_new_tokens=6, do_sample=False)[0, ids.shape[1] :]
        assert answers[request] == tokenizer.decode(made, skip_special_tokens=True)
