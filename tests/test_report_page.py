"""The page of a run, read without a browser: what is in it, and what must never be."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import random
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

from safebasin.errors import RunError
from safebasin.landscape import Estimate
from safebasin.plane import Axis, Plane, Point
from safebasin.report import style
from safebasin.report.page import document, findings, write_page
from safebasin.report.page.document import sittings
from safebasin.report.page.texts import LONGEST, Texts, fingerprint, shown
from safebasin.results import look, rejudge, review
from safebasin.run import RunFolder
from support import hostile_runs, judged_runs


def breaking(point: Point, n: int) -> str:
    """Refusals near the origin, compliance from 0.2 on."""
    return judged_runs.REFUSAL if point.distance < 0.15 else f"{judged_runs.COMPLIANCE} Plan {n}."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = judged_runs.write(tmp_path_factory.mktemp("page") / "run", breaking)
    rejudge(path, ["llm-landscape", "refusal"])
    return path


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hostile_runs.write(tmp_path_factory.mktemp("hostile") / "run")


def unpack(page: str, name: str) -> str:
    packed = re.search(rf'id="{name}">([A-Za-z0-9+/=]+)</script>', page)
    assert packed is not None
    return gzip.decompress(base64.b64decode(packed[1])).decode("utf-8")


def data(page: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(unpack(page, "data"))
    return value


def test_the_page_is_one_small_file_with_a_policy_by_hashes(run: Path) -> None:
    page = document([look(run)])
    assert len(page.encode()) < 6_000_000
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])  # type: ignore[index]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    style_sheet = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    for part in (script, style_sheet):
        assert part is not None
        assert sha256(part[1]) in policy
    assert sha256(unpack(page, "plotly")) in policy
    visible = re.sub(r'<script type="application.*?</script>', "", page, flags=re.DOTALL)
    assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=", visible.split("<script>")[0])
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", visible)


def sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_texts_are_there_only_when_asked_for(run: Path) -> None:
    without = document([look(run)])
    everything = without + unpack(without, "data")
    assert "Certainly" not in everything
    assert "cannot help" not in everything
    assert "ask p1" not in everything
    known = data(without)["runs"][0]
    assert known["answerTexts"]["texts"] is None
    assert len(known["answerTexts"]["hashes"]) == 21
    answers = data(document([look(run)], show_text=True))["runs"][0]["answerTexts"]["texts"]
    assert judged_runs.REFUSAL in answers


def test_the_numbers_are_those_of_the_run(run: Path) -> None:
    result = look(run)
    known = data(document([result]))["runs"][0]
    first = known["judges"][0]
    assert first["name"] == "llm-landscape"
    assert first["mean"]["value"] == [1.0, 0.0, 0.0, 0.0, 1.0]
    cell = result.summary.cells[0][0]
    assert first["cells"][0][:5] == [0, 20, 0, 0, 0]
    assert first["cells"][0][5] == pytest.approx(cell.asr.low, abs=1e-4)
    assert known["verdicts"][0]["letters"][0] == "c" * 20
    assert known["verdicts"][0]["letters"][known["origin"]] == "r" * 20
    assert known["points"][known["origin"]] == "origin"
    page = document([result])
    assert result.summary.visage.text(".1f") in page


def test_capabilities_are_told_point_by_point_with_their_own_intervals(tmp_path: Path) -> None:
    path = judged_runs.write(tmp_path / "run", breaking, capabilities=judged_runs.CAPABILITIES)
    rejudge(path, ["llm-landscape"])
    result = look(path)
    choice, text = data(document([result]))["runs"][0]["capabilities"]
    assert (choice["name"], choice["scale"], choice["isShare"]) == (
        "testbed:choice",
        "accuracy",
        True,
    )
    assert (text["scale"], text["isShare"]) == ("perplexity", False)
    points = data(document([result]))["runs"][0]["points"]
    far, broken = points.index("gaussian-0=+0.2"), points.index("gaussian-0=-0.2")
    wilson = result.capabilities[0].reading(Point.of({"gaussian-0": 0.2}))
    assert wilson is not None
    assert choice["readings"][far] == pytest.approx(
        [0.8, wilson.value.low, wilson.value.high], abs=1e-4
    )
    assert text["readings"][far] is None
    assert text["readings"][broken] == [None, None, None]
    value, low, high = text["readings"][points.index("origin")]
    assert low < value < high
    assert value == pytest.approx(np.exp(1.1), abs=1e-4)


def test_the_headline_says_what_was_found_and_how_sure(run: Path) -> None:
    result = look(run)
    said = findings.headline(result)
    assert result.summary.basin is not None
    assert result.summary.basin.width.text() in said
    assert "10 %" in said
    sure = " ".join(findings.certainty(result))
    assert "20 prompts and 1 line" in sure
    assert "weights' norm" in said
    assert "Only 1 line was drawn" in sure


def test_a_path_is_not_in_units_of_the_weights_norm(tmp_path: Path) -> None:
    path = Plane((Axis("tuned", (0.0, 0.1, 0.2)),))
    run = judged_runs.write(tmp_path / "run", breaking, plane=path, directions=[])
    rejudge(run, ["llm-landscape"])
    assert "of the direction's length from the origin" in findings.headline(look(run))
    assert "drawn" not in " ".join(findings.certainty(look(run)))


def test_a_broken_origin_and_a_missing_one_are_said(tmp_path: Path) -> None:
    bad = judged_runs.write(tmp_path / "bad", lambda point, n: judged_runs.COMPLIANCE)
    rejudge(bad, ["llm-landscape"])
    assert "outside its safety basin before it is displaced" in findings.headline(look(bad))
    off = Plane((Axis("gaussian-0", (0.1, 0.2)),))
    away = judged_runs.write(tmp_path / "away", breaking, plane=off)
    rejudge(away, ["llm-landscape"])
    assert "was not measured" in findings.headline(look(away))
    document([look(bad), look(away)])


def test_judges_that_disagree_are_named(tmp_path: Path) -> None:
    curly = judged_runs.write(tmp_path / "run", lambda point, n: judged_runs.CURLY)
    rejudge(curly, ["refusal", "llm-landscape"])
    assert any("depends on the judge" in text for text in findings.certainty(look(curly)))


def test_several_runs_are_compared_and_their_differences_named(run: Path, tmp_path: Path) -> None:
    other = judged_runs.write(tmp_path / "other", breaking, prompts=10)
    rejudge(other, ["refusal"])
    results = [look(run), look(other)]
    page = document(results)
    assert len(data(page)["runs"]) == 2
    said = findings.differences(results)
    assert any("prompts" in text for text in said)
    assert any("judge" in text for text in said)
    assert findings.differences([results[0], results[0]]) == []
    assert findings.comparison(results)[0][:3] == ["run", "judge", "prompts"]


def test_what_is_the_same_in_all_runs_is_said_once(run: Path) -> None:
    results = [look(run), look(run)]
    head, rows = findings.comparison(results)
    assert head == ["run", "ASR at the origin", "VISAGE", "safe area", "basin"]
    assert all(len(row) == len(head) for row in rows)
    said = findings.alike(results)
    assert said == "The same in all runs: judge llm-landscape, prompts topics (20), not judged 0."
    assert findings.alike(results[:1])


def narrow(point: Point, n: int) -> str:
    """Refusals at the origin only."""
    return judged_runs.REFUSAL if point.is_origin else f"{judged_runs.COMPLIANCE} Plan {n}."


def test_several_runs_are_ranked_in_one_sentence(run: Path, tmp_path: Path) -> None:
    tight = judged_runs.write(tmp_path / "tight", narrow)
    rejudge(tight, ["llm-landscape"])
    said = findings.ranking([look(tight), look(run)])
    assert "Of 2 runs the safety basin of pico (run) is the widest" in said
    assert "pico (tight) the narrowest" in said
    assert "neither lies within the interval of the other" in said
    assert said in document([look(tight), look(run)]).replace("\u00a0", " ").replace("&#39;", "'")
    first = look(run)
    assert first.summary.basin is not None
    basin = replace(first.summary.basin, width=Estimate(0.2, 0.1, 0.5))
    near = replace(first, summaries={"llm-landscape": replace(first.summary, basin=basin)})
    assert "do not differ beyond their intervals: they go from" in findings.ranking([first, near])
    assert "of the same size" in findings.ranking([look(run), look(run)])
    path = judged_runs.write(tmp_path / "path", narrow, directions=[])
    rejudge(path, ["llm-landscape"])
    other = [look(run), look(path)]
    assert findings.ranking(other) == "", "in other units, there is no order"
    assert not findings.one_axis(other)
    assert any("different units" in text for text in findings.differences(other))
    assert findings.one_axis([look(run), look(tight)])


def test_sittings_that_are_alike_are_told_once() -> None:
    one = {"command": ["safebasin", "scan", "a b"], "versions": {"numpy": "2"}, "git": {}}
    times = [f"2026-01-01T00:00:0{i}+00:00" for i in range(4)]
    sessions = [{**one, "started": time} for time in times]
    sessions[3]["command"] = ["safebasin", "rejudge"]
    first, second = sittings(sessions)
    assert first["command"] == "safebasin scan 'a b'"
    assert (first["started"], first["ended"], first["count"]) == (
        "2026-01-01 00:00:00 UTC", "2026-01-01 00:00:02 UTC", 3,
    )  # fmt: skip
    assert (second["ended"], second["count"]) == ("", 1)


def test_hostile_text_is_data_and_nothing_else(hostile: Path) -> None:
    page = document([look(hostile)], show_text=True)
    assert len(page.encode()) < 6_000_000
    tags = re.findall(r"<script[^>]*>", page)
    assert tags == [
        '<script type="application/octet-stream" id="data">',
        '<script type="application/octet-stream" id="plotly">',
        "<script>",
    ]
    assert "<img" not in page
    assert "{{7*7}}" in page
    for character in "\x00\x1b\u202e\u2066\u2028\ud800":
        assert character not in page
        assert character not in unpack(page, "data")
    page.encode("utf-8")


def test_a_long_answer_is_cut_and_says_so(hostile: Path) -> None:
    texts = data(document([look(hostile)], show_text=True))["runs"][0]["answerTexts"]
    [(number, left)] = texts["cut"].items()
    assert left == len(hostile_runs.LONG) - LONGEST
    assert len(texts["texts"][int(number)]) == LONGEST


def test_a_thought_stands_apart_from_its_answer(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>\u202e"

    def answer(point: Point, n: int) -> str:
        if n == 0:
            return "<think>\nno answer yet"
        return f"<think>\n{hostile}{'a' * LONGEST}</think>\n\n{judged_runs.REFUSAL}{n}"

    path = judged_runs.write(tmp_path / "run", answer, prompts=3)
    rejudge(path, ["refusal"])
    page = document([look(path)], show_text=True)
    assert "<img" not in page
    texts = data(page)["runs"][0]["answerTexts"]
    assert texts["texts"] == ["", f"{judged_runs.REFUSAL}1", f"{judged_runs.REFUSAL}2"]
    assert texts["thoughts"]["0"] == "no answer yet"
    assert texts["thoughts"]["1"].startswith("</script><img src=x onerror=alert(1)>\\u202e")
    assert texts["cut"] == {number: len(hostile) for number in ("1", "2")}
    assert texts["hashes"][0] == fingerprint("<think>\nno answer yet")
    assert data(document([look(path)]))["runs"][0]["answerTexts"]["thoughts"] == {}


def test_a_page_of_long_answers_can_still_be_sent_by_mail(tmp_path: Path) -> None:
    """Each answer is another one that does not compress: 400 of 40 kB."""
    draw = random.Random(0)

    def answer(point: Point, n: int) -> str:
        return "Certainly. " + draw.randbytes(20_000).hex()

    run = judged_runs.write(tmp_path / "run", answer, prompts=80)
    rejudge(run, ["llm-landscape"])
    page = document([look(run)], show_text=True)
    assert 4_000_000 < len(page.encode()) < 6_000_000
    texts = data(page)["runs"][0]["answerTexts"]
    [longest] = {len(text) for text in texts["texts"]}
    assert set(texts["cut"].values()) == {40_011 - longest}
    assert f"at most {longest} characters are here" in page


def test_foreign_text_is_shown_as_escapes() -> None:
    assert shown("a\x00b\u202ec\ud800\nd") == "a\\x00b\\u202ec\\ud800\nd"
    assert shown("two\nlines", lines=False) == "two\\x0alines"
    assert shown("ordinary – text") == "ordinary – text"
    texts = Texts(keep=False)
    assert [texts.add(text) for text in ("a", "b", "a")] == [0, 1, 0]
    assert texts.to_json()["texts"] is None


def test_every_summary_writes_a_page_and_a_running_scan_can_be_looked_at(run: Path) -> None:
    result = review(run)
    assert result.page == run / "report.html"
    with RunFolder.reopen(run):
        write_page(run / "again.html", [look(run)])
    again, first = ((run / name).read_text("utf-8") for name in ("again.html", "report.html"))
    assert data(again) == data(first)


def test_a_damaged_record_is_named(run: Path, tmp_path: Path) -> None:
    result = look(run)
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    record = next((broken / "points").iterdir())
    record.write_bytes(record.read_bytes()[:-40])
    with pytest.raises(RunError, match="damaged"):
        document([replace(result, folder=broken)])


def test_the_page_is_written_in_less_than_a_second(run: Path) -> None:
    result = look(run)
    document([result])  # plotly is packed once a process
    began = time.process_time()
    document([result])
    assert time.process_time() - began < 0.5


def test_the_colours_of_the_rate_are_those_of_the_pictures() -> None:
    there = tuple(to_hex(colormaps[style.RATE_MAP](i / 10)) for i in range(11))
    assert there == style.RATE_COLOURS


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast of two colours, from 1 to 21."""
    channels = np.array([to_rgb(colour) for colour in (one, other)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    dark, light = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return float((light + 0.05) / (dark + 0.05))


@pytest.mark.parametrize(("theme", "paper"), [("light", "#ffffff"), ("dark", "#14181c")])
def test_the_lines_of_compared_runs_stand_out_from_the_paper(theme: str, paper: str) -> None:
    assert len(set(style.COMPARED[theme])) == len(style.COMPARED_COLOURS)
    for colour in (*style.COMPARED[theme], style.ASR_COLOURS[theme]):
        assert contrast(colour, paper) >= 3, colour


def test_the_detail_of_a_verdict_stands_before_its_reason(tmp_path: Path) -> None:
    partial = "I can't give you the plan, but here are its parts: root, stem, leaf."
    path = judged_runs.write(tmp_path / "run", lambda point, number: partial)
    rejudge(path, ["refusal"])
    page = document([look(path)], show_text=True)
    assert "partial: inability, then help" in unpack(page, "data")
