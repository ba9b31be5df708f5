"""Every kind of folder: its card, show, verify, export and report, and what was changed in it."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from safebasin.compare.preparation import prepare as prepare_compare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare as run_compare
from safebasin.conditions.preparation import prepare as prepare_conditions
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.study import study
from safebasin.config import ScanConfig
from safebasin.errors import RunError
from safebasin.evaluate.preparation import prepare as prepare_evaluation
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.evaluate.study import evaluate
from safebasin.evidence.card import card, eval_results
from safebasin.evidence.recount import recount
from safebasin.evidence.verification import StudyVerification, verify
from safebasin.judging import LANDSCAPE
from safebasin.results import rejudge
from safebasin.run import RunFolder, sealed
from safebasin.run.kinds import STUDY_FILES, StudyFolder, study_folder
from safebasin.trajectory.preparation import prepare as prepare_trajectory
from safebasin.trajectory.settings import TrajectoryConfig
from safebasin.trajectory.study import trace
from safebasin.worst_case.preparation import prepare as prepare_worst_case
from safebasin.worst_case.settings import WorstCaseConfig
from safebasin.worst_case.study import search
from support import judged_runs
from support.judged_runs import COMPLIANCE, REFUSAL

TUNED = "testbed:harmful-100"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small real study of each kind, with the packaged models."""
    root = tmp_path_factory.mktemp("studies")

    def asked(kind: str, **more: Any) -> ScanConfig:
        given = {"limit": 4, "steps": 2, "seeds": (0,), "max_new_tokens": 32, **more}
        return ScanConfig(model="testbed:aligned", out=str(root / kind), **given)

    run_compare(prepare_compare(CompareConfig(TUNED, asked("comparison"), steps=3, refine=1)))
    evaluate(prepare_evaluation(EvaluateConfig(asked("evaluation"))))
    trace(
        prepare_trajectory(
            TrajectoryConfig(("testbed:harmful-50", TUNED), scan=asked("trajectory"))
        )
    )
    systems = ("template", "safety")
    study(prepare_conditions(ConditionsConfig(asked("conditions", limit=3), systems)))
    scan = asked("worst-case", limit=3)
    search(prepare_worst_case(WorstCaseConfig(scan, iterations=1, restarts=0, search=3, refine=1)))
    return {kind: root / kind for kind in STUDY_FILES}


@pytest.fixture
def copies(studies: dict[str, Path], tmp_path: Path) -> dict[str, Path]:
    """Their copies, to be changed."""
    return {kind: Path(shutil.copytree(path, tmp_path / kind)) for kind, path in studies.items()}


def opened(folder: Path) -> StudyFolder:
    found = study_folder(folder)
    assert found is not None
    return found


def own(folder: Path) -> list[str]:
    found = verify(folder)
    assert isinstance(found, StudyVerification)
    return [str(problem) for problem in found.problems]


def edited(folder: Path, change: Any, *, again: bool) -> Path:
    """A study whose file was edited; with `again` its digest was made anew, too."""
    file = opened(folder).file
    value = json.loads(file.read_bytes())
    change(value)
    if again:
        sealed.write(file, value)
    else:
        file.write_text(json.dumps(value))
    return folder


