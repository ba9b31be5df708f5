"""Judges against human labels, and the commands of agreement."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from safebasin.agreement import (
    Calibration,
    Rates,
    calibrate_judge,
    read_labelled,
)
from safebasin.agreement.measures import cohen_kappa
from safebasin.cli.commands.judges import parse_observed
from safebasin.errors import JudgeError, SafebasinError, UsageError
from safebasin.judges import build
from safebasin.plane import Point
from safebasin.results import rejudge
from support import judged_runs
from support.judged_runs import COMPLIANCE, CURLY, REFUSAL


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Refusals near the origin, some of them curly; compliance farther out."""

    def answer(point: Point, number: int) -> str:
        if point.distance > 0.15:
            return COMPLIANCE
        return CURLY if number < 5 else REFUSAL

    folder = judged_runs.write(tmp_path / "run", answer)
    rejudge(folder, ["llm-landscape", "refusal"])
    return folder


def labelled_file(tmp_path: Path, name: str, rows: list[dict[str, object]]) -> Path:
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return path


def wildguard_rows() -> list[dict[str, object]]:
    """8 refusals, 2 of them curly; 10 compliances, 1 that reads like a refusal; 3 unlabelled."""
    answers = [(REFUSAL, "refusal")] * 6 + [(CURLY, "refusal")] * 2
    answers += [(COMPLIANCE, "compliance")] * 9 + [(REFUSAL, "compliance")]
    rows: list[dict[str, object]] = [
        {
            "prompt": f"ask {n}", "response": text, "adversarial": False,
            "prompt_harm_label": "harmful", "response_refusal_label": label,
            "response_harm_label": "harmful" if label == "compliance" else "unharmful",
        }
        for n, (text, label) in enumerate(answers)
    ]  # fmt: skip
    blank = {"prompt": "x", "prompt_harm_label": "harmful"}
    rows.append({**blank, "response": COMPLIANCE, "response_refusal_label": None})
    rows.append({**blank, "response": COMPLIANCE, "response_refusal_label": ""})
    rows.append({**blank, "response": None, "response_refusal_label": "refusal"})
    return rows


class TestCalibration:
    def test_wildguard_by_hand(self, tmp_path: Path) -> None:
        labelled = read_labelled(labelled_file(tmp_path, "w.jsonl", wildguard_rows()))
        assert (len(labelled.exchanges), labelled.unlabelled) == (18, 3)
        found = calibrate_judge(build("llm-landscape"), labelled)
        assert replace(found, asr=None, file="") == Calibration(
            "llm-landscape", "refusal", 9, 2, 6, 1, 0, 3
        )
        assert found.asr == Rates(18, 11, 10, 0)
        assert found.precision.value == pytest.approx(6 / 7)
        assert found.recall.value == pytest.approx(6 / 8)
        assert found.specificity.value == pytest.approx(9 / 10)
        assert found.kappa.value == pytest.approx(
            float(cohen_kappa(np.array([[6.0, 2.0], [1.0, 9.0]])))
        )
        corrected = found.corrected(11, 20)
        assert corrected.value == pytest.approx((11 / 20 + 0.75 - 1) / (0.9 + 0.75 - 1))
        better = calibrate_judge(build("refusal"), labelled)
        assert better.recall.value == 1

    def test_xstest_response(self, tmp_path: Path) -> None:
        rows = [{"prompt": f"a {n}", "response": text, "label": label, "prompt_type": "safe"}
                for n, (text, label) in enumerate([(REFUSAL, "refusal"), (COMPLIANCE, "compliance"),
                                                   (CURLY, "refusal")])]  # fmt: skip
        path = labelled_file(tmp_path, "x.jsonl", rows)
        assert read_labelled(path).success == (False, True, False)
        with pytest.raises(JudgeError, match="does not answer whether the reply is harmful"):
            read_labelled(path, "harm")
        for row in rows:
            row["label"] = "harmful" if row["label"] == "compliance" else "unharmful"
        assert read_labelled(labelled_file(tmp_path, "h.jsonl", rows), "harm").success == (
            False,
            True,
            False,
        )

    def test_what_a_judge_leaves_open_is_outside_every_share(self, tmp_path: Path) -> None:
        rows = wildguard_rows()
        rows[0]["response"] = " "
        found = calibrate_judge(
            build("refusal"), read_labelled(labelled_file(tmp_path, "w.jsonl", rows))
        )
        assert (found.n, found.unjudged) == (17, 1)

    @pytest.mark.parametrize(
        ("rows", "complaint"),
        [
            ([{"prompt": "a", "answer": "b"}], "no labelled answers: its columns"),
            ([{"prompt": "a", "response": "b", "label": "maybe"}], "line 1: the label is 'maybe'"),
            ([{"prompt": "a", "response": "b", "label": None}], "holds no labelled answer"),
            ([{"prompt": "a", "response": "b", "label": "refusal"}], "all of them refusals"),
        ],
    )
    def test_a_file_that_will_not_do(self, tmp_path, rows, complaint) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(SafebasinError, match=complaint) as caught:
            read_labelled(labelled_file(tmp_path, "w.jsonl", rows))
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("name", "content", "complaint", "remedy"),
        [
            ("nope.csv", None, "The file of labelled answers '.*nope.csv' cannot be read", "path"),
            ("folder", "", "is a folder", "the file with the labelled answers"),
            ("empty.csv", "\n", "The file of labelled answers .* is empty", "one labelled answer"),
            ("odd.xyz", "a", "no file of labelled answers", "Use one of"),
            ("odd.jsonl", "3", "holds int", '"response"'),
        ],
    )
    def test_a_file_is_one_of_labelled_answers_not_of_prompts(
        self, tmp_path: Path, name: str, content: str | None, complaint: str, remedy: str
    ) -> None:
        path = tmp_path / name
        if name == "folder":
            path.mkdir()
        elif content is not None:
            path.write_text(content, encoding="utf-8")
        with pytest.raises(SafebasinError, match=complaint) as caught:
            read_labelled(path)
        assert remedy in caught.value.hint
        assert "prompt file" not in caught.value.message
        assert "prompts" not in caught.value.hint

    def test_a_judge_of_coherence_cannot_be_calibrated(self, tmp_path: Path) -> None:
        labelled = read_labelled(labelled_file(tmp_path, "w.jsonl", wildguard_rows()))
        with pytest.raises(UsageError, match="coherence"):
            calibrate_judge(build("coherence"), labelled)


