"""What the prompts of a file are, by the file or by the user, never by a guess."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from safebasin.config import ScanConfig
from safebasin.errors import PromptError, UsageError
from safebasin.evaluate.preparation import prepare as prepare_evaluation
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.prompts import load
from safebasin.scanning.preparation import prepare
from support import pico

LABELLED = Path(__file__).parents[2] / "shared" / "data" / "labelled"


def write(tmp_path: Path, name: str, content: str) -> Path:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def refused(path: Path, **options: object) -> PromptError:
    with pytest.raises(PromptError) as caught:
        load(path, **options)  # type: ignore[arg-type]
    return caught.value


class TestUnknownKind:
    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.csv", "prompt\nSay A\n"),
            ("a.csv", "question,topic\nSay A,letters\n"),
            ("a.csv", "instruction,input\nSay A,\n"),
            ("a.jsonl", '{"id": "1", "prompt": "Say A"}\n'),
            ("a.json", '["Say A"]'),
            ("a.txt", "Say A\n"),
        ],
    )
    def test_a_file_that_does_not_say_is_asked(
        self, tmp_path: Path, name: str, content: str
    ) -> None:
        path = write(tmp_path, name, content)
        error = refused(path)
        assert error.message.startswith(
            f"'{path}' does not say whether its prompts are harmful or benign"
        )
        assert error.hint.startswith("Give --prompts-kind harmful or --prompts-kind benign")
        for kind in ("harmful", "benign"):
            assert [p.kind for p in load(path, kind=kind)] == [kind]  # type: ignore[arg-type]
        assert [p.kind for p in load(path, unstated="benign")] == ["benign"]

    def test_naming_the_column_says_nothing_of_the_kind(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.csv", "goal,target\nSay A,Sure\n")
        assert load(path).prompts[0].kind == "harmful"
        assert "does not say" in refused(path, column="target").message

    def test_goals_are_harmful_requests_and_that_is_said(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = write(tmp_path, "a.csv", "goal\nSay A\n")
        assert [p.kind for p in load(path)] == ["harmful"]
        assert "are read as harmful requests" in caplog.text
        caplog.clear()
        assert [p.kind for p in load(path, kind="benign")] == ["benign"]
        assert [p.kind for p in load(path, unstated="benign")] == ["benign"]
        labelled = write(tmp_path, "b.csv", "goal,label\nSay A,safe\n")
        assert [p.kind for p in load(labelled)] == ["benign"]
        assert not caplog.text

    def test_a_column_of_kinds_or_labels_says_it(self, tmp_path: Path) -> None:
        rows = ["harmful", "unsafe", "Benign", "safe", "unharmful", "harmless"]
        text = "\n".join(f"Say {n},{word}" for n, word in enumerate(rows))
        found = load(write(tmp_path, "l.csv", f"prompt,label\n{text}\n"))
        assert [p.kind for p in found] == ["harmful"] * 2 + ["benign"] * 4
        found = load(write(tmp_path, "k.csv", "prompt,kind,label\nSay A,benign,unsafe\n"))
        assert found.prompts[0].kind == "benign"

    def test_a_word_or_a_gap_that_says_nothing_names_its_line(self, tmp_path: Path) -> None:
        for header, cell in (("label", "1"), ("label", ""), ("kind", ""), ("kind", "Harmful")):
            path = write(tmp_path, "l.csv", f"n,prompt,{header}\n1,Say A,benign\n2,Say B,{cell}\n")
            error = refused(path)
            assert f"line 3: the {header} is {cell!r}" in error.message
            assert "--prompts-kind" in error.hint
        assert load(path, kind="benign").prompts[1].kind == "benign"
        path = write(tmp_path, "g.csv", "n,prompt,kind\n1,Say A,harmful\n2,Say B,\n")
        kinds = [p.kind for p in load(path, unstated="benign")]
        assert kinds == ["harmful", "benign"]

    def test_a_record_without_the_column_of_the_others(self, tmp_path: Path) -> None:
        text = '{"prompt": "Say A", "kind": "benign"}\n{"prompt": "Say B"}\n'
        assert "as in line 2" in refused(write(tmp_path, "a.jsonl", text)).message


class TestNotPromptsAlone:
    @pytest.mark.parametrize("answer", ["completion", "response", "generation", "Output", "answer"])
    def test_completions_are_refused(self, tmp_path: Path, answer: str) -> None:
        path = write(tmp_path, "c.csv", f"id,type,prompt,{answer}\n1,x,Say A,A\n")
        for options in ({}, {"kind": "harmful"}, {"column": "prompt"}):
            error = refused(path, **options)
            assert f"'{path}' is a file of completions: it holds answers ('{answer}')" in str(error)
            assert "safebasin judges calibrate" in error.hint
            assert "--column prompt and --prompts-kind harmful" in error.hint
        found = load(path, column="prompt", kind="benign")
        assert (found.prompts[0].text, found.prompts[0].kind) == ("Say A", "benign")

    def test_completions_by_behaviour(self, tmp_path: Path) -> None:
        rows = {"one": [{"test_case": "Say A", "generation": "A", "human_0": 1}]}
        error = refused(write(tmp_path, "v.json", json.dumps(rows)))
        assert "is a file of completions" in error.message
        assert "--column test_case" in error.hint

    def test_a_known_layout_with_answers_beside_it(self, tmp_path: Path) -> None:
        text = "category,source,forbidden_prompt,response\nx,y,Say A,A\n"
        assert "--column forbidden_prompt" in refused(write(tmp_path, "s.csv", text)).hint

    def test_layouts_that_are_published_with_answers(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.csv", "instruction,input,output\nSay A,,A\n")
        assert load(path, kind="benign").prompts[0].text == "Say A"
        header = "prompt,response,prompt_harm_label,response_refusal_label"
        path = write(tmp_path, "w.csv", f"{header}\nSay A,A,unharmful,compliance\n")
        assert load(path).prompts[0].kind == "benign"

    def test_an_empty_column_holds_no_answers(self, tmp_path: Path) -> None:
        path = write(tmp_path, "c.csv", "prompt,response,kind\nSay A,,benign\n")
        assert load(path).prompts[0].text == "Say A"

    def test_questions_of_a_capability_have_answers(self, tmp_path: Path) -> None:
        path = write(tmp_path, "q.csv", "prompt,expected,answer\nSay A,A,A\n")
        assert load(path, kind="capability").prompts[0].expected == "A"

    @pytest.mark.parametrize("column", ["ImageFileName", "ImageDescription", "image"])
    def test_requests_about_images_are_refused(self, tmp_path: Path, column: str) -> None:
        header = f"Behavior,FunctionalCategory,SemanticCategory,Tags,{column},BehaviorID"
        path = write(tmp_path, "m.csv", f"{header}\nSay what it shows,x,y,,a.png,say_a\n")
        error = refused(path)
        assert f"holds requests about images ('{column}')" in error.message
        assert "text alone" in error.hint
        write(tmp_path, "m.csv", f"{header}\nSay A,x,y,,,say_a\n")
        assert load(path).prompts[0].kind == "harmful"

    def test_the_published_completions(self) -> None:
        path = LABELLED / "xstest_v2_completions_gpt4.csv"
        if not path.is_file():
            pytest.skip("the published completions of XSTest are not on this machine")
        assert "is a file of completions" in refused(path).message


class TestCommands:
    def test_the_option_is_one_sentence_away(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        path = write(tmp_path, "a.txt", "one\ntwo two\n")
        base = ["scan", pico.save(tmp_path / "model"), "--prompts", path, "--dry-run", "--steps",
                "2", "--seeds", "1", "--max-new-tokens", "2", "--device", "cpu"]  # fmt: skip
        code, _, err = command(*base)
        assert code == 1
        assert "does not say whether its prompts are harmful or benign" in err
        assert "  fix: Give --prompts-kind harmful" in err
        code, out, err = command(*base, "--prompts-kind", "harmful")
        assert code == 0, err
        assert "nothing written" in out
        code, _, err = command(*base, "--prompts-kind", "benign")
        assert code == 0
        assert "no prompt of a is harmful: its ASR counts answers that are wanted" in err
        code, _, err = command(*base, "--prompts-kind", "nice")
        assert (code, "Prompts cannot be of the kind 'nice'" in err) == (2, True)

    @pytest.mark.parametrize(
        "before", [["evaluate"], ["compare", "a"], ["trajectory", "a"], ["conditions"],
                   ["worst-case"]]
    )  # fmt: skip
    def test_every_command_that_asks_prompts_has_it(self, command, before: list[str]) -> None:  # type: ignore[no-untyped-def]
        code, _, err = command(*before, "absent", "--prompts-kind", "nice")
        assert code == 2
        assert "Prompts cannot be of the kind 'nice'" in err

    def test_a_comparison_after_a_training_asks_before_it(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        path = write(tmp_path, "a.txt", "one\n")
        code, _, err = command("finetune", "testbed:aligned", "--recipe", "explicit-10", "--data",
                               "testbed:harmful", "--then", "compare", "--prompts", path,
                               "--out", tmp_path / "tuned")  # fmt: skip
        assert code == 1
        assert "does not say whether" in err
        assert not (tmp_path / "tuned").exists()


class TestRuns:
    def test_how_the_kind_was_said_does_not_make_another_run(self, tmp_path: Path) -> None:
        path = write(tmp_path, "a.csv", "goal,target\nSay A,Sure\n")
        plain = {"model": str(pico.save(tmp_path / "model")), "prompts": str(path), "steps": 2,
                 "seeds": (0,), "limit": 1, "max_new_tokens": 2, "device": "cpu"}  # fmt: skip
        by_layout = prepare(ScanConfig.from_json(plain))
        by_user = prepare(ScanConfig.from_json({**plain, "prompts_kind": "harmful"}))
        assert by_layout.identity == by_user.identity
        assert by_layout.folder == by_user.folder

    def test_a_kind_that_is_none(self) -> None:
        with pytest.raises(UsageError, match="cannot be of the kind 'nice'"):
            ScanConfig(prompts_kind="nice")  # type: ignore[arg-type]

    def test_the_set_named_benign_is_benign(self, tmp_path: Path) -> None:
        scan = ScanConfig(
            model=str(pico.save(tmp_path / "model")), device="cpu", max_new_tokens=2,
            prompts=str(write(tmp_path, "h.csv", "goal,target\nSay A,Sure\n")),
        )  # fmt: skip
        benign = write(tmp_path, "b.txt", "Say B\n")
        prepared = prepare_evaluation(EvaluateConfig(scan, str(benign), "none"))
        assert {name: [p.kind for p in found] for name, found in prepared.sets.items()} == {
            "harmful": ["harmful"], "benign": ["benign"],
        }  # fmt: skip
