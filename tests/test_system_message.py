"""What --system asks for, and under which system message a prompt really was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safebasin.engines.template import Template
from safebasin.errors import TemplateError, UsageError
from safebasin.prompts import Prompt, PromptSet
from safebasin.report.asked_under import asked_under, told
from safebasin.report.card import card
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest
from safebasin.setting import parse_limit
from safebasin.system_message import system_message
from support import judged_runs, pico

# As SmolLM2's: it puts in its own message where the first one is not the system's.
OWN = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
    "<|system|>You are a model.{% endif %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
    "<|assistant|>"
)
# As some others': an empty message is none to them.
STUBBORN = (
    "{% if messages[0]['role'] == 'system' and messages[0]['content'] %}"
    "{% set s = messages[0]['content'] %}{% else %}{% set s = 'You are a model.' %}{% endif %}"
    "<|system|>{{ s }}<|user|>{{ messages[-1]['content'] }}<|assistant|>"
)
USER_ONLY = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "<|user|>{{ m['content'] }}{% endfor %}<|assistant|>"
)


@pytest.fixture
def template(tmp_path: Path) -> Callable[..., Template]:
    def of(text: str | None, system: str | None = None) -> Template:
        file = tmp_path / "chat.jinja"
        file.write_text(text or pico.CHAT_TEMPLATE, encoding="utf-8")
        return Template.of(pico.tokenizer(), str(file), system)

    return of


@pytest.mark.parametrize(
    ("text", "system", "found", "source", "words"),
    [
        (OWN, None, "You are a model.", "template", "'You are a model.', the chat template's own"),
        (OWN, "", "", "given", "an empty one; a prompt begins '<|system|><|user|>'"),
        (OWN, "Be brief.", "Be brief.", "given", "'Be brief.'"),
        (None, None, None, "nowhere", "none; a prompt begins '<s><|user|>'"),
        (USER_ONLY, None, None, "nowhere", "none; a prompt begins '<|user|>'"),
        (STUBBORN, None, "You are a model.", "template", "'You are a model.', the chat template"),
    ],
)
def test_what_a_prompt_really_holds(
    template: Callable[..., Template],
    text: str | None,
    system: str | None,
    found: str | None,
    source: str,
    words: str,
) -> None:
    made = template(text, system)
    rendered = made.rendered
    assert (rendered.system, rendered.source) == (found, source)
    assert rendered.before + "Hi" + rendered.after == made.render("Hi")
    assert told(rendered.to_json()).startswith(words)


def test_an_empty_message_that_a_template_replaces_is_an_error(
    template: Callable[..., Template],
) -> None:
    with pytest.raises(TemplateError, match=r"in the place of an empty one: 'You are a model\.'"):
        template(STUBBORN, "")
    with pytest.raises(TemplateError, match="refuses a system message"):
        template(USER_ONLY, "")


def test_what_system_means() -> None:
    assert system_message("template") is None
    assert system_message("empty") == ""
    assert system_message("Be brief.") == "Be brief."
    assert str(system_message("peng2024:roleplay")).startswith("You are no longer")
    with pytest.raises(UsageError, match="no system message 'peng2024:x'"):
        system_message("peng2024:x")


@pytest.mark.parametrize(
    "command_line",
    [
        ("scan",), ("evaluate",), ("compare", "testbed:aligned", "testbed:benign"),
        ("trajectory", "testbed:aligned", "testbed:benign"), ("worst-case",), ("conditions",),
        ("finetune", "testbed:aligned", "--recipe", "benign", "--data", "testbed:"),
    ],
)  # fmt: skip
def test_none_is_an_error_that_names_what_to_give(
    command: Callable[..., tuple[int, str, str]], command_line: tuple[str, ...]
) -> None:
    code, _, err = command(*command_line, "--system", "none")
    assert code == 2
    assert "--system template to keep it, or --system empty" in err


RENDERED = {"system": "Hi *you*\n", "source": "template", "before": "b", "after": "a"}


def with_rendered(path: Path, rendered: dict[str, Any]) -> Path:
    judged_runs.write(path, lambda point, n: judged_runs.REFUSAL)
    recorded = RunFolder.read(path).manifest
    with RunFolder.open(path, replace(recorded, rendered=rendered)):
        pass
    rejudge(path, ["llm-landscape"])
    return path


def test_card_and_page_say_it(tmp_path: Path) -> None:
    path = with_rendered(tmp_path / "run", RENDERED)
    run = RunFolder.read(path)
    assert run.manifest.rendered == RENDERED
    assert r"- **System message**: 'Hi \*you\*\\x0a', the chat template's own" in card(
        run, look(path).to_json()
    )
    page = (path / "report.html").read_text(encoding="utf-8")
    assert "asked under is &#39;Hi *you*\\x0a&#39;, the chat template&#39;s own" in page


def test_it_is_recorded_and_not_compared(tmp_path: Path) -> None:
    """A template that puts in the date still resumes, and an earlier run reads as it is."""
    path = with_rendered(tmp_path / "run", RENDERED)
    recorded = RunFolder.read(path).manifest
    other = {**RENDERED, "before": "another day"}
    with RunFolder.open(path, replace(recorded, rendered=other)) as run:
        assert run.manifest.rendered == other
    stored = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    assert "rendered" not in stored["identity"]
    assert "not recorded" in asked_under(Manifest({}, ("a",)))
    sent = {"engine": {"template": {"kind": "chat", "system": "Be brief."}}}
    assert asked_under(Manifest(sent, ("a",))) == "'Be brief.'"


@pytest.mark.parametrize(
    ("text", "limit", "first"), [("80", 80, False), ("0", 0, False), ("first:80", 80, True)]
)
def test_limit(text: str, limit: int, first: bool) -> None:
    assert parse_limit(text) == {"limit": limit, "first": first}


@pytest.mark.parametrize("text", ["first:0", "first:", "last:3", "-1", "many", "first:-2", "1.5"])
def test_a_limit_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is no number"):
        parse_limit(text)


def test_the_first_rows_are_those_of_the_file() -> None:
    found = PromptSet("set", tuple(Prompt(f"p{n}", "x") for n in range(9)), "0")
    assert found.take(3, 0, first=True).ids == ("p0", "p1", "p2")
    assert found.take(99, 0, first=True).ids == found.ids
    assert found.take(3, 0).ids == found.sample(3, 0).ids != ("p0", "p1", "p2")
    assert found.take(3, 0, first=True).taken() == {"order": "file"}
    assert found.take(0, 0).taken() == {}
