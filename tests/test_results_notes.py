"""What is said of a map beside its numbers."""

from __future__ import annotations

from pathlib import Path

import judged_runs
from judged_runs import COMPLIANCE, REFUSAL
from safebasin.results import look, rejudge


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
