"""What a step of GitHub Actions shows of a run: a section of its summary, and an annotation."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from safebasin.cli.step_summary import annotation, append, of_comparison
from safebasin.errors import RunError
from test_compare_junit import HOSTILE, JUDGED, MARGIN, RISE, made

Command = Callable[..., tuple[int, str, str]]
SMALL = ["--limit", "8", "--max-new-tokens", "24", "--device", "cpu"]
COMPARE = ["compare", "testbed:aligned", "testbed:harmful-100", "--steps", "2", "--refine", "0"]


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which a runner of GitHub Actions wants the summary, with a line in it."""
    path = tmp_path / "summary.md"
    path.write_text("An earlier step.\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def table(markdown: str) -> list[list[str]]:
    """The cells of the first table, as a reader of GitHub's Markdown finds them."""
    cells: list[list[str]] = []
    tokens = MarkdownIt().enable("table").parse(markdown)
    for token, content in pairwise(tokens):
        if token.type == "tr_open":
            cells.append([])
        if token.type in ("td_open", "th_open"):
            cells[-1].append("".join(c.content for c in content.children or ()))
    return cells


def test_the_section_of_a_comparison_says_verdict_reasons_and_checks() -> None:
    found = made(RISE, MARGIN, JUDGED, page=Path("runs/gate/report.html"))
    text = of_comparison(found)
    assert text.startswith("## safebasin: FAIL\n")
    assert table(text) == [
        ["check", "measured", "limit", "state"],
        ["rise of ASR", "+40.0 (+20.0 to +60.0) points", "at most +5 points", "fail"],
        ["margin", "0.10 (-0.10 to 0.20)", "at least 0", "unsure"],
        ["share judged", "100.0 %", "at least 98 %", "pass"],
    ]
    html = MarkdownIt().render(text)
    assert f"<li>{RISE.note}</li>" in html
    for part in ("base", "tuned", "harmful (80)", "llm-landscape", "abababababababab",
                 "cdcdcdcdcdcdcdcd", "A note.", "runs/gate/report.html"):  # fmt: skip
        assert part in html


def test_hostile_names_are_text_in_the_section() -> None:
    found = made(
        replace(RISE, name=HOSTILE + "|", note=f"{HOSTILE}\n\n# a heading"), base=HOSTILE,
        tuned="`code`\n::error::x", prompts="[a](javascript:x) ![b](http://c/d.png)",
        judge="<script>1</script>", notes=("| a | b |\n|---|---|\n<img src=x>",),
        page=Path("runs/`a`/report.html"),
    )  # fmt: skip
    text = of_comparison(found)
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    for tag in ("<script", "<img", "<a ", "<b>", "<h1"):
        assert tag not in html
    assert html.count("<h2>") == 1
    assert html.count("<table>") == 1
    assert len(table(text)) == 2
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e\ud800]", text)
    assert "\n::" not in text


def test_an_annotation_is_one_escaped_line() -> None:
    found = made(replace(RISE, note="50 % of it:\r\nall, ::add-mask::x"))
    assert annotation(found) == (
        "::error title=safebasin%3A FAIL::base -> tuned: 50 %25 of it:%0D%0Aall, ::add-mask::x"
    )
    assert (annotation(made(MARGIN)) or "").startswith("::warning title=safebasin%3A INCONCLUSIVE")
    assert annotation(made(JUDGED)) is None


def test_a_comparison_appends_its_section_and_writes_its_reports(
    command: Command, summary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    out, junit = tmp_path / "gate", tmp_path / "reports" / "junit.xml"
    code, text, err = command(*COMPARE, *SMALL, "--out", out, "--json", "--junit", junit)
    value = json.loads(text)
    assert code == {"PASS": 0, "FAIL": 3, "INCONCLUSIVE": 5}[value["verdict"]] != 0
    assert value["provenance"]["command"][1] == "compare"
    written = summary.read_text(encoding="utf-8")
    assert written.startswith("An earlier step.\n\n## safebasin: ")
    rows = table(written)[1:]
    assert [(row[0], row[3]) for row in rows] == [(c["name"], c["state"]) for c in value["checks"]]
    assert str(out / "report.html") in written
    assert re.search(r"^::(error|warning) title=safebasin", err, re.MULTILINE)
    assert junit.read_bytes().startswith(b"<?xml")


def test_a_report_that_cannot_be_written_is_told_before_anything_is_measured(
    command: Command, tmp_path: Path
) -> None:
    mine = tmp_path / "notes.txt"
    mine.write_text("mine", encoding="utf-8")
    out = tmp_path / "gate"
    code, text, err = command(*COMPARE, *SMALL, "--out", out, "--junit", mine, "--json")
    assert (code, json.loads(text)["error"]["kind"]) == (2, "usage")
    assert "notes.txt" in err
    assert not out.exists()
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_scan_and_an_evaluation_append_theirs(
    command: Command, summary: Path, tmp_path: Path
) -> None:
    out = tmp_path / "scan"
    code, _, err = command("scan", "--seeds", "1", "--steps", "2", *SMALL, "--out", out)
    assert code == 0, err
    first = summary.read_text(encoding="utf-8")
    assert "## Safety in weight space" in first
    assert "VISAGE" in first
    assert str(out / "report.html") in first
    code, text, err = command("evaluate", *SMALL, "--out", tmp_path / "one", "--json")
    assert code == 0, err
    second = summary.read_text(encoding="utf-8")
    assert second.startswith(first)
    value = json.loads(text)
    asr = 100 * value["harmful"]["llm-landscape"]["asr"]["value"]
    [header, *rows] = table(second.removeprefix(first))
    assert header == ["judge", "ASR", "over-refusal", "not judged"]
    assert rows[0][0] == "llm-landscape"
    assert rows[0][1].startswith(f"{asr:.1f} % (")
    assert "capability" in second


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_file_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    if value is not None:
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)

    def built() -> Any:
        raise AssertionError("it was built for nobody")

    append(built)


@pytest.mark.parametrize("kind", ["folder", "no folder", "pipe", "read-only", "unreadable run"])
def test_what_cannot_be_appended_is_a_warning(
    summary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "no folder":
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary.parent / "absent" / "s.md"))
    elif kind in ("folder", "pipe"):
        summary.unlink()
        summary.mkdir() if kind == "folder" else os.mkfifo(summary)
    elif kind == "read-only":

        def refused(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("safebasin.cli.step_summary._append", refused)

    def built() -> str:
        if kind == "unreadable run":
            raise RunError("It has no summary.", "Make one.")
        return "## text\n"

    append(built)
    assert capsys.readouterr().err.startswith("warning: the step summary was not written: ")