class TestEveryKind:
    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_it_is_told_apart_and_knows_its_runs(self, studies: dict[str, Path], kind: str) -> None:
        found = opened(studies[kind])
        assert (found.kind, found.file.name) == (kind, STUDY_FILES[kind])
        assert set(found.runs) == {path.parent for path in found.path.glob("*/manifest.json")}
        assert study_folder(found.runs[0]) is None

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_it_is_verified_with_its_runs(
        self, command: Any, studies: dict[str, Path], kind: str
    ) -> None:
        code, out, err = command("verify", studies[kind])
        assert code == 0, out + err
        assert f"{kind}: 0 problems" in out
        assert "not bound" not in out
        assert "no digest" not in out
        code, out, _ = command("verify", studies[kind], "--json")
        found = json.loads(out)
        names = {path.name for path in opened(studies[kind]).runs}
        assert (code, found["kind"], found["problems"], set(found["runs"])) == (
            0, kind, [], names,
        )  # fmt: skip

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_its_numbers_are_shown_again_by_the_records(
        self, command: Any, studies: dict[str, Path], kind: str
    ) -> None:
        found = recount(opened(studies[kind]))
        assert found.claims
        assert (found.false, found.left_out) == ((), ())
        code, out, err = command("show", studies[kind])
        assert code == 0, err
        assert found.opening in out
        assert "every interval is at 95 %" in out
        code, out, _ = command("show", studies[kind], "--json")
        shown = json.loads(out)
        stored = sealed.read(found.study.file)
        assert code == 0
        assert {key: shown[key] for key in stored} == stored

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_its_card_and_its_result_for_the_hub(
        self, command: Any, studies: dict[str, Path], tmp_path: Path, kind: str
    ) -> None:
        results = tmp_path / "results.yaml"
        code, out, err = command(
            "card", studies[kind], "--eval-results", results, "--dataset", "owner/topics"
        )
        assert code == 0, err
        assert out.startswith("## Safety in weight space\n")
        assert "testbed:harmful" in out
        for record in studies[kind].glob("*/points/*.jsonl"):
            for line in record.read_text().splitlines()[1:]:
                row = json.loads(line)
                texts = [text for text in (row["prompt"], row["response"]) if len(text) > 20]
                assert not any(text in out for text in texts)
        assert results.read_text().startswith("- dataset:")
        assert results.read_text().count("task_id") == 1

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_its_table_holds_the_rows_of_all_its_runs(
        self, command: Any, studies: dict[str, Path], tmp_path: Path, kind: str
    ) -> None:
        for _ in range(2):  # a table of a study is replaced by the next one
            code, _, err = command("export", studies[kind], "--out", tmp_path / "t.csv")
            assert code == 0, err
        with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
            found = Counter(row["run"] for row in csv.DictReader(file))
        for path in opened(studies[kind]).runs:
            run = RunFolder.read(path)
            rows = 0
            for point in run.manifest.points:
                answers = len(run.read_point(point) or ())
                rows += answers * max(1, len(run.judges()))
            assert found[path.name] == rows
        assert set(found) == {path.name for path in opened(studies[kind]).runs}

    @pytest.mark.parametrize("kind", ["evaluation", "conditions", "worst-case"])
    def test_its_page_shows_its_runs(
        self, command: Any, studies: dict[str, Path], tmp_path: Path, kind: str
    ) -> None:
        code, _, err = command("report", studies[kind], "--out", tmp_path / "page.html")
        assert code == 0, err
        assert (tmp_path / "page.html").read_text(encoding="utf-8").count("testbed:aligned") > 0

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_an_edited_file_is_found_and_nothing_is_published_by_it(
        self, command: Any, copies: dict[str, Path], kind: str
    ) -> None:
        folder = edited(copies[kind], lambda value: value.update(schema_version=0), again=False)
        file = STUDY_FILES[kind]
        code, out, _ = command("verify", folder)
        assert code == 1
        assert f"{file}, line 1: was changed after it was written" in out
        for name in ("card", "show"):
            code, out, err = command(name, folder)
            assert (code, out) == (1, "")
            assert f"{file} was changed after it was written" in err

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_a_file_of_an_earlier_version_is_read_and_told(
        self, command: Any, copies: dict[str, Path], kind: str
    ) -> None:
        file = opened(copies[kind]).file
        value = json.loads(file.read_bytes())
        del value["digest"]
        file.write_text(json.dumps(value))
        code, out, err = command("verify", copies[kind])
        assert code == 0, err
        assert f"{file.name} holds no digest: an earlier version wrote it" in out
        assert command("card", copies[kind])[0] == 0

    @pytest.mark.parametrize("kind", STUDY_FILES)
    def test_damage_in_a_run_is_named_by_the_run(
        self, command: Any, copies: dict[str, Path], kind: str
    ) -> None:
        run = opened(copies[kind]).runs[0]
        record = sorted((run / "points").iterdir())[0]
        record.write_bytes(record.read_bytes()[:-1])
        code, out, _ = command("verify", copies[kind])
        assert code == 1
        assert f"{run.name}/points/{record.name}, line" in out

    def test_a_missing_run_is_named(self, copies: dict[str, Path]) -> None:
        shutil.rmtree(copies["trajectory"] / "projections")
        assert own(copies["trajectory"]) == [
            f"trajectory.json: The trajectory '{copies['trajectory']}' has no run 'projections'."
        ]

    def test_what_is_no_object_is_damaged(self, copies: dict[str, Path]) -> None:
        opened(copies["evaluation"]).file.write_text("[]")
        assert own(copies["evaluation"]) == [
            f"evaluation.json: {copies['evaluation'] / 'evaluation.json'} is damaged: "
            "it is an empty list, where an object is expected."
        ]

    def test_a_link_is_named(self, copies: dict[str, Path], tmp_path: Path) -> None:
        (copies["evaluation"] / "more").symlink_to(copies["comparison"] / "path")
        assert own(copies["evaluation"]) == ["more: is a link"]


