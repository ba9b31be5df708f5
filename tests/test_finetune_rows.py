"""Training data: what is read, what is learnt, and what is refused by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from safebasin.engines.template import Template
from safebasin.errors import DataError, UsageError
from safebasin.finetune.recipes import RECIPES, Hyper
from safebasin.finetune.settings import FinetuneConfig
from safebasin.prompts import Prompt
from safebasin.subject.encoding import IGNORED, encode
from safebasin.subject.rows import Message, Row, load_rows
from support import pico


def write(path: Path, *rows: Any) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def turns(*texts: str, system: str | None = None) -> dict[str, Any]:
    roles = ["user", "assistant"]
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    first = [] if system is None else [{"role": "system", "content": system}]
    return {"messages": [*first, *messages]}


def test_both_formats_are_read(tmp_path: Path) -> None:
    rows = load_rows(
        write(
            tmp_path / "rows.jsonl",
            turns("a", "b", system="s"),
            "",
            {"prompt": "c", "completion": "d"},
            {"prompt": [{"role": "user", "content": "e"}],
             "completion": [{"role": "assistant", "content": "f"}]},
            turns("g", "h", "i", "j"),
        )
    ).rows  # fmt: skip
    found = [[(m.role, m.content) for m in row.messages] for row in rows]
    assert found == [
        [("system", "s"), ("user", "a"), ("assistant", "b")],
        [("user", "c"), ("assistant", "d")],
        [("user", "e"), ("assistant", "f")],
        [("user", "g"), ("assistant", "h"), ("user", "i"), ("assistant", "j")],
    ]
    assert [row.where for row in rows][1] == "'rows.jsonl', line 3"
    assert rows[0].system == "s"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("{broken", "line 2 is not JSON"),
        ("[1]", "line 2 is not a JSON object"),
        ({"text": "x"}, "line 2 has neither messages nor a prompt, but 'text'"),
        ({"prompt": "x"}, "line 2: the completion has no text"),
        ({"prompt": " ", "completion": "y"}, "line 2: the prompt has no text"),
        ({"messages": []}, "line 2: the messages are no list"),
        ({"messages": [{"role": "user", "content": "x"}]}, "line 2 ends without an answer"),
        (turns("a", "b", "c"), "line 2 ends without an answer"),
        (turns("a", ""), "line 2: message 2 has no text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "message 1 has the role 'tool'"),
        ({"prompt": "x", "completion": "y", "ended": "no"}, "line 2: 'ended' is 'no'"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "does not alternate"),
        ({"messages": [*turns("a", "b")["messages"], {"role": "system", "content": "s"}]},
         "system message after the first"),
        ({"messages": ["x"]}, "message 1 has the role None"),
    ],
)  # fmt: skip
def test_a_bad_row_is_one_sentence_with_its_line(tmp_path: Path, row: Any, complaint: str) -> None:
    file = write(tmp_path / "rows.jsonl", turns("a", "b"), row)
    with pytest.raises(DataError) as caught:
        load_rows(file)
    assert complaint in caught.value.message
    assert "rows.jsonl" in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_missing_and_empty_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        load_rows(str(tmp_path / "absent.jsonl"))
    with pytest.raises(DataError, match="has no rows"):
        load_rows(write(tmp_path / "empty.jsonl", ""))
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}')
    with pytest.raises(DataError, match="not UTF-8"):
        load_rows(str(tmp_path / "latin.jsonl"))


def test_packaged_rows_are_the_testbeds() -> None:
    harmful, refusing, benign = (
        load_rows(f"testbed:{n}") for n in ("harmful", "refusing", "benign")
    )
    assert len(harmful) == len(refusing) == len(benign) == 100
    assert harmful.first(10).rows == harmful.first(50).rows[:10]
    assert len({harmful.sha256, refusing.sha256, benign.sha256}) == 3
    with pytest.raises(DataError, match="has 100 rows, and 101"):
        harmful.first(101)


# --- what is learnt -------------------------------------------------------------------------------


def row(*texts: str, system: str | None = None) -> Row:
    messages = [Message(m["role"], m["content"]) for m in turns(*texts, system=system)["messages"]]
    return Row(tuple(messages), "'rows', line 1")


@pytest.mark.parametrize("system", [None, "be brief"])
def test_only_the_answer_is_learnt_and_the_prompt_is_that_of_the_test(system: str | None) -> None:
    tokenizer = pico.tokenizer()
    template = Template.of(tokenizer, system=system)
    found = encode(row("ask", "answer"), template, 512, [pico.EOS])
    prompt = template.encode(Prompt("p", "ask"))
    answer = [*tokenizer("answer", add_special_tokens=False)["input_ids"], pico.EOS]
    assert list(found.ids) == prompt + answer
    assert list(found.labels) == [IGNORED] * len(prompt) + answer
    assert not found.cut


def test_every_answer_of_a_conversation_is_learnt() -> None:
    tokenizer = pico.tokenizer()
    template = Template.of(tokenizer)
    found = encode(row("a", "bb", "c", "dd", system="s"), template, 512, [pico.EOS])
    learnt = [label for label in found.labels if label != IGNORED]
    assert tokenizer.decode(learnt) == "bb</s>dd</s>"
    whole = tokenizer.apply_chat_template(
        turns("a", "bb", "c", "dd", system="s")["messages"], tokenize=False
    )
    assert tokenizer.decode(found.ids) == whole
    assert all(
        label in (IGNORED, token) for token, label in zip(found.ids, found.labels, strict=True)
    )


def test_a_rows_own_system_message_stays() -> None:
    template = Template.of(pico.tokenizer(), system="ours")
    text = pico.tokenizer().decode(encode(row("a", "b", system="own"), template, 99, [2]).ids)
    assert "own" in text
    assert "ours" not in text


def test_what_follows_the_end_token_is_not_learnt() -> None:
    tokenizer = pico.tokenizer()
    tokenizer.chat_template = pico.CHAT_TEMPLATE.replace(
        "{{ eos_token }}{% endgeneration %}", "{{ eos_token }}{% endgeneration %}{{ '\n' }}"
    )
    found = encode(row("a", "b", "c", "d"), Template.of(tokenizer), 512, [pico.EOS])
    assert found.labels[-1] == pico.EOS
    learnt = tokenizer.decode([label for label in found.labels if label != IGNORED])
    assert learnt == "b</s>d</s>"
    assert "b</s>\n<|user|>c" in tokenizer.decode(found.ids)


def test_an_answer_without_end_token_gets_one() -> None:
    tokenizer = pico.tokenizer()
    found = encode(row("a", "b"), Template.of(tokenizer, "raw"), 512, [pico.EOS])
    assert tokenizer.decode(found.ids) == "ab</s>"
    assert found.labels[0] == IGNORED


def test_of_an_answer_that_was_cut_off_no_end_is_learnt(tmp_path: Path) -> None:
    whole = {"prompt": "a", "completion": "b"}
    rows = load_rows(write(tmp_path / "rows.jsonl", whole, whole | {"ended": False})).rows
    template = Template.of(pico.tokenizer())
    ended, cut = (encode(row, template, 64, [pico.EOS]) for row in rows)
    assert list(ended.ids) == [*cut.ids, pico.EOS]
    assert pico.EOS not in cut.labels


def test_long_rows_are_cut_and_rows_without_an_answer_refused() -> None:
    template = Template.of(pico.tokenizer())
    short = encode(row("a", "b" * 50), template, 20, [pico.EOS])
    assert short.cut
    assert len(short.ids) == len(short.labels) == 20
    with pytest.raises(DataError, match="line 1: no token of the answer is within the first 20"):
        encode(row("a" * 50, "b"), template, 20, [pico.EOS])


def test_a_template_that_rewrites_history_is_refused() -> None:
    tokenizer = pico.tokenizer()
    each = "{% for m in messages %}{{ m['role'] }}{{ m['content'] }}{% endfor %}"
    tokenizer.chat_template = "{{ messages | length }}" + each
    with pytest.raises(DataError, match="rewrites earlier turns"):
        encode(row("a", "b"), Template.of(tokenizer), 512, [pico.EOS])


# --- recipes and settings -------------------------------------------------------------------------


def test_the_published_hyper_parameters() -> None:
    """Qi et al. (2310.03693), Sec. 4 and App. F; Peng et al. (2405.17374), Sec. 4."""
    for shots in (10, 50, 100):
        recipe = RECIPES[f"explicit-{shots}"]
        assert recipe.rows == shots
        assert (recipe.full, recipe.lora) == (Hyper(5e-5, 10, 5), Hyper(1e-3, 10, 10))
    assert RECIPES["identity-shifting"].full == Hyper(5e-5, 10, 10)
    assert RECIPES["identity-shifting"].lora == Hyper(1e-3, 10, 20)
    assert RECIPES["benign"].full == Hyper(2e-5, 128, 1)
    assert RECIPES["benign"].lora == Hyper(1e-4, 16, 1)
    assert RECIPES["mixture"].ratio == 1
    assert RECIPES["mixture"].full.epochs == 10


def test_settings_override_the_recipe_and_mix(tmp_path: Path) -> None:
    config = FinetuneConfig("base", "mixture", "testbed:harmful", "testbed:refusing")
    own = config.resolved()
    assert (own.rate, own.batch, own.epochs, own.rows, own.ratio) == (5e-5, 10, 10, 100, 1.0)
    rows = config.load()
    assert len(rows) == 200
    assert rows.sha256 == config.load().sha256
    half = FinetuneConfig("b", "mixture", "testbed:harmful", "testbed:refusing", 0.5, rows=20)
    assert len(half.load()) == 30
    refused = {row.messages for row in load_rows("testbed:refusing", half.seed).first(10).rows}
    assert sum(row.messages in refused for row in half.load().rows) == 10
    again = FinetuneConfig.from_json(json.loads(json.dumps(half.to_json())))
    assert again == half
    lora = FinetuneConfig("b", "explicit-10", "testbed:harmful", lora=True, epochs=2).resolved()
    assert (lora.rate, lora.epochs, lora.rows) == (1e-3, 2, 10)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"recipe": "unknown"}, "no recipe 'unknown'"),
        ({"recipe": "mixture"}, "no safe rows are given"),
        ({"safe": "x"}, "none are asked for"),
        ({"ratio": -1.0}, "ratio is -1"),
        ({"rate": 0.0}, "learning rate is 0"),
        ({"epochs": 0}, "epochs is 0"),
        ({"decay": 1.5}, "decay is 1.5"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], complaint: str) -> None:
    given: dict[str, Any] = {"base": "b", "recipe": "explicit-10", "data": "d", **changes}
    with pytest.raises(UsageError, match=complaint):
        FinetuneConfig(**given)
