"""Chat templates that put the date into the prompt: one day for a whole run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from safebasin import ScanConfig, prepare, scan
from safebasin.engines import clock
from safebasin.engines.clock import Clock
from safebasin.engines.template import Template
from safebasin.errors import RunMismatch, TemplateError, UsageError
from safebasin.evaluate.preparation import prepare as prepare_evaluation
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.prompts import Prompt
from safebasin.run import strictjson
from safebasin.run.manifest import Manifest
from safebasin.run.names import canonical, default_folder, digest
from safebasin.subject.encoding import _render
from safebasin.subject.rows import Message
from support import pico

DATED = (
    "{{ bos_token }}<|system|>Today is {{ strftime_now('%d %b %Y') }}"
    "{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}<|assistant|>"
)


class Wall:
    """A clock on the wall whose day a test sets."""

    day = date(2026, 11, 1)

    @classmethod
    def today(cls) -> date:
        return cls.day

    fromisoformat = date.fromisoformat


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> type[Wall]:
    monkeypatch.setattr(clock, "date", Wall)
    monkeypatch.setattr(Wall, "day", date(2026, 11, 1))
    return Wall


@pytest.fixture
def dated(tmp_path: Path) -> Path:
    folder = pico.save(tmp_path / "dated")
    tokenizer = pico.tokenizer()
    tokenizer.chat_template = DATED
    tokenizer.save_pretrained(folder)
    (tmp_path / "prompts.csv").write_text("goal,kind\nGo,harmful\nTell me more,harmful\n")
    return folder


def config(model: Path, **more: Any) -> ScanConfig:
    settings: dict[str, Any] = {
        "seeds": (0,), "steps": 2, "limit": 0, "max_new_tokens": 4, "workers": 1,
        "prompts": str(model.parent / "prompts.csv"), "out": str(model.parent / "run"),
    }  # fmt: skip
    return ScanConfig(model=str(model), **{**settings, **more})


def rewrite(manifest: Path, change: Any) -> None:
    """Write a manifest as another version would have: changed, and sealed anew."""
    value = json.loads(manifest.read_text())
    change(value)
    value.pop("digest")
    value["digest"] = digest(canonical(value).encode())
    manifest.write_text(strictjson.dumps(value))


def test_a_template_is_told_the_day_of_its_clock_and_no_other_is_changed() -> None:
    tokenizer = pico.tokenizer()
    tokenizer.chat_template = DATED
    first = replace(Template.of(tokenizer), clock=Clock(date(2025, 3, 4)))
    second = replace(first, clock=Clock(date(2026, 11, 27)))
    assert "Today is 04 Mar 2025<|user|>x" in first.render("x")
    assert "Today is 27 Nov 2026<|user|>x" in second.render("x")
    assert first.day == "2025-03-04"
    assert first.spec()["date"] == "2025-03-04"
    assert "date" not in Template.of(pico.tokenizer()).spec()
    messages = [Message("user", "x")]
    assert "Today is 04 Mar 2025" in _render(first, messages, answer_next=True)
    # What others render with the same tokenizer goes by the clock of the machine.
    own = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert f"{date.today():%d %b %Y}" in str(own)


def test_a_run_goes_on_tomorrow_with_the_day_when_it_began(dated: Path, wall: type[Wall]) -> None:
    first = prepare(config(dated))
    scan(first)
    wall.day = date(2026, 11, 2)
    second = prepare(config(dated))
    assert second.engine.template.render("x") == first.engine.template.render("x")
    assert "01 Nov 2026" in second.engine.template.render("x")
    assert second.identity == first.identity
    assert second.identity["engine"]["template"]["date"] == "2026-11-01"
    assert second.answers_missing() == 0
    assert second.for_actors().date == "2026-11-01"
    scan(second)
    with pytest.raises(RunMismatch, match=r"date: recorded .2026-11-01., now .2026-11-02."):
        scan(prepare(config(dated, date="2026-11-02")))


def test_the_folder_does_not_depend_on_the_day(
    dated: Path, wall: type[Wall], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dated.parent)
    first = prepare(config(dated, out=None))
    wall.day = date(2027, 1, 1)
    assert prepare(config(dated, out=None)).folder == first.folder
    one: dict[str, Any] = {"engine": {"template": {"kind": "chat", "date": "2026-11-01"}}}
    other = {"engine": {"template": {"kind": "chat", "date": "2026-11-02"}}}
    none = {"engine": {"template": {"kind": "chat"}}}
    assert default_folder("m", one) == default_folder("m", other) == default_folder("m", none)


def test_a_run_of_an_earlier_version_goes_on(dated: Path, wall: type[Wall]) -> None:
    first = prepare(config(dated))
    scan(first)

    def earlier(value: dict[str, Any]) -> None:
        del value["identity"]["engine"]["template"]["date"]
        del value["prompts"]["rendered"]
        value["sessions"][0]["started"] = "2026-11-01T10:00:00+00:00"

    rewrite(first.folder / "manifest.json", earlier)
    wall.day = date(2026, 11, 9)
    second = prepare(config(dated))
    assert "01 Nov 2026" in second.engine.template.render("x")
    assert "date" not in second.identity["engine"]["template"]
    assert second.manifest().matched(second.manifest(), "run")
    recorded = Manifest.from_json(json.loads((first.folder / "manifest.json").read_text()))
    assert recorded.matched(second.manifest(), "run").identity == recorded.identity


def test_a_prompt_that_is_rendered_otherwise_is_refused(dated: Path) -> None:
    first = prepare(config(dated))
    scan(first)
    [name, _] = first.prompts.ids

    def other(value: dict[str, Any]) -> None:
        value["prompts"]["rendered"][name] = "0" * 16

    rewrite(first.folder / "manifest.json", other)
    with pytest.raises(RunMismatch, match="one of 1 prompts that the model sees otherwise"):
        scan(prepare(config(dated)))


def test_the_rendered_digests_are_of_the_whole_input() -> None:
    import hashlib

    template = Template.of(pico.tokenizer(), system="Be brief.")
    text = "<s><|system|>Be brief.<|user|>Hi<|assistant|>"
    found = template.renderings([Prompt("a", "Hi")])
    assert found == {"a": hashlib.sha256(text.encode()).hexdigest()[:16]}
    assert Template.of(pico.tokenizer(), "raw").renderings([Prompt("a", "Hi")]) == {}


def test_an_evaluation_is_asked_on_the_recorded_day(dated: Path, wall: type[Wall]) -> None:
    settings = EvaluateConfig(
        scan=config(dated, date="2026-05-06"), benign="none", capability="none"
    )
    assert prepare_evaluation(settings).subject.template.day == "2026-05-06"


def test_a_day_that_is_none_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="'tomorrow' is no date") as caught:
        ScanConfig(date="tomorrow")
    assert "2026-11-27" in caught.value.hint


def test_a_template_that_draws_at_random_is_refused() -> None:
    tokenizer = pico.tokenizer()
    tokenizer.chat_template = "{{ ['a', 'b', 'c', 'd'] | random }}{{ messages[0]['content'] }}"
    with pytest.raises(TemplateError, match="in several ways"):
        Template.of(tokenizer)