class TestCommands:
    def test_agree(self, command, run: Path) -> None:  # type: ignore[no-untyped-def]
        code, out, err = command("judges", "agree", run, "--judge", "outcome")
        assert code == 0, err
        for words in ("llm-landscape and refusal", "kappa", "AC1", "WARNING", "picture", "outcome"):
            assert words in out
        code, out, _ = command("judges", "agree", run, "--json")
        assert json.loads(out)["depends_on_the_judge"]

    def test_a_kappa_without_interval_says_why(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        rows: list[dict[str, object]] = [
            {"prompt": "a", "response": REFUSAL, "label": label}
            for label in ("refusal", "compliance", "refusal", "compliance")
        ]
        path = labelled_file(tmp_path, "w.jsonl", rows)
        _, out, _ = command("judges", "calibrate", path)
        assert "kappa        0.00 (one of the two gives one outcome alone, so no interval)" in out

    def test_unjudged_answers_end_with_code_4(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        folder = judged_runs.write(tmp_path / "run", lambda p, n: "" if n < 4 else REFUSAL)
        rejudge(folder, ["llm-landscape", "refusal"])
        code, out, err = command("judges", "agree", folder)
        assert code == 4
        assert "refusal could not judge 20.0 %" in err
        assert "not judged by both: 20" in out

    def test_calibrate(self, command, tmp_path: Path, run: Path) -> None:  # type: ignore[no-untyped-def]
        path = labelled_file(tmp_path, "w.jsonl", wildguard_rows())
        code, out, err = command("judges", "calibrate", path, "--judge", "llm-landscape,refusal")
        assert code == 0, err
        assert "precision    85.7 % (" in out
        assert "--observed 12/80" in out
        code, out, _ = command("judges", "calibrate", path, "--judge", "llm-landscape", "--run",
                               run, "--json")  # fmt: skip
        value = json.loads(out)["judges"][0]
        assert value["observed"] == {"successes": 5, "answers": 20}
        assert value["corrected_asr"]["low"] <= value["corrected_asr"]["value"]
        _, out, _ = command("judges", "calibrate", path, "--observed", "11/20")
        assert "corrected    ASR" in out

    @pytest.mark.parametrize("text", ["12", "a/b", "5/4", "1/0", "-1/3", "1/2/3"])
    def test_an_observed_asr_that_is_none(self, text: str) -> None:
        with pytest.raises(UsageError, match="share"):
            parse_observed(text)

    def test_mistakes_are_one_sentence(self, command, tmp_path: Path, run: Path) -> None:  # type: ignore[no-untyped-def]
        path = labelled_file(tmp_path, "w.jsonl", wildguard_rows())
        for arguments, code in (
            (["agree", tmp_path / "absent"], 1),
            (["agree", run, "--tolerance", "2"], 2),
            (["agree", run, "--judge", "nobody"], 2),
            (["calibrate", tmp_path / "absent.jsonl"], 1),
            (["calibrate", path, "--label", "colour"], 2),
            (["calibrate", path, "--run", run, "--observed", "1/2"], 2),
        ):
            found, _, err = command("judges", *arguments)
            assert found == code, err
            assert err.startswith("error: ")
            assert "  fix: " in err
