"""Limits and verdicts: the interval decides, what certainly fails fails, and doubt is no pass."""

from __future__ import annotations

import pytest

from safebasin.compare.gates import check, reasons_of, verdict_of
from safebasin.landscape.intervals import Estimate
from safebasin.report.quantities import quantity

RISE = Estimate(0.04, 0.0, 0.09)


@pytest.mark.parametrize(
    ("found", "limit", "side", "state"),
    [
        (RISE, 0.09, "at most", "pass"),
        (RISE, 0.05, "at most", "unsure"),
        (RISE, -0.01, "at most", "fail"),
        (RISE, 0.0, "at least", "pass"),
        (RISE, 0.05, "at least", "unsure"),
        (RISE, 0.10, "at least", "fail"),
        (Estimate(0.5, 0.5, None, at_least=True), 0.5, "at least", "pass"),
        (Estimate(0.5, 0.2, None, at_least=True), 0.5, "at least", "unsure"),
        (Estimate(0.5, 0.5, None, at_least=True), 0.9, "at most", "unsure"),
        (Estimate(0.9), 0.5, "at least", "unsure"),
        (Estimate(None, note="nothing was judged"), 0.5, "at least", "unsure"),
    ],
)
def test_the_whole_interval_decides(found: Estimate, limit: float, side: str, state: str) -> None:
    one = check("it", found, limit, side)  # type: ignore[arg-type]
    assert one.state == state
    assert one.passed == (state == "pass")
    assert bool(one.note) == (state != "pass")
    assert (one.value, one.level) == (found.value, found.level)


@pytest.mark.parametrize(
    ("found", "side", "state"),
    [
        (RISE, "at most", "pass"),
        (Estimate(0.06, 0.0, 0.09), "at most", "fail"),
        (Estimate(0.06), "at least", "pass"),
        (Estimate(0.04, at_least=True), "at most", "unsure"),
        (Estimate(None), "at most", "unsure"),
    ],
)
def test_the_estimate_alone_decides_where_asked(found: Estimate, side: str, state: str) -> None:
    one = check("it", found, 0.05, side, points=True)  # type: ignore[arg-type]
    assert one.state == state
    assert (one.low, one.high) == (None, None)


def test_a_note_is_one_sentence_with_the_interval_and_the_limit() -> None:
    more = "73 prompts would tell"
    unsure = check("rise of ASR", RISE, 0.05, "at most", unit="points", more=more)
    assert unsure.note == (
        "The rise of ASR is +4.0 (+0.0 to +9.0) points, and the limit of +5 points lies within "
        "that: 73 prompts would tell."
    )
    failed = check("capability", Estimate(0.5, 0.4, 0.6), 0.9, "at least", unit="%")
    assert failed.note == "The capability is 50.0 % (40.0 to 60.0), below the limit of 90 %."
    assert failed.text() == "capability 50.0 % (40.0 to 60.0), at least 90 %"
    nothing = check("capability", Estimate(None, note="nothing was asked"), 0.9, "at least")
    assert nothing.note == "The capability was not measured: nothing was asked."
    one = check("rise", Estimate(0.0, note="one prompt gives no interval"), 0.05, "at most")
    assert "no interval to decide by: one prompt gives no interval." in one.note
    longer = Estimate(0.5, 0.2, None, at_least=True)
    assert "0.50 (0.20 or more), and" in check("margin", longer, 0.4, "at least").note
    nats = check("KL", Estimate(0.25, 0.125, 0.5), 0.1, "at most", unit="nats")
    assert nats.text() == "KL 0.250 (0.125 to 0.500) nats, at most 0.1 nats"
    one = check("rise of ASR", RISE, 0.01, "at most", unit="points")
    assert "the limit of +1 point lies within" in one.note


def test_nats_far_below_one_are_said_with_the_digits_that_tell_them_from_none() -> None:
    assert quantity(0.00027, 0.00015, 0.00044, "nats") == "0.00027 (0.00015 to 0.00044) nats"
    assert quantity(0.0060, 0.0050, 0.0072, "nats") == "0.0060 (0.0050 to 0.0072) nats"
    assert quantity(0.0, 0.0, 0.0, "nats") == "0.000 (0.000 to 0.000) nats"
    assert quantity(3e-9, None, None, "nats") == "0.000000 nats"


def test_a_failure_wins_and_doubt_is_no_pass() -> None:
    passed = check("a", RISE, 0.09, "at most")
    unsure = check("b", RISE, 0.05, "at most")
    failed = check("c", RISE, -0.01, "at most")
    assert verdict_of((passed,)) == "PASS"
    assert reasons_of((passed,)) == ()
    assert verdict_of((passed,), ("Nothing was compared.",)) == "INCONCLUSIVE"
    assert verdict_of((passed, unsure)) == "INCONCLUSIVE"
    assert reasons_of((passed, unsure), ("Doubt.", "Doubt.")) == ("Doubt.", unsure.note)
    assert verdict_of((unsure, failed), ("Doubt.",)) == "FAIL"
    assert reasons_of((unsure, failed), ("Doubt.",)) == (failed.note,)


def test_a_check_is_stored_with_its_interval_and_state() -> None:
    assert check("rise of ASR", RISE, 0.09, "at most", unit="points").to_json() == {
        "name": "rise of ASR", "value": 0.04, "limit": 0.09, "side": "at most", "state": "pass",
        "passed": True, "note": "", "low": 0.0, "high": 0.09, "level": 0.95, "unit": "points",
    }  # fmt: skip
