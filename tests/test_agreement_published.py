"""The published files of human labels, read as they are, and files of one's own."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from safebasin.agreement import Labelled, calibrate_judge, pooled, read_labelled
from safebasin.agreement.label_layouts import LABEL_LAYOUTS
from safebasin.cli.labels import parse_columns, parse_meanings
from safebasin.errors import JudgeError, UsageError
from safebasin.judges import build
from support.judged_runs import COMPLIANCE, REFUSAL

PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "labelled"
XSTEST = ("id", "type", "prompt", "completion", "annotation_1", "annotation_2", "agreement",
          "final_label")  # fmt: skip


def table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def xstest(path: Path, labels: Mapping[str, Sequence[str]]) -> Path:
    """`labels` are those of the answers to each type of prompt; refusals are answered so."""
    rows = []
    for kind, several in labels.items():
        for label in several:
            answer = REFUSAL if label == "2_full_refusal" else COMPLIANCE
            identifier = f"v2-{len(rows) + 1}"
            rows.append([identifier, kind, "ask", answer, label, label, "TRUE", label])
    return table(path, XSTEST, rows)


def harmbench(path: Path, votes: Mapping[str, Sequence[tuple[str, Sequence[object]]]]) -> Path:
    """Answers and the votes on them, by behaviour, as HarmBench publishes them."""
    behaviours = {
        key: [
            {
                "test_case": f"ask {key}", "generation": answer, "model": "m", "method": "d",
                "experiment": "e", "human_0": first, "human_1": second, "human_2": third, "cls": 1,
            }
            for answer, (first, second, third) in several
        ]
        for key, several in votes.items()
    }  # fmt: skip
    path.write_text(json.dumps(behaviours), encoding="utf-8")
    return path


def real(name: str) -> Path:
    path = PUBLISHED / name
    if not path.is_file():
        pytest.skip(f"the published file {name} is not on this machine")
    return path


class TestXSTest:
    def test_labels_partials_and_harmful_prompts(self, tmp_path: Path) -> None:
        partial, full, none = "3_partial_refusal", "2_full_refusal", "1_full_compliance"
        path = xstest(
            tmp_path / "x.csv",
            {"homonyms": [none, none, partial], "contrast_homonyms": [full, full, none, partial]},
        )
        found = read_labelled(path)
        assert (found.layout, found.question) == ("xstest-completions", "refusal")
        assert found.words == {
            none: ("complied", 3), full: ("refused", 2), partial: ("partial", 2),
        }  # fmt: skip
        assert found.success == (True, True, None, False, False, True, None)
        assert found.harmful == (False, False, False, True, True, True, True)

    @pytest.mark.parametrize(
        ("partial", "table", "left_out", "humans", "more"),
        [
            ("left-out", (3, 0, 2, 0), 2, 1 / 4, 2 / 4),
            ("refused", (3, 2, 2, 0), 0, 1 / 4, None),
            ("complied", (5, 0, 2, 0), 0, 2 / 4, None),
        ],
    )
    def test_as_what_a_partial_refusal_counts(
        self,
        tmp_path: Path,
        partial: str,
        table: tuple[int, int, int, int],
        left_out: int,
        humans: float,
        more: float | None,
    ) -> None:
        path = xstest(
            tmp_path / "x.csv",
            {
                "homonyms": ["1_full_compliance", "1_full_compliance", "3_partial_refusal"],
                "contrast_homonyms": [
                    "2_full_refusal", "2_full_refusal", "1_full_compliance", "3_partial_refusal",
                ],
            },
        )  # fmt: skip
        found = calibrate_judge(build("refusal"), read_labelled(path), partial=partial)  # type: ignore[arg-type]
        assert table == (
            found.true_success, found.false_success, found.true_refusal, found.false_refusal,
        )  # fmt: skip
        assert found.left_out == left_out
        assert found.asr is not None
        assert (found.asr.n, found.asr.judge.value) == (4, 2 / 4)
        assert found.asr.humans.value == humans
        upper = found.asr.humans_with_partial
        assert (None if upper is None else upper.value) == more

    @pytest.mark.parametrize(
        ("name", "counts", "harmful"),
        [
            ("xstest_v2_completions_gpt4.csv", (230, 211, 9), (1, 4)),
            ("xstest_v2_completions_llama2orig.csv", (101, 294, 55), (0, 1)),
        ],
    )
    def test_the_published_files(
        self, name: str, counts: tuple[int, int, int], harmful: tuple[int, int]
    ) -> None:
        found = read_labelled(real(name))
        assert tuple(rows for _, rows in found.words.values()) == counts
        assert (len(found.exchanges), found.unlabelled, sum(map(bool, found.harmful))) == (
            450, 0, 200,
        )  # fmt: skip
        rates = calibrate_judge(build("llm-landscape"), found).asr
        assert rates is not None
        assert (rates.n, rates.complied, rates.partial) == (200, *harmful)


class TestHarmBench:
    def test_the_majority_decides(self, tmp_path: Path) -> None:
        path = harmbench(
            tmp_path / "text_behaviors_val_set.json",
            {
                "one": [(COMPLIANCE, (1, 1, 0)), (REFUSAL, (0, 0, 1))],
                "two": [(REFUSAL, (0, None, 0)), (REFUSAL, (0, 1, None)), (COMPLIANCE, (1, 1, 1))],
            },
        )
        found = read_labelled(path)
        assert (found.layout, found.question) == ("harmbench-val", "harm")
        assert found.success == (True, False, False, True)
        assert found.unlabelled == 1
        assert found.words == {"0": ("refused", 2), "1": ("complied", 2)}
        assert found.exchanges[0].prompt == "ask one"
        assert found.harmful == (True,) * 4

    def test_a_vote_that_is_none_names_the_behaviour(self, tmp_path: Path) -> None:
        path = harmbench(tmp_path / "v.json", {"one": [(REFUSAL, (0, 0, 0)), (REFUSAL, (7, 0, 0))]})
        with pytest.raises(JudgeError, match=r"v\.json', column 'human_0', item 2 of 'one'.*'7'"):
            read_labelled(path)


class TestGPTFuzz:
    rows = ((0, REFUSAL, 0), (0, COMPLIANCE, 1), (1, REFUSAL, 0))

    @pytest.mark.parametrize(
        "columns", [("question", "Response", "label"), ("question", "Response", "Label")]
    )
    def test_ones_are_jailbroken(self, tmp_path: Path, columns: tuple[str, ...]) -> None:
        found = read_labelled(table(tmp_path / "g.csv", columns, self.rows))
        assert (found.layout, found.question) == ("gptfuzz", "harm")
        assert found.success == (False, True, False)
        assert not found.prompts

    def test_an_empty_column_beside_the_labels(self, tmp_path: Path) -> None:
        for columns in (("Response", "label", "Label"), ("Response", "Label", "label")):
            rows = [
                (answer, *("" if name == "label" else label for name in columns[1:]))
                for _, answer, label in self.rows
            ]
            found = read_labelled(table(tmp_path / "g.csv", columns, rows))
            assert found.success == (False, True, False)


class TestWildGuardTest:
    def rows(self) -> list[dict[str, object]]:
        return [
            {
                "prompt": f"ask {n}", "adversarial": False, "response": answer,
                "prompt_harm_label": harmful, "response_refusal_label": refusal,
                "response_harm_label": harm, "subcategory": "benign",
            }
            for n, (answer, harmful, refusal, harm) in enumerate([
                (REFUSAL, "harmful", "refusal", "unharmful"),
                (COMPLIANCE, "harmful", "compliance", "harmful"),
                (COMPLIANCE, "unharmful", "compliance", "unharmful"),
                (COMPLIANCE, None, "compliance", None),
            ])
        ]  # fmt: skip

    def check(self, path: Path) -> None:
        found = read_labelled(path)
        assert (found.layout, found.question) == ("wildguardtest", "refusal")
        assert found.success == (False, True, True, True)
        assert found.harmful == (True, True, False, None)
        harm = read_labelled(path, "harm")
        assert harm.success == (False, True, False)
        assert harm.unlabelled == 1

    def test_json_lines_and_csv(self, tmp_path: Path) -> None:
        rows = self.rows()
        path = tmp_path / "w.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        self.check(path)
        self.check(table(tmp_path / "w.csv", list(rows[0]), [list(r.values()) for r in rows]))

    def test_parquet(self, tmp_path: Path) -> None:
        arrow = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        parquet.write_table(arrow.Table.from_pylist(self.rows()), tmp_path / "w.parquet")
        self.check(tmp_path / "w.parquet")


class TestXSTestResponse:
    def test_either_question_by_its_words(self, tmp_path: Path) -> None:
        columns = ("response", "label", "prompt", "prompt_type", "prompt_harm_category")
        for question, words in (
            ("refusal", ("refusal", "compliance")), ("harm", ("unharmful", "harmful")),
        ):  # fmt: skip
            rows = [(REFUSAL, words[0], "a", "prompt_harmful", ""),
                    (COMPLIANCE, words[1], "b", "prompt_safe", "")]  # fmt: skip
            found = read_labelled(table(tmp_path / "x.csv", columns, rows))
            assert (found.layout, found.question) == ("xstest-response", question)
            assert found.success == (False, True)
            assert found.harmful == (True, False)


class TestOwnFiles:
    def test_words_and_columns(self, tmp_path: Path) -> None:
        rows = [("ask", REFUSAL, "Nope"), ("ask", COMPLIANCE, "yes"), ("ask", COMPLIANCE, "dunno"),
                ("ask", COMPLIANCE, "some")]  # fmt: skip
        path = table(tmp_path / "o.csv", ("q", "reply text", "verdict"), rows)
        with pytest.raises(JudgeError, match="no labelled answers: its columns are 'q'"):
            read_labelled(path)
        columns = parse_columns("prompt=q; answer=Reply text; label=verdict")
        with pytest.raises(
            JudgeError, match=r"column 'verdict', line 2: the label is 'nope'"
        ) as no:
            read_labelled(path, columns=columns)
        assert "--labels" in no.value.hint
        words = parse_meanings("refused=nope;complied=yes, sure;left-out=dunno;partial=some")
        found = read_labelled(path, columns=columns, words=words)
        assert found.success == (False, True, None)
        assert found.words["dunno"] == ("left-out", 1)
        assert found.exchanges[0].prompt == "ask"
        assert (found.layout, found.question) == ("own", "refusal")

    def test_numbers_are_never_guessed(self, tmp_path: Path) -> None:
        rows = [("ask", REFUSAL, 1), ("ask", COMPLIANCE, 0)]
        path = table(tmp_path / "o.csv", ("prompt", "response", "label"), rows)
        with pytest.raises(JudgeError, match="the label is '1', which is not known"):
            read_labelled(path)
        found = read_labelled(path, words=parse_meanings("refused=1;complied=0"))
        assert found.success == (False, True)

    def test_whole_numbers_as_tables_with_gaps_write_them(self, tmp_path: Path) -> None:
        path = tmp_path / "o.json"
        rows = [{"response": REFUSAL, "label": 0.0}, {"response": COMPLIANCE, "label": 1.0},
                {"response": REFUSAL, "label": math.nan}]  # fmt: skip
        path.write_text(json.dumps(rows), encoding="utf-8")
        found = read_labelled(path)
        assert (found.success, found.unlabelled) == ((False, True), 1)

    def test_labels_of_the_other_question(self, tmp_path: Path) -> None:
        rows = [("ask", REFUSAL, "unharmful"), ("ask", COMPLIANCE, "refusal")]
        path = table(tmp_path / "o.csv", ("prompt", "response", "label"), rows)
        with pytest.raises(JudgeError, match="line 3: 'refusal' does not answer"):
            read_labelled(path)
        path = harmbench(tmp_path / "v.json", {"a": [(REFUSAL, (0, 0, 0))]})
        with pytest.raises(JudgeError, match="no labels of refusal") as caught:
            read_labelled(path, "refusal")
        assert caught.value.hint == "Give --label harm."

    def test_a_column_that_is_not_there(self, tmp_path: Path) -> None:
        path = table(tmp_path / "o.csv", ("prompt", "response", "label"), [("a", "b", "refusal")])
        with pytest.raises(JudgeError, match="no column 'nope'; it has 'prompt', 'response'"):
            read_labelled(path, columns={"answer": "nope"})

    @pytest.mark.parametrize(
        ("text", "complaint"),
        [("refused", "not of the form"), ("refused=", "not of the form"),
         ("denied=no", "nothing that a label can mean"),
         ("refused=a;complied=a", "'a' is given two meanings")],
    )  # fmt: skip
    def test_meanings_that_are_none(self, text: str, complaint: str) -> None:
        with pytest.raises(UsageError, match=complaint):
            parse_meanings(text)

    @pytest.mark.parametrize("text", ["answer", "reply=a"])
    def test_columns_that_are_none(self, text: str) -> None:
        with pytest.raises(UsageError):
            parse_columns(text)


class TestPooled:
    def test_counts_add_up(self, tmp_path: Path) -> None:
        labels = ["2_full_refusal", "1_full_compliance", "3_partial_refusal"]
        parts = [
            calibrate_judge(
                build("refusal"), read_labelled(xstest(tmp_path / name, {kind: labels}))
            )
            for name, kind in (("a.csv", "contrast_privacy"), ("b.csv", "contrast_homonyms"))
        ]
        found = pooled(parts, "both")
        assert (found.n, found.left_out, found.true_refusal, found.file) == (4, 2, 2, "both")
        assert found.asr is not None
        assert (found.asr.n, found.asr.judge.value, found.asr.humans.value) == (6, 4 / 6, 2 / 6)


class TestCommand:
    def files(self, tmp_path: Path) -> list[Path]:
        labels = ["2_full_refusal", "1_full_compliance", "3_partial_refusal"]
        votes = {"a": [(REFUSAL, (0, 0, 0)), (COMPLIANCE, (1, 1, 1))]}
        return [
            xstest(tmp_path / "a.csv", {"privacy": labels, "contrast_privacy": labels}),
            xstest(tmp_path / "b.csv", {"contrast_privacy": labels}),
            harmbench(tmp_path / "v.json", votes),
        ]

    def test_one_file_says_what_its_words_were_taken_for(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        code, out, err = command("judges", "calibrate", self.files(tmp_path)[0])
        assert code == 0, err
        assert "a.csv, read as xstest-completions: people said whether the answer refuses" in out
        assert "2_full_refusal is refused in 2 rows" in out
        assert "3_partial_refusal is partial in 2 rows; left out (--partial counts it)" in out
        assert "4 answers with a human label of refusal, 2 partial left out" in out
        assert "ASR          66.7 %" in out
        assert "on 3 answers to harmful prompts" in out

    def test_a_judge_of_refusals_against_labels_of_harm(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        _, out, _ = command("judges", "calibrate", self.files(tmp_path)[2])
        assert "people said whether the answer is harmful" in out
        assert "1 is harmful (as complied) in 1 row\n" in out
        assert "refusal tells refusals, which is another question" in out

    def test_several_files_have_a_row_each_and_one_together(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        files = self.files(tmp_path)
        code, out, err = command("judges", "calibrate", *files, "--partial", "complied")
        assert code == 0, err
        assert "3_partial_refusal is partial in 2 rows; counts as complied" in out
        rows = [line.split()[0] for line in out.splitlines() if " refusal " in line]
        assert [name for name in rows if "." in name or name == "2"] == [
            "a.csv",
            "b.csv",
            "v.json",
            "2",
        ]
        code, out, err = command("judges", "calibrate", *files, "--json", "--observed", "1/4")
        value = json.loads(out)
        assert [one["layout"] for one in value["files"]] == [
            "xstest-completions", "xstest-completions", "harmbench-val",
        ]  # fmt: skip
        assert value["files"][0]["words"]["1_full_compliance"] == {"means": "complied", "rows": 2}
        assert [row["file"] for row in value["judges"]] == [*map(str, files), "2 files"]
        assert value["judges"][3]["asr"]["harmful_prompts"] == 6
        assert all("corrected_asr" in row for row in value["judges"])
        assert value["judges"][0]["positive"] == "refused"

    def test_own_words_on_the_command_line(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        rows = [(REFUSAL, "n"), (COMPLIANCE, "y")]
        path = table(tmp_path / "o.csv", ("said", "people"), rows)
        own = ("--columns", "answer=said;label=people", "--labels", "refused=n;complied=y")
        code, out, err = command("judges", "calibrate", path, *own)
        assert code == 0, err
        assert "n is refused in 1 row\n" in out

    def test_mistakes_are_one_sentence(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        first = self.files(tmp_path)[0]
        for arguments in (
            ["--partial", "half"], ["--labels", "x"], ["--columns", "x=y"], [first],
        ):  # fmt: skip
            code, _, err = command("judges", "calibrate", first, *arguments)
            assert code == 2, err
            assert err.startswith("error: ")
            assert "  fix: " in err

    def test_they_are_listed(self, command) -> None:  # type: ignore[no-untyped-def]
        code, out, _ = command("list", "labelled")
        assert code == 0
        for layout in LABEL_LAYOUTS:
            assert f"FILE in {layout.name} layout" in out
        assert "2_full_refusal is refused" in out


def test_every_layout_fits_its_own_columns() -> None:
    for layout in LABEL_LAYOUTS:
        for labels in layout.labels:
            columns = [layout.answer, *layout.more, *labels.columns]
            assert next(one for one in LABEL_LAYOUTS if one.fits(columns)) is layout


def test_success_is_none_for_partial_answers(tmp_path: Path) -> None:
    labelled = Labelled("refusal", (), ("refused", "partial", "complied"), 0, "own", tmp_path)
    assert labelled.success == (False, None, True)
