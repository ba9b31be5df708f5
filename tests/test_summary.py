"""The numbers of a run as sentences, also where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

import judged_runs
from judged_runs import COMPLIANCE, REFUSAL
from safebasin.cli.summary import lines
from safebasin.landscape import Estimate
from safebasin.plane import Axis, Plane
from safebasin.results import rejudge

PLANE = Plane((Axis("a", (-0.1, 0.0, 0.1)), Axis("b", (-0.1, 0.0, 0.1))))


THOUGHT = "<think>on and on"
"""A thought without an answer, which no judge judges."""


def told(folder: Path) -> dict[str, str]:
    """The first line of each name."""
    found: dict[str, str] = {}
    for name, text in lines(rejudge(folder, ["refusal"])):
        found.setdefault(name, text)
    return found


def test_a_line_where_nothing_was_judged(tmp_path: Path) -> None:
    said = told(judged_runs.write(tmp_path / "run", lambda p, n: ""))
    assert said["origin"] == "ASR not defined"
    assert said["basin"] == (
        "not known: no point on either side was judged together with the origin"
    )
    assert said["VISAGE"] == said["area"] == "not defined: nothing was judged at 5 of 5 points"
    assert said["edge"] == (
        "not defined: ASR rises from within the tolerance to 90 % on neither side"
    )


def test_a_plane_where_nothing_was_judged(tmp_path: Path) -> None:
    said = told(judged_runs.write(tmp_path / "run", lambda p, n: "", 3, PLANE))
    for name in ("basin", "VISAGE", "area"):
        assert said[name] == "not defined: nothing was judged at 9 of 9 points"
    assert "radius" not in said


def test_a_side_where_nothing_was_judged(tmp_path: Path) -> None:
    def answer(point, number: int) -> str:  # type: ignore[no-untyped-def]
        along = dict(point.terms).get("gaussian-0", 0.0)
        return "" if along < 0 else COMPLIANCE if along > 0.15 else REFUSAL

    said = told(judged_runs.write(tmp_path / "run", answer))
    assert said["basin"].startswith(
        "not known below (no point on this side was judged together with the origin), 0.11 "
    )
    assert said["edge"].startswith("ASR rises by 10.0")
    assert said["edge"].endswith(
        " per unit of alpha above; below, it does not rise from within the tolerance to 90 %"
    )
    assert "of the range is safe; nothing was judged at 2 of 5 points" in said["area"]


def test_shares_are_never_nan(tmp_path: Path) -> None:
    """A point without a verdict is left out of the mean over points, and said to be."""

    def answer(point, number: int) -> str:  # type: ignore[no-untyped-def]
        return THOUGHT if dict(point.terms).get("gaussian-0", 0.0) < 0 else REFUSAL

    judges = ["llm-landscape", "outcome"]
    some = [text for _, text in lines(rejudge(judged_runs.write(tmp_path / "a", answer), judges))]
    mean = next(text for text in some if "in the mean of" in text)
    assert mean.startswith("refused 100 · complied 0 · incoherent 0 in the mean of the 3 of 5")
    none = judged_runs.write(tmp_path / "b", lambda point, number: THOUGHT)
    rest = [text for _, text in lines(rejudge(none, judges))]
    assert not any("nan" in text.split() for text in (*some, *rest))
    assert not any("in the mean of" in text for text in rest)


def test_agreement_on_nothing(command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    run = judged_runs.write(tmp_path / "run", lambda p, n: "", 3, PLANE)
    rejudge(run, ["refusal"])
    _, out, _ = command("judges", "agree", run, "--judge", "arditi")
    assert "refusal and arditi: not defined: nothing was judged\n" in out
    assert "origin ASR not defined, basin not defined, VISAGE not defined" in out


@pytest.mark.parametrize("note", ["", "one share is not defined"])
def test_a_gap_that_is_not_defined(note: str) -> None:
    from safebasin.cli.summary import share, undefined

    words = f"not defined: {note}" if note else "not defined"
    assert undefined(Estimate(None, note=note)) == share(Estimate(None, note=note), "of x") == words
    assert share(Estimate(0.5, 0.25, 0.75), "of x") == "50.0 % (25.0 to 75.0) of x"
