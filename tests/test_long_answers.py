"""Long answers of hostile text leave a run in time linear in them, and a page stays small."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from safebasin.exchange import Exchange
from safebasin.judges import Lexicon, build
from safebasin.plane import Axis, Plane, Point
from safebasin.report.export import export
from safebasin.report.page import write_page
from safebasin.results import look, rejudge
from safebasin.run import RunFolder
from safebasin.terminal import printable
from safebasin.thought import split
from support import judged_runs

SIZE = 5_000_000
UNITS = ("a", "\x1b[31m\u202e", "\ud800", "<think>x</think>y ", "=1+1,\n|`*_[](<b>")
LINE = Plane((Axis("x", (0.0, 0.1)),))


def long(unit: str) -> str:
    return (unit * (SIZE // len(unit) + 1))[:SIZE]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def answer(point: Point, n: int) -> str:
        return judged_runs.REFUSAL if point.is_origin else long(UNITS[n])[: SIZE // 5]

    path = tmp_path_factory.mktemp("long") / "run"
    judged_runs.write(path, answer, prompts=len(UNITS), plane=LINE)
    rejudge(path, ["refusal"])
    return path


def seconds(work: Callable[[], object]) -> float:
    """Of this process, so that a busy machine does not count."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_table(run: Path, tmp_path: Path, form: str) -> None:
    opened = RunFolder.read(run)
    assert seconds(lambda: export(opened, tmp_path / f"table.{form}", form, with_answers=True)) < 5


def test_a_page_with_texts(run: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert seconds(lambda: write_page(page, [look(run)], show_text=True)) < 5
    assert page.stat().st_size < 6_000_000


@pytest.mark.parametrize("unit", ["<think>x</think>y ", "x <think> ", "<think>x</think>\n \n"])
def test_judging_many_thoughts_is_linear(unit: str) -> None:
    exchange = Exchange("id", "Do it", long(unit)[: SIZE // 5], "length", 3, 5)
    for name in ("outcome", "refusal", "llm-landscape-answer"):
        judge = build(name, Lexicon.of(texts=["x y"]))
        assert seconds(lambda judge=judge: judge.judge([exchange])) < 3


@pytest.mark.parametrize("unit", ["a", "\x1b[31m\u202e", "\ud800x", "\u4e00\x00"])
def test_printing_is_linear(unit: str) -> None:
    text = long(unit)
    assert seconds(lambda: printable(text)) < 1.5
    part = text[:99]
    assert printable(text)[: len(printable(part))] == printable(part)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>a</think>b <think>c", "b <think>c"),
        ("x\n  <think>a</think>b", "x\n  \nb"),
        ("x <think>a</think>b", "x <think>a</think>b"),
        ("   <think>a</think>b", "b"),
        ("<think>a</think>b\n\t<think>c</think>d", "b\n\t\nd"),
    ],
)
def test_a_mark_counts_at_the_start_of_a_line(text: str, answer: str) -> None:
    assert split(text).answer == answer
