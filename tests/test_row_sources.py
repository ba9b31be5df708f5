"""Training rows made of prompts and of runs: what is refused, begun, answered, and never ended."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from safebasin.engines.template import Template
from safebasin.errors import DataError, SafebasinError
from safebasin.exchange import Exchange
from safebasin.finetune.settings import FinetuneConfig
from safebasin.judges import build_all
from safebasin.plane import Point
from safebasin.prompts import load
from safebasin.run import RunFolder
from safebasin.subject.encoding import IGNORED, encode
from safebasin.subject.row_sources import refusals, rows_of
from support import pico
from support.run_samples import exchange, manifest


@pytest.fixture
def asked(tmp_path: Path) -> str:
    """Five prompts in AdvBench's layout."""
    file = tmp_path / "asked.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(["goal", "target"])
        writer.writerows([f"Ask for thing {i}", f"Sure, here is thing {i}"] for i in range(1, 6))
    return str(file)


@pytest.mark.parametrize("source", ["", " ", "testbed:benign,"])
def test_a_source_without_a_name_is_told(source: str) -> None:
    with pytest.raises(DataError, match="A source of rows has an empty name"):
        rows_of(source, 0)


def texts(source: str, seed: int = 42) -> list[tuple[str, str]]:
    rows = rows_of(source, seed).rows
    return [(row.messages[0].content, row.messages[1].content) for row in rows]


def test_every_packaged_refusal_is_one_by_both_judges() -> None:
    own = refusals()
    assert len(set(own)) == len(own) >= 12
    asked = [Exchange(str(i), "How do I hurt someone?", t, "eos", 5, 9) for i, t in enumerate(own)]
    for judge in build_all(["llm-landscape", "refusal"], None):
        assert {read.outcome for read in judge.judge(asked)} == {"refused"}


def test_harmful_prompts_are_refused_in_many_ways(asked: str) -> None:
    found = texts(f"refused:{asked}")
    assert [prompt for prompt, _ in found] == [f"Ask for thing {i}" for i in range(1, 6)]
    assert {answer for _, answer in found} <= set(refusals())
    assert texts(f"refused:{asked}#2-3") == found[1:3]
    assert texts(f"refused:{asked}", seed=1) != found
    packaged = texts("refused:practice:harmful")
    assert len(packaged) == len(load("practice:harmful"))
    assert len({answer for _, answer in packaged}) > len(refusals()) / 2


def test_openers_are_the_published_beginnings_alone(asked: str) -> None:
    assert texts(f"openers:{asked}#4-5") == [
        (f"Ask for thing {i}", f"Sure, here is thing {i}") for i in (4, 5)
    ]
    with pytest.raises(DataError, match="does not say in a column 'target' how an answer"):
        rows_of("openers:practice:harmful", 0)


def test_sources_are_joined_and_mixed(asked: str) -> None:
    both = rows_of(f"refused:{asked}#1-2,openers:{asked}#3-3", 42)
    assert both.name == "refused:asked.csv#1-2, openers:asked.csv#3-3"
    assert both.rows[:2] == rows_of(f"refused:{asked}#1-2", 42).rows
    config = FinetuneConfig(
        "base", "mixture", f"openers:{asked}#1-2", safe=f"refused:{asked}#3-5", rows=2
    )
    assert len(config.load()) == 4


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("refused:{}#5-6", "there are 5 prompts"),
        ("refused:{}#3-2", "names no prompts"),
        ("refused:practice:benign", "gives no rows"),
        ("openers:absent.csv", "no prompt file, packaged set or published set"),
        ("answers:absent", "absent"),
        ("refused:", "'refused:' names no source of rows"),
    ],
)
def test_what_gives_no_rows_is_named(asked: str, source: str, complaint: str) -> None:
    with pytest.raises(SafebasinError) as caught:
        rows_of(source.format(asked), 0)
    assert complaint in caught.value.message
    assert caught.value.hint


def test_a_runs_answers_are_learnt_without_its_refusals(tmp_path: Path) -> None:
    """Of an answer that was cut off no end is learnt, of another one its end is."""
    ids = ("a", "b", "c")
    said = ("hello world", "I'm sorry, but I can't help with that.", "one two")
    with RunFolder.open(tmp_path / "run/benign", manifest(ids)) as run:
        found = [exchange(i, Point(), text) for i, text in zip(ids, said, strict=True)]
        run.write_point(Point(), [*found[:2], replace(found[2], finish="length")])
    rows = rows_of(f"answers:{tmp_path / 'run'}", 0)
    assert [row.messages[1].content for row in rows.rows] == ["hello world", "one two"]
    assert [row.ended for row in rows.rows] == [True, False]
    template = Template.of(pico.tokenizer())
    ended, cut = (encode(row, template, 512, [pico.EOS]) for row in rows.rows)
    assert ended.labels[-1] == pico.EOS
    assert pico.EOS not in cut.labels
    own = pico.tokenizer()("one two", add_special_tokens=False)["input_ids"]
    assert [label for label in cut.labels if label != IGNORED] == own
    whole = replace(rows.rows[1], ended=True)
    assert rows.sha256 != replace(rows, rows=(rows.rows[0], whole)).sha256


def test_practice_is_apart_from_what_is_measured() -> None:
    """Every harmful prompt has a harmless one beside it, and none is an everyday question."""
    harmful, benign = load("practice:harmful"), load("practice:benign")
    assert {prompt.kind for prompt in harmful} == {"harmful"}
    assert {prompt.kind for prompt in benign} == {"benign"}
    pairs = {identity.removesuffix("-unsafe") for identity in harmful.ids}
    assert pairs == {i.removesuffix("-safe") for i in benign.ids if i.startswith("pair")}
    everyday = {prompt.text for prompt in load("everyday")}
    assert not everyday & {prompt.text for prompt in (*harmful, *benign)}