class TestAgainstTheRecords:
    """A file whose digest was made anew after an edit is held against the records."""

    @pytest.mark.parametrize(
        ("kind", "change", "said"),
        [
            (
                "comparison", lambda v: v["asr"]["after"].update(value=0.0),
                "ASR of the tuned model is 0, where the records say 1",
            ),
            (
                "comparison", lambda v: v["over_refusal"]["before"].update(value=0.5),
                "over-refusal of the base is 0.5, where",
            ),
            (
                "comparison", lambda v: v.update(verdict="PASS"),
                "checks that did not pass under the verdict PASS is 0, where",
            ),
            (
                "comparison", lambda v: v["effective_length"].update(value=1.2),
                "the effective length is 1.2, where",
            ),
            (
                "comparison", lambda v: v["capability"]["after"].update(value=0.1),
                "capability of the tuned model is 0.1, where",
            ),
            (
                "evaluation", lambda v: v["harmful"]["outcome"]["asr"].update(value=1.0),
                "the ASR on harmful prompts by outcome is 1, where",
            ),
            (
                "trajectory", lambda v: v["stations"][1]["asr"].update(value=0.0),
                "the ASR of testbed:harmful-100 is 0, where the records say 1",
            ),
            (
                "conditions", lambda v: v["conditions"][1]["landscape"]["origin"]["asr"].update(
                    value=None
                ),
                "the ASR under safety is none, where",
            ),
            (
                "worst-case", lambda v: v["directions"][0]["effective_length"].update(value=0.4),
                "the effective length of worst-case is 0.4, where",
            ),
        ],
    )  # fmt: skip
    def test_a_number_that_the_records_do_not_bear_out(
        self, command: Any, copies: dict[str, Path], kind: str, change: Any, said: str
    ) -> None:
        folder = edited(copies[kind], change, again=True)
        [problem] = own(folder)
        assert said in problem
        code, out, err = command("card", folder)
        assert (code, out) == (1, "")
        assert said in err

    def test_a_summary_that_counts_otherwise_than_the_records(self, tmp_path: Path) -> None:
        run = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, 4)
        rejudge(run, ["refusal"])
        value = sealed.read(run / LANDSCAPE)
        value["judges"]["refusal"]["landscapes"][0][2].update(refused=0, complied=4)
        sealed.write(run / LANDSCAPE, value)
        [problem] = verify(run).problems
        assert "counts 0 / 4 / 0 / 0 at origin by refusal" in str(problem)
        assert "the records have 4 / 0 / 0 / 0" in str(problem)

    def test_a_summary_of_fewer_answers_is_no_fault(self, tmp_path: Path) -> None:
        run = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, 4)
        rejudge(run, ["refusal"])
        record = sorted((run / "points").iterdir())[0]
        record.unlink()
        verdicts = next(run.glob(f"verdicts/*/{record.name}"))
        verdicts.unlink()
        assert verify(run).problems == ()

    def test_the_card_is_counted_from_the_records(self, command: Any, tmp_path: Path) -> None:
        run = judged_runs.write(
            tmp_path / "run", lambda p, n: COMPLIANCE if p.distance > 0.15 else REFUSAL, 4
        )
        rejudge(run, ["refusal"])
        before = command("card", run)
        assert "100.0 % (51.0 to 100.0)" not in before[1].split("VISAGE")[0]
        value = sealed.read(run / LANDSCAPE)
        value["judges"]["refusal"]["origin"]["asr"].update(value=1.0, low=0.9, high=1.0)
        for write in (
            lambda: sealed.write(run / LANDSCAPE, value),
            lambda: (run / LANDSCAPE).write_text(json.dumps(value)),
            (run / LANDSCAPE).unlink,
        ):
            write()
            assert command("card", run) == before


class TestComparison:
    def test_the_card_names_both_models_the_verdict_and_the_paths_unit(
        self, studies: dict[str, Path]
    ) -> None:
        text = card(recount(opened(studies["comparison"])))
        first = text.splitlines()[2]
        assert first == (
            f"{TUNED} held against its base testbed:aligned on the same prompts. **FAIL**"
        )
        assert (
            "| rise of ASR | +100.0 (+2.0 to +100.0) points | at most +5 points | unsure |" in text
        )
        assert "| ASR | 0.0 % (0.0 to 49.0) | 100.0 % (51.0 to 100.0) | +100.0" in text
        assert "of the way from base (0) to tuned (1)" in text
        assert "Frobenius" not in text

    def test_the_hub_is_given_the_tuned_models_asr(self, studies: dict[str, Path]) -> None:
        text = eval_results(recount(opened(studies["comparison"])), "owner/topics")
        assert "value: 100.0" in text
        assert f"model {TUNED}" in " ".join(text.split())
        assert "verdict FAIL" in " ".join(text.split())
        with pytest.raises(RunError, match="no data set of the hub"):
            eval_results(recount(opened(studies["comparison"])))

    def test_states_and_reasons_of_a_later_version_are_shown(self, copies: dict[str, Path]) -> None:
        def change(value: dict[str, Any]) -> None:
            value.update(verdict="INCONCLUSIVE", reasons=["Too few prompts for <this> limit."])
            value["checks"][0].update(state="unsure", low=0.51, high=1.0, level=0.95)

        folder = edited(copies["comparison"], change, again=True)
        text = card(recount(opened(folder)))
        assert "**INCONCLUSIVE**" in text
        assert "**Too few prompts for \\<this\\> limit.**" in text
        assert (
            "| rise of ASR | +100.0 (+51.0 to +100.0) points | at most +5 points | unsure |" in text
        )
