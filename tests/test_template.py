"""How prompts are put into chat templates, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from safebasin.engines.template import Template
from safebasin.errors import TemplateError
from safebasin.prompts import Prompt
from support import pico

USER_ONLY = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "<|user|>{{ m['content'] }}{% endfor %}<|assistant|>"
)
DEAF = "{{ bos_token }}<|user|>{{ messages[-1]['content'] }}<|assistant|>"


def test_own_template_is_used() -> None:
    template = Template.of(pico.tokenizer(), system="Be brief.")
    assert template.render("Hi") == "<s><|system|>Be brief.<|user|>Hi<|assistant|>"
    assert template.encode(Prompt("a", "Hi"))[0] == pico.BOS


def test_no_template_is_an_error_with_a_remedy() -> None:
    with pytest.raises(TemplateError, match="no chat template") as caught:
        Template.of(pico.tokenizer(chat_template=False))
    assert "--template" in caught.value.hint


def test_raw_sends_the_prompt_bare() -> None:
    template = Template.of(pico.tokenizer(chat_template=False), "raw")
    assert template.render("Hi") == "Hi"
    assert template.spec()["kind"] == "raw"


def test_raw_has_no_place_for_a_system_message() -> None:
    with pytest.raises(TemplateError, match="system message"):
        Template.of(pico.tokenizer(), "raw", "Be brief.")


def test_template_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text("Q: {{ messages[0]['content'] }} A:", encoding="utf-8")
    assert Template.of(pico.tokenizer(chat_template=False), str(file)).render("Hi") == "Q: Hi A:"


@pytest.mark.parametrize(
    ("text", "system", "complaint"),
    [
        (USER_ONLY, "Be brief.", "refuses a system message"),
        (DEAF, "Be brief.", "silently drops the system message"),
        ("{{ bos_token }}hello", None, "leaves out the prompt"),
        ("{% for", None, "template fails"),
        ("{{ raise_exception('never') }}", None, "template fails: never"),
    ],
)
def test_bad_templates(tmp_path: Path, text: str, system: str | None, complaint: str) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(TemplateError, match=complaint) as caught:
        Template.of(pico.tokenizer(), str(file), system)
    assert caught.value.hint


def test_missing_template_file(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="cannot be read"):
        Template.of(pico.tokenizer(), str(tmp_path / "absent.jinja"))


def test_a_doubled_start_token_is_refused() -> None:
    with pytest.raises(TemplateError, match="start token twice"):
        Template.of(pico.tokenizer(), "raw").encode(Prompt("a", "<s><s>Hi"))


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(TemplateError, match="no tokens"):
        Template.of(pico.tokenizer(), "raw").encode(Prompt("a", ""))


def test_the_spec_tells_templates_and_systems_apart() -> None:
    plain = Template.of(pico.tokenizer())
    assert plain.spec() != Template.of(pico.tokenizer(), system="Be brief.").spec()
    assert plain.spec() != Template.of(pico.tokenizer(), "raw").spec()


def test_templates_of_which_none_is_the_default_are_named() -> None:
    from types import SimpleNamespace

    from safebasin.engines.template import own_template

    tokenizer = SimpleNamespace(chat_template={"tool_use": "x", "rag": "y"})
    with pytest.raises(TemplateError, match="are named 'tool_use', 'rag', and none is the default"):
        own_template(tokenizer)
