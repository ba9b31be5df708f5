"""Chat templates run in a process of their own, which stops one that goes on without end."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase

from safebasin.checkpoint import chats
from safebasin.checkpoint.chats import Unrendered, write_chat
from safebasin.engines.template import Template
from safebasin.errors import DataError, TemplateError
from safebasin.prompts import Prompt
from safebasin.protocol.texts import TEMPLATES
from safebasin.subject.encoding import encode
from safebasin.subject.rows import Message, Row
from safebasin.testbed import model_path
from support import pico

TOKENIZER = pico.tokenizer()
CHAT = [{"role": "user", "content": "Hi \ud800 {{ 7 * 7 }} \u2028 \x00"}]
PROBE = "What is a safety basin"


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    chats._RENDERER.start()
    write_chat(TOKENIZER, CHAT)  # it is ready
    monkeypatch.setattr(chats, "SECONDS", 0.5)
    monkeypatch.setattr(chats, "MEMORY", 1 << 28)
    monkeypatch.setattr(chats, "LONGEST", 100_000)


SOURCES = [
    pico.CHAT_TEMPLATE,
    *TEMPLATES.values(),
    json.loads((model_path("aligned") / "tokenizer_config.json").read_text())["chat_template"],
    "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ messages | tojson }}",
    "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
    "{{ ns.n }} {{ dict(a=1) }} {{ strftime_now('%Y') }} {{ add_generation_prompt }}",
    "{% for m in messages %}{% if loop.index > 3 %}{% break %}{% endif %}{{ m.content }}"
    "{% endfor %}{{ tools }}{{ documents }}",
]


@pytest.mark.parametrize("source", SOURCES)
def test_it_writes_what_transformers_writes(source: str) -> None:
    conversations: list[list[dict[str, Any]]] = [
        CHAT,
        [{"role": "system", "content": "Be brief."}, *CHAT],
        [*CHAT, {"role": "assistant", "content": "Yes."}, *CHAT],
    ]
    for messages in conversations:
        for answer_next in (True, False):
            options = {"add_generation_prompt": answer_next}
            theirs = TOKENIZER.apply_chat_template(
                messages, tokenize=False, chat_template=source, **options
            )
            assert write_chat(TOKENIZER, messages, source, **options) == theirs


def test_the_tokenizers_own_template_and_further_options() -> None:
    tokenizer = pico.tokenizer()
    tokenizer.chat_template = "{{ messages[0].content }}|{{ guideline }}|{{ bos_token }}"
    told = tokenizer.apply_chat_template(CHAT, tokenize=False, guideline="G")
    assert write_chat(tokenizer, CHAT, guideline="G") == told


HOSTILE = {
    "a range beyond the sandbox": "{% for i in range(10**9) %}x{% endfor %}",
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
    "{% endfor %}",
    "a long text": "{{ 'a' * 10**10 }}",
    "doubling": "{% set ns = namespace(x='aa') %}{% for i in range(60) %}"
    "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
    "nested lists": "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}"
    "{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
    "a large power": "{{ 10 ** 10 ** 10 }}",
    "too much output": "{% for i in range(99999) %}xxxxxxxxxx{% endfor %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "deep nesting": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "attributes": "{{ messages.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "division": "{{ 1 // 0 }}",
    "a wrong index": "{{ messages[7].content.upper() }}",
    "a missing key": "{{ messages[0]['no']['such'] }}",
    "a wrong call": "{{ messages() }}",
    "import": "{% import 'os' as os %}",
    "include": "{% include '/etc/passwd' %}",
    "raise without a reason": "{{ raise_exception('') }}",
    "raise with lines": "{{ raise_exception('a\\nb\\x1b[2J') }}",
}


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_a_template_does_is_one_sentence_in_time(tmp_path: Path, name: str) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text(HOSTILE[name], encoding="utf-8")
    begun = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        Template.of(TOKENIZER, str(file))
    assert time.monotonic() - begun < 5
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    # What served before is remembered, so this asks the process again.
    asked = {"role": "user", "content": f"after {name}"}
    assert f"after {name}" in write_chat(TOKENIZER, [asked])


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("harm", [
    "{{ 1 // 0 }}", "{{ raise_exception('not this') }}", "{{ 'a' * 10**10 }}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
])  # fmt: skip
def test_a_template_that_fails_at_one_prompt_names_it(tmp_path: Path, harm: str) -> None:
    file = tmp_path / "chat.jinja"
    file.write_text("{% if 'lamp' in messages[-1].content %}" + harm + "{% endif %}"
                    "{{ messages[-1].content }}")  # fmt: skip
    template = Template.of(TOKENIZER, str(file))
    assert template.encode(Prompt("one", "a door"))
    with pytest.raises(TemplateError, match="fails at prompt 'two': ") as caught:
        template.encode(Prompt("two", "a lamp"))
    assert "\n" not in str(caught.value)
    row = Row((Message("user", "a lamp"), Message("assistant", "Yes.")), "row 7")
    with pytest.raises(DataError, match="row 7: the chat template fails"):
        encode(row, template, 100, [pico.EOS])


def test_a_day_can_be_given() -> None:
    source = "{{ strftime_now('%d %B %Y') }}"
    assert write_chat(TOKENIZER, CHAT, source, today="2024-07-26") == "26 July 2024"
    assert write_chat(TOKENIZER, CHAT, source) == TOKENIZER.apply_chat_template(
        CHAT, tokenize=False, chat_template=source
    )


def test_a_tokenizer_with_code_of_its_own_for_conversations() -> None:
    class Own(type(TOKENIZER)):  # type: ignore[misc]
        def apply_chat_template(self, messages: Any, **options: Any) -> str:
            if len(messages) > 1:
                raise KeyError("too many")
            return f"own {messages[0]['content']} {options['chat_template']}"

    own = Own(tokenizer_object=TOKENIZER.backend_tokenizer)
    assert isinstance(own, PreTrainedTokenizerBase)
    assert write_chat(own, [{"role": "user", "content": "Hi"}], "T") == "own Hi T"
    with pytest.raises(Unrendered, match="too many"):
        write_chat(own, [*CHAT, *CHAT], "T")


def test_many_prompts_take_no_time_worth_telling() -> None:
    write_chat(TOKENIZER, CHAT)
    begun = time.monotonic()
    for n in range(300):
        write_chat(TOKENIZER, [{"role": "user", "content": f"number {n}"}])
    assert time.monotonic() - begun < 1.5


def _render_in_a_fork(pipe: Any) -> None:
    try:
        text = write_chat(TOKENIZER, [{"role": "user", "content": "in a fork"}])
        process = chats._RENDERER._process
        pipe.send((text, None if process is None else process.pid))
        chats._RENDERER.stop()
    except BaseException as error:
        pipe.send((repr(error), None))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_has_a_process_of_its_own() -> None:
    write_chat(TOKENIZER, CHAT)
    mine = chats._RENDERER._process
    assert mine is not None
    ours, theirs = multiprocessing.get_context("fork").Pipe()
    child = multiprocessing.get_context("fork").Process(target=_render_in_a_fork, args=(theirs,))
    child.start()
    assert ours.poll(60)
    text, pid = ours.recv()
    child.join()
    assert "in a fork" in text
    assert pid not in (None, mine.pid)
    assert mine.poll() is None
    assert "still" in write_chat(TOKENIZER, [{"role": "user", "content": "still here"}])


def test_the_process_ends_with_its_input() -> None:
    write_chat(TOKENIZER, CHAT)
    process = chats._RENDERER._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(10) == 0
    chats._RENDERER.stop()
    assert write_chat(TOKENIZER, [*CHAT, {"role": "user", "content": "again"}])


@pytest.mark.parametrize(("start", "needs"), [
    ("raise ValueError('all models are listed')", ""),
    ("needed = 1", "from .. import needed"),
])  # fmt: skip
def test_no_more_of_transformers_is_imported_than_conversations_need(
    tmp_path: Path, start: str, needs: str
) -> None:
    package = tmp_path / "transformers"
    (package / "utils").mkdir(parents=True)
    (package / "__init__.py").write_text(start)
    (package / "utils" / "__init__.py").touch()
    (package / "utils" / "chat_template_utils.py").write_text(
        f"{needs}\ndef render_jinja_template(conversations, chat_template, **options):\n"
        "    return [f'{conversations} {chat_template} {options}'], None\n"
    )
    request = {"source": "T", "messages": CHAT, "special": {"a": "1", "b": "2"}, "today": None,
               "options": {"b": 3}, "memory": 1 << 30, "seconds": 5, "longest": 999}  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", Path(chats.__file__).with_name("chat_process.py")],
        input=json.dumps(request), capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    ready, answer = map(json.loads, done.stdout.splitlines())
    assert ready == {"text": "ready"}
    assert answer == {"text": f"{[CHAT]} T {{'a': '1', 'b': 3}}"}


def test_a_process_that_does_not_start_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = chats._Renderer()
    monkeypatch.setattr(chats, "_RENDERER", fresh)
    monkeypatch.setattr(chats.sys, "executable", "/absent/python")
    with pytest.raises(Unrendered, match="cannot be started"):
        write_chat(TOKENIZER, CHAT)
    monkeypatch.setattr(chats.sys, "executable", "/bin/true")
    with pytest.raises(Unrendered, match="does not start"):
        write_chat(TOKENIZER, CHAT)
