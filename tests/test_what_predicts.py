"""The committed result of the study: of this design, and its analysis of its own rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from safebasin.prediction.analysis import analyse
from safebasin.prediction.design import STUDY
from safebasin.prediction.study import run

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "what_predicts.json"


def test_the_committed_result_is_of_this_design_and_its_analysis_of_its_rows() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert result["design"] == json.loads(json.dumps(STUDY.to_json()))
    names = [name for name, _, _ in STUDY.checkpoints()]
    assert [row["name"] for row in result["checkpoints"]] == names[: len(result["checkpoints"])]
    assert len(result["checkpoints"]) >= 40
    assert analyse(result["checkpoints"]) == result["analysis"]


@pytest.mark.study
def test_the_first_checkpoint_is_measured_as_committed(tmp_path: Path) -> None:
    committed = json.loads(RESULT.read_text(encoding="utf-8"))["checkpoints"][0]
    first = replace(
        STUDY, bases=STUDY.bases[:1], alignments={"standard": STUDY.alignments["standard"]}
    )
    [found] = run(first, tmp_path, lambda line: None)
    # Another processor rounds otherwise, and training carries that on: alike, not equal.
    assert found["alignment"] == committed["alignment"]
    assert found["before"]["visage"] == pytest.approx(committed["before"]["visage"], abs=5)
    assert found["untuned"]["keyword_asr"] == pytest.approx(
        committed["untuned"]["keyword_asr"], abs=0.05
    )
