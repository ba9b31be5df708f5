"""What leaves a run folder: the card, the hub's results, the tables. Nothing harmful by default."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safebasin.errors import RunError, UsageError
from safebasin.exchange import Exchange, Verdict
from safebasin.judges import build
from safebasin.judging import judge_point
from safebasin.plane import Axis, Plane, Point
from safebasin.report import card as cards
from safebasin.report.card import plain, plain_code
from safebasin.report.export import export, rows
from safebasin.results import look, rejudge
from safebasin.run import RunFolder, verify
from support import judged_runs
from support.judged_runs import REFUSAL


def card(run: RunFolder) -> str:
    return cards.card(run, look(run.path).to_json())


def eval_results(run: RunFolder, dataset: str | None = None) -> str:
    return cards.eval_results(run, look(run.path).to_json(), dataset)


SECRET = "The plan of the harmful answer begins here"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = judged_runs.write(
        tmp_path_factory.mktemp("made") / "run",
        lambda p, n: SECRET if p.distance > 0.15 else REFUSAL,
        prompts=12,
    )
    rejudge(folder, ["llm-landscape", "refusal"])
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "run"))


class TestCard:
    def test_the_numbers_with_their_intervals_judges_and_command(self, run: Path) -> None:
        text = card(RunFolder.read(run))
        assert "| | llm-landscape | refusal |" in text
        assert "| ASR of the model itself | 0.0 % (0.0 to 24.2) | 0.0 % (0.0 to 24.2) |" in text
        for words in ("VISAGE", "Basin width", "sha256", "bbbbbbbb", "safebasin", "12 of them"):
            assert words in text
        assert "| Not judged | 0 of 60 | 0 of 60 |" in text

    def test_no_prompt_and_no_answer_is_in_it(self, run: Path) -> None:
        text = card(RunFolder.read(run))
        assert SECRET not in text
        assert REFUSAL not in text
        assert "ask p" not in text

    def test_a_published_set_is_named_with_its_page_and_licence(self, tmp_path: Path) -> None:
        folder = judged_runs.write(
            tmp_path / "run", lambda p, n: REFUSAL, name="jbb", revision="c" * 40
        )
        rejudge(folder, ["refusal"])
        text = card(RunFolder.read(folder))
        page = "https://huggingface.co/datasets/JailbreakBench/JBB-Behaviors"
        assert f"[jbb]({page}) at `cccccccccccc`, MIT" in text

    def test_an_outage_is_not_a_zero(self, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: "")
        rejudge(folder, ["refusal"])
        text = card(RunFolder.read(folder))
        assert "| ASR of the model itself | not defined |" in text
        assert "| Not judged | 100 of 100 |" in text
        with pytest.raises(RunError, match=r"refusal could not judge 100\.0 % of the answers"):
            eval_results(RunFolder.read(folder), "owner/name")

    def test_a_judge_that_fails_midway_is_no_result(self, tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
        folder = judged_runs.write(
            tmp_path / "run", lambda p, n: REFUSAL if p.distance < 0.05 and n < 6 else ""
        )
        assert command("rejudge", folder, "--judge", "refusal")[0] == 4
        code, out, err = command("show", folder)
        assert code == 4
        assert "refusal could not judge 94.0 % of the answers" in err
        code, out, err = command("card", folder)
        assert code == 4
        assert (
            "**refusal could not judge 94.0 % of the answers; its numbers leave them out.**" in out
        )
        results = tmp_path / "results.yaml"
        code, _, err = command("card", folder, "--eval-results", results, "--dataset", "o/n")
        assert code == 1
        assert "a result without them would mislead" in err
        assert not results.exists()

    def test_a_part_of_a_run_is_no_result(self, run: Path) -> None:
        next(iter((run / "points").glob("*"))).unlink()
        rejudge(run, ["refusal"])
        opened = RunFolder.read(run)
        assert "**Some answers are not measured yet; the numbers leave them out.**" in card(opened)
        with pytest.raises(RunError, match="is not complete"):
            eval_results(opened, "owner/name")

    def test_without_verdicts(self, tmp_path: Path, command) -> None:  # type: ignore[no-untyped-def]
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL)
        code, out, err = command("card", folder)
        assert (code, out) == (1, "")
        assert "holds no verdicts" in err

    def test_a_plane(self, tmp_path: Path) -> None:
        plane = Plane((Axis("a", (-0.1, 0.0, 0.1)), Axis("b", (-0.1, 0.0, 0.1))))
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, 3, plane)
        rejudge(folder, ["refusal"])
        text = card(RunFolder.read(folder))
        assert "1 plane of 3 x 3 points" in text
        assert "Basin, share of the plane" in text

    @given(st.text(max_size=60))
    def test_foreign_text_stays_text(self, text: str) -> None:
        shown = plain(text)
        assert "\n" not in shown
        for sign in "<>|`[]":
            assert shown.count(sign) == shown.count("\\" + sign)
        assert "`" not in plain_code(text)


class TestEvalResults:
    def test_the_hub_reads_it_back(self, run: Path) -> None:
        import importlib

        from huggingface_hub._eval_results import parse_eval_result_entries

        text = eval_results(RunFolder.read(run), "owner/topics")
        entries = parse_eval_result_entries(importlib.import_module("yaml").safe_load(text))
        assert [entry.task_id for entry in entries] == ["attack_success_rate", "visage"]
        assert entries[0].value == 0.0
        assert entries[0].dataset_id == "owner/topics"
        assert "95 % interval 0.0 to 24.2" in str(entries[0].notes)

    def test_prompts_without_a_data_set(self, run: Path) -> None:
        with pytest.raises(RunError, match="no data set of the hub") as caught:
            eval_results(RunFolder.read(run))
        assert "--dataset" in caught.value.hint

    @pytest.mark.parametrize(
        "name",
        [
            "not an id: [",
            "",
            "a/b/c",
            "/a",
            "a/",
            "-a",
            ".a/b",
            "a b",
            "a\nb",
            "a/b\n",
            "é/b",
            "x:y",
        ],
    )
    def test_an_id_that_is_none(  # type: ignore[no-untyped-def]
        self, command, run: Path, tmp_path: Path, name: str
    ) -> None:
        with pytest.raises(UsageError, match="is no id of a data set"):
            eval_results(RunFolder.read(run), name)
        for more in ((), ("--eval-results", tmp_path / "e.yaml")):
            code, out, err = command("card", run, "--dataset", name, *more)
            assert (code, out) == (2, "")
            assert len(err.splitlines()) == 2
        assert not (tmp_path / "e.yaml").exists()

    @pytest.mark.parametrize("name", ["squad", "Owner/name", "0wner/some_set-1.2"])
    def test_an_id(self, run: Path, name: str) -> None:
        assert f"id: {name}\n" in eval_results(RunFolder.read(run), name)

    def test_a_published_set_brings_its_own(self, tmp_path: Path) -> None:
        folder = judged_runs.write(
            tmp_path / "run", lambda p, n: REFUSAL, name="jbb", revision="c" * 40
        )
        rejudge(folder, ["refusal"])
        assert "JailbreakBench/JBB-Behaviors" in eval_results(RunFolder.read(folder))


class TestExport:
    def test_a_row_for_each_answer_and_judge(self, run: Path) -> None:
        table = list(rows(RunFolder.read(run)))
        assert len(table) == 5 * 12 * 2
        far = [row for row in table if row["along_gaussian-0"] == 0.2 and row["judge"] == "refusal"]
        assert len(far) == 12
        assert {row["outcome"] for row in far} == {"complied"}
        assert "response" not in far[0]
        assert "prompt" not in far[0]

    @pytest.mark.parametrize("form", ["csv", "json", "parquet"])
    def test_texts_are_left_out_unless_asked_for(
        self, run: Path, tmp_path: Path, form: str
    ) -> None:
        if form == "parquet":
            pytest.importorskip("pyarrow")
        path = tmp_path / f"table.{form}"
        assert export(RunFolder.read(run), path, form) == 120
        assert SECRET.encode() not in path.read_bytes()
        assert b"ask p1" not in path.read_bytes()
        export(RunFolder.read(run), path, form, with_prompts=True, with_answers=True)
        assert SECRET.encode() in path.read_bytes()
        assert verify(run).problems == ()

    def test_the_three_formats_hold_the_same(self, run: Path, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        opened = RunFolder.read(run)
        for form in ("csv", "json", "parquet"):
            export(opened, tmp_path / f"t.{form}", form)
        expected = list(rows(opened))
        assert json.loads((tmp_path / "t.json").read_text()) == expected
        assert parquet.read_table(tmp_path / "t.parquet").to_pylist() == expected
        with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as file:
            read = list(csv.DictReader(file))
        assert [row["outcome"] for row in read] == [row["outcome"] for row in expected]
        assert [float(row["along_gaussian-0"]) for row in read] == [
            row["along_gaussian-0"] for row in expected
        ]

    def test_what_was_not_judged_is_empty_with_a_reason(self, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: "", prompts=2)
        assert {row["judge"] for row in rows(RunFolder.read(folder))} == {None}
        rejudge(folder, ["refusal"])
        [row, *_] = rows(RunFolder.read(folder))
        assert (row["judge"], row["outcome"], row["reason"]) == ("refusal", None, "empty")

    def test_hostile_text_is_harmless_in_a_spreadsheet(self, tmp_path: Path) -> None:
        hostile = ["=HYPERLINK(1)", "+1", "-1+2", "@SUM(A1)", "\x1b]0;x\x07", "a\u202eb",
                   'say "x",\ny', "\ud800 half"]  # fmt: skip
        folder = judged_runs.write(tmp_path / "run", lambda p, n: hostile[n], prompts=8)
        for form in ("csv", "json"):
            export(RunFolder.read(folder), tmp_path / f"t.{form}", form, with_answers=True)
        text = (tmp_path / "t.csv").read_text(encoding="utf-8")
        assert "\x1b" not in text
        assert "\u202e" not in text
        cells = [row["response"] for row in csv.DictReader(io.StringIO(text, newline=""))]
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
        assert 'say "x",\ny' in cells
        assert json.loads((tmp_path / "t.json").read_text())[0]["response"] == hostile[0]
        pytest.importorskip("pyarrow")
        export(RunFolder.read(folder), tmp_path / "t.parquet", "parquet", with_answers=True)

    def test_mistakes(self, run: Path, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="'xls'"):
            export(RunFolder.read(run), tmp_path / "t.xls", "xls")
        with pytest.raises(RunError, match="cannot be written"):
            export(RunFolder.read(run), tmp_path / "absent" / "t.csv", "csv")

    def test_pyarrow_may_be_missing(
        self, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(RunError, match="pyarrow") as caught:
            export(RunFolder.read(run), tmp_path / "t.parquet", "parquet")
        assert "safebasin[parquet]" in caught.value.hint

    def test_a_partly_measured_run(self, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, prompts=2)
        key = Point.of({"gaussian-0": 0.2}).key
        (folder / "points" / f"{key}.jsonl").unlink()
        assert len(list(rows(RunFolder.read(folder)))) == 8


class TestInspect:
    @pytest.mark.parametrize("name", ["log.eval", "log.json"])
    def test_inspect_opens_it_and_keeps_the_unjudged_apart(self, name: str, tmp_path: Path) -> None:
        logs = pytest.importorskip("inspect_ai.log")
        from safebasin.report.inspect_log import LEFT_OUT, inspect_log

        folder = judged_runs.write(
            tmp_path / "run", lambda p, n: "" if n < 2 else SECRET if n < 4 else REFUSAL, prompts=6
        )
        rejudge(folder, ["refusal"])
        path = tmp_path / "logs" / name
        path.parent.mkdir()
        assert inspect_log(RunFolder.read(folder), path) == 30
        found = logs.read_eval_log(str(path))
        assert SECRET not in found.model_dump_json()
        assert len(logs.list_eval_logs(str(path.parent))) == (name == "log.eval")
        assert found.status == "success"
        assert len(found.samples) == 30
        [score] = found.results.scores
        assert (score.scored_samples, score.unscored_samples) == (20, 10)
        assert score.metrics["complied"].value == 0.5
        assert found.samples[0].output.completion == LEFT_OUT
        inspect_log(RunFolder.read(folder), path, with_prompts=True, with_answers=True)
        assert SECRET in logs.read_eval_log(str(path)).samples[2].output.completion

    def test_a_name_that_inspect_does_not_open(self, run: Path, tmp_path: Path) -> None:
        from safebasin.report.inspect_log import inspect_log

        with pytest.raises(UsageError, match=r"'log\.txt'"):
            inspect_log(RunFolder.read(run), tmp_path / "log.txt")

    def test_inspect_may_be_missing(self, run: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        from safebasin.report.inspect_log import inspect_log

        monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
        with pytest.raises(RunError, match="inspect-ai") as caught:
            inspect_log(RunFolder.read(run), tmp_path / "log.json")
        assert "safebasin[inspect]" in caught.value.hint


class TestCommands:
    def test_card(self, command, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        code, out, err = command("card", run)
        assert code == 0, err
        assert out.startswith("## Safety in weight space")
        code, out, err = command(
            "card", run, "--out", tmp_path / "c.md", "--eval-results", tmp_path / "e.yaml",
            "--dataset", "owner/topics",
        )  # fmt: skip
        assert (code, out) == (0, "")
        assert (tmp_path / "e.yaml").read_text().startswith("- dataset:")
        assert command("card", tmp_path / "absent")[0] == 1

    def test_export(self, command, run: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.chdir(tmp_path)
        code, out, err = command("export", run)
        assert code == 0, err
        assert "120 rows in run.csv" in out
        assert (tmp_path / "run.csv").is_file()
        code, out, _ = command("export", run, "--format", "json", "--json")
        assert json.loads(out) == {"rows": 120, "file": "run.json"}
        assert command("export", run, "--format", "xls")[0] == 2

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (
                (),
                "prompts and answers are left out; --with-prompts and --with-answers include them",
            ),
            (("--with-prompts",), "answers are left out; --with-answers includes them"),
            (("--with-answers",), "prompts are left out; --with-prompts includes them"),
            (("--with-prompts", "--with-answers"), ""),
        ],
    )
    def test_what_is_left_out_is_said_as_it_is(  # type: ignore[no-untyped-def]
        self, command, run: Path, tmp_path: Path, options: tuple[str, ...], said: str
    ) -> None:
        path = tmp_path / "t.csv"
        _, out, _ = command("export", run, "--out", path, *options)
        assert out.splitlines() == [f"120 rows in {path}", *([said] if said else [])]
        text = path.read_text(encoding="utf-8")
        assert ("ask p1" in text) == ("--with-prompts" in options)
        assert (SECRET in text) == ("--with-answers" in options)

    def test_no_key_leaves_with_a_table(  # type: ignore[no-untyped-def]
        self, command, run: Path, tmp_path: Path, monkeypatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
        with RunFolder.reopen(run) as opened:
            spec = {"base_url": "https://u:sk-canary-0123456789@host"}
            opened.adopt_judge("j", spec)
            ids = ["p0"]
            reason = Verdict(None, "echo sk-canary-0123456789")
            opened.write_verdicts("j", spec, Point(), ids, [reason])
        for row in rows(RunFolder.read(run), with_answers=True):
            assert "canary" not in json.dumps(row)


class TestTargets:
    """What `--out` may replace: nothing but an earlier file of the same kind."""

    @pytest.mark.parametrize("name", ["manifest.json", "points/origin.jsonl", "landscape.json"])
    def test_a_run_is_not_destroyed(self, command, run: Path, name: str) -> None:  # type: ignore[no-untyped-def]
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
        target = run / name
        for arguments in (
            ("card", run, "--out", target),
            ("card", run, "--eval-results", target, "--dataset", "owner/name"),
            ("export", run, "--format", "json", "--out", target),
            ("export", run, "--format", "csv", "--out", target),
            ("report", run, "--out", target),
        ):
            code, out, err = command(*arguments)
            assert (code, out) == (2, ""), arguments
            assert err.startswith(f"error: '{target}' is a file of the run '{run.resolve()}'")
            assert len(err.splitlines()) == 2
        assert {path: path.read_bytes() for path in before} == before

    def test_a_run_is_not_destroyed_through_a_link_or_from_within(  # type: ignore[no-untyped-def]
        self, command, run: Path, tmp_path: Path, monkeypatch
    ) -> None:
        (tmp_path / "link").symlink_to(run)
        assert command("card", run, "--out", tmp_path / "link" / "manifest.json")[0] == 2
        monkeypatch.chdir(run)
        assert command("export", run, "--format", "json", "--out", "manifest.json")[0] == 2
        assert verify(run).problems == ()

    def test_what_the_command_wrote_is_replaced(self, command, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        for _ in range(2):
            for arguments in (
                ("card", run, "--out", tmp_path / "card.md"),
                ("card", run, "--eval-results", tmp_path / "e.yaml", "--dataset", "owner/name"),
                ("export", run, "--out", tmp_path / "t.csv"),
                ("export", run, "--format", "json", "--out", tmp_path / "t.json"),
                ("report", run, "--out", tmp_path / "page.html"),
                ("report", run, "--out", run / "report.html"),
            ):
                code, _, err = command(*arguments)
                assert code == 0, err

    def test_other_files_are_kept(self, command, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        other = tmp_path / "README.md"
        other.write_text("# My model\n")
        for arguments in (
            ("card", run, "--out", other),
            ("card", run, "--eval-results", other, "--dataset", "owner/name"),
            ("export", run, "--out", other),
            ("report", run, "--out", other),
            ("card", run, "--out", tmp_path),
        ):
            code, _, err = command(*arguments)
            assert code == 2
            assert "Name another" in err
        assert other.read_text() == "# My model\n"
        other.write_text("")
        assert command("card", run, "--out", other)[0] == 0

    def test_a_folder_that_does_not_exist(self, command, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        for arguments in (
            ("card", run, "--out", tmp_path / "no" / "x.md"),
            ("card", run, "--eval-results", tmp_path / "no" / "x", "--dataset", "owner/name"),
            ("export", run, "--out", tmp_path / "no" / "x.csv"),
        ):
            code, out, err = command(*arguments)
            assert (code, out) == (1, "")
            assert f"there is no folder '{tmp_path / 'no'}'" in err
            assert "Make the folder first" in err
            assert "measured" not in err


class TestFoldersOfRuns:
    """What `evaluate` leaves: runs of one point, judged and not summarised, in one folder."""

    @pytest.fixture
    def point(self, tmp_path: Path) -> Path:
        origin = Plane((Axis("origin", (0.0,)),))
        for name in ("harmful", "benign", "capability"):
            folder = judged_runs.write(
                tmp_path / "point" / name, lambda p, n: SECRET if n < 3 else REFUSAL, 12, origin
            )
            if name != "capability":
                with RunFolder.reopen(folder) as opened:
                    for judge in (build("llm-landscape"), build("outcome")):
                        opened.adopt_judge(judge.name, judge.spec())
                        judge_point(opened, [judge], Point())
        return tmp_path / "point"

    @pytest.mark.parametrize(
        "arguments",
        [("card",), ("export",), ("show",), ("verify",), ("rejudge", "--judge", "refusal"),
         ("judges", "agree"), ("judges", "calibrate", "--run")],
    )  # fmt: skip
    def test_the_runs_inside_are_named(  # type: ignore[no-untyped-def]
        self, command, point: Path, arguments: tuple[str, ...]
    ) -> None:
        if arguments[-1] == "--run":
            labelled = point.parent / "labelled.csv"
            labelled.write_text("prompt,response,label\na,No,refusal\nb,Yes,compliance\n")
            arguments = ("judges", "calibrate", str(labelled), "--run")
        code, out, err = command(*arguments, point)
        assert (code, out) == (1, "")
        assert f"{point} is not a run folder but a folder of runs" in err
        assert f"Give one of them: {point / 'benign'}, {point / 'harmful'}.\n" in err
        assert "capability" not in err

    def test_runs_that_nobody_judged_are_named_where_there_are_no_others(
        self, tmp_path: Path
    ) -> None:
        judged_runs.write(tmp_path / "runs" / "a", lambda p, n: REFUSAL, 2)
        with pytest.raises(RunError, match="folder of runs") as caught:
            RunFolder.read(tmp_path / "runs")
        assert str(tmp_path / "runs" / "a") in caught.value.hint

    def test_a_card_of_one_point_says_nothing_of_a_landscape(  # type: ignore[no-untyped-def]
        self, command, point: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "e.yaml"
        code, out, err = command(
            "card", point / "harmful", "--eval-results", target, "--dataset", "owner/name"
        )
        assert code == 0, err
        assert "| ASR of the model itself | 25.0 % (8.9 to 53.2) | 25.0 % (8.9 to 53.2) |" in out
        assert "weights were not displaced" in out
        for words in ("VISAGE", "wide basin", "Basin", "1 points", "area"):
            assert words not in out
        assert "attack_success_rate" in target.read_text()
        assert "visage" not in target.read_text()
        assert not (point / "harmful" / "landscape.json").exists()

    def test_the_headline_is_the_judge_that_the_settings_name_first(self, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, 3)
        rejudge(folder, ["outcome", "arditi"])
        (folder / "landscape.json").unlink()
        with RunFolder.open(folder, replace(
            RunFolder.read(folder).manifest, config={"scan": {"judges": ["outcome", "arditi"]}}
        )):  # fmt: skip
            pass
        assert look(folder).judge == "outcome"


def test_an_exchange_has_no_column_that_is_left_out_by_mistake() -> None:
    """Whoever adds a field to Exchange has to decide whether it may leave the folder."""
    from dataclasses import fields

    assert {field.name for field in fields(Exchange)} == {
        "prompt_id", "prompt", "response", "finish", "prompt_tokens", "new_tokens",
        "origin_logprob", "origin_logprobs", "marks",
    }  # fmt: skip
