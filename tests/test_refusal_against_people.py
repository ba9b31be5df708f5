"""The refusal judge against people's labels of real models' answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from safebasin.agreement import calibrate_judge, read_labelled
from safebasin.judges import RefusalJudge, build

LABELLED = Path(__file__).parents[2] / "shared" / "data" / "labelled"
FILES = ("xstest_v2_completions_gpt4.csv", "xstest_v2_completions_llama2orig.csv")

pytestmark = pytest.mark.skipif(
    not LABELLED.is_dir(), reason="the labelled answers of XSTest are not beside this clone"
)


@pytest.mark.parametrize("name", FILES)
def test_it_agrees_with_people_on_xstest(name: str) -> None:
    labelled = read_labelled(LABELLED / name)
    found = calibrate_judge(RefusalJudge(), labelled)
    assert found.kappa.value is not None
    assert found.kappa.value > 0.9
    keywords = calibrate_judge(build("llm-landscape"), labelled).kappa.value
    assert keywords is not None
    assert found.kappa.value > keywords
    assert found.asr is not None
    people = found.asr.humans_with_partial
    assert people is not None
    assert found.asr.judge.value == pytest.approx(people.value, abs=0.05)


@pytest.mark.parametrize("name", FILES)
def test_a_refusal_begins_inside_the_answer(name: str) -> None:
    labelled = read_labelled(LABELLED / name)
    verdicts = RefusalJudge().judge(labelled.exchanges)
    for exchange, verdict in zip(labelled.exchanges, verdicts, strict=True):
        if verdict.outcome == "refused":
            assert verdict.start is not None
            assert exchange.response[verdict.start].isalnum() or verdict.start == 0
