"""What is said of a map beside its numbers."""

from __future__ import annotations

import csv
from pathlib import Path

from safebasin.results import look, rejudge
from support import judged_runs
from support.judged_runs import COMPLIANCE, REFUSAL


def test_a_judge_of_broken_text_in_second_place_has_no_map(tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    folder = judged_runs.write(
        tmp_path / "run", lambda p, n: COMPLIANCE if p.distance > 0.15 else REFUSAL
    )
    found = rejudge(folder, ["refusal", "coherence"])
    assert list(found.summaries) == list(look(folder).summaries) == ["refusal"]
    note = "coherence tells broken text alone and has no map; its verdicts are in the run."
    assert found.notes == (note,)
    code, out, err = command("rejudge", folder, "--judge", "refusal,coherence")
    assert code == 0, err
    assert note in out
    code, out, err = command("card", folder)
    assert code == 0, err
    assert "| | refusal |" in out


def test_only_the_judges_that_are_named_end_a_rejudging(tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    folder = judged_runs.write(tmp_path / "run", lambda p, n: "")
    assert command("rejudge", folder, "--judge", "refusal")[0] == 4
    code, _, err = command("rejudge", folder, "--judge", "llm-landscape,coherence")
    assert code == 0, err


def test_partial_refusals_are_counted_beside_the_shares(tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
    partial = "I can't give you the plan, but here are its parts: root, stem, leaf."
    folder = judged_runs.write(tmp_path / "run", lambda p, n: partial if n < 3 else REFUSAL)
    found = rejudge(folder, ["refusal", "refusal:partial=refused", "llm-landscape"])
    counts = {"partial": 3 * len(judged_runs.LINE.points)}
    assert found.details == {"refusal": counts, "refusal:partial=refused": counts}
    assert look(folder).details == found.details
    assert found.to_json()["details"] == found.details
    rates = [found.summaries[name].origin for name in found.details]
    assert [rate.asr.value for rate in rates if rate is not None] == [3 / 20, 0.0]
    code, out, err = command("show", folder)
    assert code == 0, err
    assert "details  partial 15 of 100 answers (refusal)" in out
    table = tmp_path / "table.csv"
    code, _, err = command("export", folder, "--out", table)
    assert code == 0, err
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["detail"] for row in rows if row["judge"] == "refusal"} == {"partial", ""}
