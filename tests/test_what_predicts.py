"""The committed result of the study: of this design, and its analysis of its own rows."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from safebasin.prediction.analysis import analyse
from safebasin.prediction.design import STUDY
from safebasin.prediction.study import run

RESULT = Path(__file__).parents[1] / "benchmarks" / "results" / "what_predicts.json"
REAL = RESULT.with_name("what_predicts_real.json")


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


def scripts(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A script of benchmarks/ by its name."""
    monkeypatch.syspath_prepend(str(RESULT.parents[1]))
    return importlib.import_module(name)


def test_the_committed_result_of_the_real_model_is_of_its_design_and_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = scripts("what_predicts_real", monkeypatch)
    result = json.loads(REAL.read_text(encoding="utf-8"))
    assert result["design"] == json.loads(json.dumps(asdict(own.Design())))
    names = [name for name, _, _ in own.Design().checkpoints()]
    assert [row["name"] for row in result["checkpoints"]] == names[: len(result["checkpoints"])]
    assert own.analyse(result["checkpoints"]) == result["analysis"]


def test_what_a_real_model_says_of_the_order_of_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight made-up checkpoints whose first-token score orders them and whose VISAGE does not."""
    own = scripts("what_predicts_real", monkeypatch)
    page = scripts("what_predicts_page", monkeypatch)
    design = own.Design()
    found = [
        {
            "name": name, "base": "smollm2", "taught": taught, "seed": seed,
            "before": {
                "visage": 50.0 + 7 * (place % 3), "width": 0.1, "area": 0.5,
                "first_token": taught / 5 + seed / 100, "plain_asr": 0.05,
            },
            "after": {"harmful": [{"seed": 42, "keyword_asr": 1 - taught / 5 - seed / 100}]},
            "cpu_seconds": {"alignment": 60},
        }
        for place, (name, taught, seed) in enumerate(design.checkpoints())
    ]  # fmt: skip
    analysis = own.analyse(found)
    assert analysis["measures"]["first_token"]["value"] == -1.0
    assert analysis["measures"]["width"]["value"] is None
    assert own.analyse(found[:4]) is None
    few = {"design": asdict(design), "analysis": None, "checkpoints": found[:4]}
    real = {"design": asdict(design), "analysis": analysis, "checkpoints": found}
    committed = json.loads(RESULT.read_text(encoding="utf-8"))
    text = page.page(committed, real)
    assert "8 of 8 alignments" in text
    assert "4 checkpoints are too few for a correlation." in page.page(committed, few)
    assert "Here first-token score predicts after correction" in text
    assert "| not defined | - |" in text
    assert page.page(committed) == text.replace(
        text[text.index("## On a real model") : text.index("## How it was done")], ""
    )
