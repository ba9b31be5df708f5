"""A comparison as JUnit XML: what a build server reads."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from safebasin.compare.gates import Check, check, reasons_of, verdict_of
from safebasin.compare.junit import check_target, junit_xml, write_junit
from safebasin.errors import RunError, UsageError
from safebasin.landscape.intervals import Estimate

Command = Callable[..., tuple[int, str, str]]
HOSTILE = "bad \x1b[31m\x00\x07 <b>&amp; ]]> \ud800\ufffe\uffff \u202e \"'"
RISE = check("rise of ASR", Estimate(0.4, 0.2, 0.6), 0.05, "at most", unit="points")
MARGIN = check("margin", Estimate(0.1, -0.1, 0.2), 0.0, "at least")
JUDGED = check("share judged", Estimate(1.0), 0.98, "at least", unit="%", points=True)


def made(*checks: Check, doubts: tuple[str, ...] = (), **changes: Any) -> Any:
    """As much of a comparison as a report of its checks reads."""
    own = {
        "base": "base", "tuned": "tuned", "prompts": "harmful (80)", "judge": "llm-landscape",
        "folder": Path("runs/gate"), "notes": ("A note.",), "checks": checks,
        "verdict": verdict_of(checks, doubts), "reasons": reasons_of(checks, doubts),
        "provenance": {"date": "2026-01-02T03:04:05+00:00", "versions": {"safebasin": "0.1.0"},
                       "models": {"base": {"fingerprint": "ab" * 32},
                                  "tuned": {"fingerprint": "cd" * 32}}},
    }  # fmt: skip
    own = {**own, **changes}
    return SimpleNamespace(**own, path=SimpleNamespace(judge=own["judge"]))


def parsed(data: bytes) -> ElementTree.Element:
    """The suite, held against what Ant and Jenkins ask of a report (their JUnit.xsd)."""
    root = ElementTree.fromstring(data)
    assert root.tag == "testsuites"
    [suite] = root
    assert suite.tag == "testsuite"
    order = [child.tag for child in suite]
    kinds = ["properties", "testcase", "system-out", "system-err"]
    assert order == sorted(order, key=kinds.index)
    assert order.count("properties") == order.count("system-out") == 1
    for name in ("name", "hostname", "timestamp", "time"):
        assert suite.get(name), name
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
    assert float(suite.get("time", "")) >= 0
    cases = suite.findall("testcase")
    counted = {
        "tests": len(cases),
        "failures": len(suite.findall("testcase/failure")),
        "errors": len(suite.findall("testcase/error")),
        "skipped": len(suite.findall("testcase/skipped")),
    }
    for element in (root, suite):
        assert {name: int(element.get(name, "")) for name in counted} == counted
    for case in cases:
        assert case.get("name")
        assert case.get("classname")
        assert float(case.get("time", "")) >= 0
        tags = [child.tag for child in case]
        assert tags in (["system-out"], *([tag, "system-out"] for tag in ("failure", "error"))
                        , ["skipped", "system-out"])  # fmt: skip
        for outcome in [*case.findall("failure"), *case.findall("error")]:
            assert outcome.get("message")
            assert outcome.get("type")
    for one in suite.findall("properties/property"):
        assert one.get("name")
        assert one.get("value") is not None
    return suite


def outcomes(suite: ElementTree.Element) -> dict[str, str]:
    """By test case: failure, error, skipped or passed."""
    return {
        case.get("name", ""): case[0].tag if len(case) > 1 else "passed"
        for case in suite.findall("testcase")
    }


def test_each_check_is_a_case_and_so_is_the_verdict() -> None:
    suite = parsed(junit_xml(made(RISE, MARGIN, JUDGED)))
    assert outcomes(suite) == {
        "rise of ASR": "failure",
        "margin": "skipped",
        "share judged": "passed",
        "verdict": "failure",
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("message") == RISE.note
    texts = [case.findtext("system-out") for case in suite.findall("testcase")]
    assert texts[0] == RISE.text()
    assert "+40.0 (+20.0 to +60.0) points" in RISE.text()
    assert suite.get("timestamp") == "2026-01-02T03:04:05"
    known = {p.get("name"): p.get("value") for p in suite.findall("properties/property")}
    assert known["base fingerprint"] == "ab" * 32
    assert known["judge"] == "llm-landscape"
    assert "A note." in suite.findtext("system-out", "")


def test_a_pass_has_nothing_but_passed_cases() -> None:
    assert set(outcomes(parsed(junit_xml(made(JUDGED)))).values()) == {"passed"}


def test_what_decides_nothing_is_no_green_report() -> None:
    suite = parsed(junit_xml(made(MARGIN, JUDGED, doubts=("The base is outside its own basin.",))))
    assert outcomes(suite)["verdict"] == "error"
    assert outcomes(suite)["margin"] == "skipped"
    error = suite.find("testcase/error")
    assert error is not None
    assert error.get("message") == f"The base is outside its own basin. {MARGIN.note}"


def test_hostile_text_is_text_and_no_illegal_character_is_left() -> None:
    found = made(
        replace(RISE, name=HOSTILE, note=HOSTILE), base=HOSTILE, tuned=HOSTILE, judge=HOSTILE,
        prompts=HOSTILE, notes=(HOSTILE,), folder=Path(HOSTILE.replace("\x00", "")),
        doubts=(HOSTILE,),
    )  # fmt: skip
    data = junit_xml(found)
    text = data.decode("utf-8")
    legal = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
    assert legal.fullmatch(text)
    assert "\u202e" not in text
    suite = parsed(data)
    assert suite.find("b") is None
    out = suite.findtext("system-out", "")
    assert "<b>&amp; ]]>" in out
    assert r"\x1b[31m\x00" in out


def test_a_comparison_without_a_record_of_its_origin_has_a_report() -> None:
    suite = parsed(junit_xml(made(JUDGED, provenance={"date": "2026-01-02T03:04:05+02:00"})))
    assert suite.get("timestamp") == "2026-01-02T01:04:05"


def test_where_the_file_cannot_be_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    target = tmp_path / "new" / "junit.xml"
    check_target(target)
    write_junit(made(JUDGED), target)
    check_target(target)
    parsed(target.read_bytes())
    with pytest.raises(UsageError, match="no plain file"):
        check_target(tmp_path)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    for path in (tmp_path / "notes.txt" / "junit.xml", tmp_path / "notes.txt" / "new" / "x.xml"):
        with pytest.raises(RunError, match=r"notes\.txt"):
            check_target(path)
    with pytest.raises(UsageError, match=r"notes\.txt"):
        check_target(tmp_path / "notes.txt")
