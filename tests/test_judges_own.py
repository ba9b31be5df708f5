"""Judges that others bring: as objects, by an import path, and faulty ones."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safebasin.compare.preparation import prepare as prepare_comparison
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare
from safebasin.conditions.preparation import prepare as prepare_conditions
from safebasin.conditions.settings import ConditionsConfig
from safebasin.conditions.study import study
from safebasin.config import ScanConfig
from safebasin.errors import JudgeError, SafebasinError, UsageError
from safebasin.evaluate.preparation import prepare as prepare_evaluation
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.evaluate.study import evaluate
from safebasin.exchange import Exchange, Verdict
from safebasin.judges import (
    Coherence,
    Judge,
    KeywordJudge,
    OutcomeJudge,
    Thresholds,
    build,
    build_all,
    check_judges,
    common_stop_rule,
    verdicts_of,
)
from safebasin.judging import judge_names, stored_judges
from safebasin.plane import Point
from safebasin.results import look, rejudge
from safebasin.run import RunFolder, verify
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.trajectory.preparation import prepare as prepare_trajectory
from safebasin.trajectory.settings import TrajectoryConfig
from safebasin.trajectory.study import trace
from safebasin.worst_case.preparation import prepare as prepare_search
from safebasin.worst_case.settings import WorstCaseConfig
from safebasin.worst_case.study import search
from support import own_judges, planted
from support.own_judges import MODULE, Shy, planted_scan

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return own_judges.workplace(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return own_judges.answered(tmp_path)


class TestObjects:
    def test_rejudge_takes_them_beside_names(self, run: Path) -> None:
        found = rejudge(run, [Shy(), "refusal"])
        assert found.judge == "shy"
        assert [cell.complied for cell in found.summary.cells[0]] == [4, 0, 0, 0, 4]
        assert found.summary.visage == found.summaries["refusal"].visage
        assert verify(run).problems == ()

    def test_a_scan_takes_them(self, tmp_path: Path) -> None:
        result = scan(prepare(planted_scan(tmp_path, Shy(), "llm-landscape")))
        assert list(result.surveys) == ["shy", "llm-landscape"]
        assert result.summary.unjudged == 0
        assert result.notes == ()

    def test_a_judge_without_a_stop_rule_reads_whole_answers(self) -> None:
        assert common_stop_rule(build_all(["llm-landscape"])) is not None
        assert common_stop_rule(build_all(["llm-landscape", Shy()])) is None

    def test_they_are_readable_in_the_settings(self, tmp_path: Path) -> None:
        scan(prepare(planted_scan(tmp_path, Shy())))
        manifest = tmp_path / "scan" / "manifest.json"
        assert json.loads(manifest.read_text())["config"]["judges"] == [
            {"name": "shy", "spec": {"type": "shy", "sign": ["Sorry", "I cannot"]}}
        ]
        again = ScanConfig.read(manifest)
        with pytest.raises(JudgeError, match="'shy' was given as an object") as caught:
            prepare(again)
        assert "--judge MODULE:NAME" in caught.value.hint
        assert scan(prepare(replace(again, judges=(Shy(),)))).judge == "shy"

    @pytest.mark.parametrize(
        "judge",
        [
            KeywordJudge("mine", ("Sorry",)),
            OutcomeJudge(coherence=Coherence(thresholds=Thresholds(max_nll=1.5))),
        ],
    )
    def test_one_of_ours_comes_back_from_the_settings(self, tmp_path: Path, judge: Judge) -> None:
        config = planted_scan(tmp_path, judge)
        again = ScanConfig.from_json(json.loads(json.dumps(config.to_json())))
        assert build(again.judges[0]) == judge
        assert ScanConfig.from_json(again.to_json()) == again

    @pytest.mark.parametrize("value", ["refusal", [3], [{"name": "x"}], [{"spec": {}}]])
    def test_settings_with_something_else_for_a_judge(self, value: object) -> None:
        with pytest.raises(UsageError, match="'judges"):
            ScanConfig.from_json({"judges": value})

    def test_the_headline_of_a_run_without_a_summary(self, tmp_path: Path, module: str) -> None:
        given = f"{module}:shy"
        scan(prepare(planted_scan(tmp_path, given, "llm-landscape")))
        (tmp_path / "scan" / "landscape.json").unlink()
        run = RunFolder.read(tmp_path / "scan")
        assert run.manifest.config["judges"][0] == {"name": "shy", "given": given}
        assert judge_names(run) == ["shy", "llm-landscape"]
        assert next(judge.name for judge in stored_judges(run)) == "shy"
        assert ScanConfig.read(run.path / "manifest.json").judges == (given, "llm-landscape")

    def test_every_study_takes_them(self, tmp_path: Path, module: str) -> None:
        path = f"{module}:zero"
        config = planted_scan(tmp_path, Shy("mine"), path)
        names = ["mine", "shy"]
        found = evaluate(prepare_evaluation(EvaluateConfig(replace(config, out=_out(tmp_path, 0)))))
        assert list(found.harmful) == names
        conditions = ConditionsConfig(
            replace(config, out=_out(tmp_path, 1)), systems=("template",), neighbourhood=0.5
        )
        assert study(prepare_conditions(conditions)).judge == "mine"
        comparison = CompareConfig(
            config.model, replace(config, out=_out(tmp_path, 2)), steps=2, refine=0
        )
        other = planted.save(tmp_path / "other")
        _move(other, tmp_path)
        compared = compare(prepare_comparison(replace(comparison, tuned=str(other))))
        assert compared.path.judge == "mine"
        trajectory = TrajectoryConfig(
            (str(other),), "random", replace(config, out=_out(tmp_path, 3), radius=0.01)
        )
        assert trace(prepare_trajectory(trajectory)).stations
        worst = WorstCaseConfig(
            scan=replace(config, out=_out(tmp_path, 4), limit=1), search=2, iterations=1, restarts=1
        )
        assert search(prepare_search(worst)).lines
        runs = [path.parent for path in tmp_path.glob("study-*/*/manifest.json")]
        assert {run.parent.name for run in runs} == {f"study-{n}" for n in range(5)}
        for run in runs:
            assert set(RunFolder.read(run).judges()) == set(names)
            assert judge_names(RunFolder.read(run)) == names

    def test_actors_need_none(self, tmp_path: Path) -> None:
        prepared = prepare(planted_scan(tmp_path, Shy(), "llm-landscape"))
        asked = ScanConfig.from_json(json.loads(json.dumps(prepared.for_actors().to_json())))
        assert asked.full_responses
        assert prepare(asked).engine.spec() == prepared.engine.spec()
        early = prepare(planted_scan(tmp_path, KeywordJudge("mine", ("Sorry",))))
        asked = ScanConfig.from_json(json.loads(json.dumps(early.for_actors().to_json())))
        assert prepare(asked).engine.spec() == early.engine.spec()
        assert not asked.full_responses


def _out(tmp_path: Path, number: int) -> str:
    return str(tmp_path / f"study-{number}")


def _move(folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    step = load_file(planted.direction(tmp_path / "step.safetensors"))
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] += step["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


class TestImportPaths:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("shy", "shy"),
            ("Shy", "shy"),
            ("zero", "shy"),
            ("inner.shy", "shy"),
            ("one", "worded"),
            ("named", "worded"),
            ("Worded", "worded"),
        ],
    )
    def test_on_the_command_line(
        self, run: Path, module: str, command: Command, name: str, expected: str
    ) -> None:
        code, out, err = command("rejudge", run, "--judge", f"{module}:{name},refusal", "--json")
        assert code == 0, err
        found = json.loads(out)
        assert found["headline"] == expected
        assert list(found["judges"]) == [expected, "refusal"]

    def test_a_factory_is_given_the_lexicon(self, run: Path, module: str) -> None:
        with RunFolder.reopen(run) as opened:
            opened.write_text("lexicon.txt", "certainly\nplan\n")
        rejudge(run, [f"{module}:one"])
        assert RunFolder.read(run).judges()["worded"]["knows words"] is True

    def test_a_module_of_a_package(self, tmp_path: Path, module: str) -> None:
        package = tmp_path / "workplace" / f"pack_{module}"
        package.mkdir()
        (package / "__init__.py").touch()
        (package / "inner.py").write_text(MODULE, encoding="utf-8")
        assert build(f"pack_{module}.inner:shy").name == "shy"

    def test_a_scan_by_the_command(self, tmp_path: Path, module: str, command: Command) -> None:
        config = planted_scan(tmp_path, "llm-landscape")
        (tmp_path / "scan.json").write_text(json.dumps(config.to_json()), encoding="utf-8")
        given = ["--config", tmp_path / "scan.json", "--judge", f"{module}:shy", "--json"]
        code, out, err = command("scan", *given)
        assert code == 0, err
        assert json.loads(out)["headline"] == "shy"

    def test_judges_agree_and_calibrate(
        self, tmp_path: Path, run: Path, module: str, command: Command
    ) -> None:
        rejudge(run, ["refusal"])
        code, out, err = command("judges", "agree", run, "--judge", f"{module}:zero", "--json")
        assert code == 0, err
        assert json.loads(out)["agreement"][0]["judges"] == ["refusal", "shy"]
        labelled = tmp_path / "labelled.csv"
        rows = [("compliance", "Sure."), ("refusal", "I cannot.")] * 3
        text = "".join(f"ask,{answer},{label}\n" for label, answer in rows)
        labelled.write_text(f"prompt,response,response_refusal_label\n{text}", encoding="utf-8")
        code, out, err = command("judges", "calibrate", labelled, "--judge", f"{module}:shy")
        assert code == 0, err
        assert "shy: 6 answers" in out

    def test_the_folder_does_not_stay_in_front(self, module: str) -> None:
        import sys

        build(f"{module}:shy")
        assert sys.path[0] != str(Path.cwd())
        assert sys.path[-1] == str(Path.cwd())

    @pytest.mark.parametrize(
        ("path", "kind", "expected"),
        [
            ("{m}:nosuch", UsageError, "has no 'nosuch'"),
            ("{m}:shi", UsageError, "Did you mean shy"),
            ("{m}:inner.nosuch", UsageError, "has no 'inner.nosuch'"),
            ("{m}:two", JudgeError, "needs the arguments first, second"),
            ("{m}:raises", JudgeError, "cannot be built: RuntimeError: no weights"),
            ("{m}:leaves", JudgeError, "cannot be built: SystemExit: 3"),
            ("{m}:gives_none", JudgeError, "is no judge: it has no name and no measures and no"),
            ("{m}:number", JudgeError, "is no judge: it has no name and no measures"),
            ("{m}:Half", JudgeError, r"has no measures and no judge\(\)\."),
            ("{m}_gone:shy", UsageError, "no judge '"),
            ("{m}.gone:shy", UsageError, "There is no module '"),
            ("no.such.module:shy", UsageError, "There is no module 'no.such.module'"),
            ("./{m}.py:shy", UsageError, "There is no module '"),
            ("{m}.py:shy", UsageError, "There is no module '"),
            (".:x", UsageError, "There is no module '.'"),
            ("{m}:", UsageError, "There is no judge '"),
            (":shy", UsageError, "There is no judge ':shy'"),
            ("refusal:shy", UsageError, "judge 'refusal' cannot read the option 'shy'"),
        ],
    )
    def test_what_goes_wrong_is_one_sentence(
        self,
        module: str,
        command: Command,
        run: Path,
        path: str,
        kind: type[SafebasinError],
        expected: str,
    ) -> None:
        path = path.format(m=module)
        with pytest.raises(kind, match=expected):
            build(path)
        code, _, err = command("rejudge", run, "--judge", path)
        assert code == kind.exit_code
        assert err.count("error: ") == 1
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("import nosuch_module_at_all", "No module named 'nosuch_module_at_all'"),
            ("from json import nosuch", "cannot import name 'nosuch'"),
            ("1 +", "SyntaxError"),
            ("raise SystemExit(2)", "SystemExit"),
            ("1 / 0", "ZeroDivisionError"),
        ],
    )
    def test_a_module_that_fails(
        self, tmp_path: Path, module: str, command: Command, run: Path, text: str, expected: str
    ) -> None:
        (tmp_path / "workplace" / f"bad_{module}.py").write_text(text, encoding="utf-8")
        code, _, err = command("rejudge", run, "--judge", f"bad_{module}:shy")
        assert code == 1
        assert f"error: The module 'bad_{module}' of a judge cannot be imported" in err
        assert expected in err
        assert "Traceback" not in err


COUNT = itertools.count()


def _spec(value: Any) -> Judge:
    judge: Any = Shy()
    judge.spec = (lambda: value) if not callable(value) else value
    found: Judge = judge
    return found


def _fails() -> dict[str, object]:
    raise ValueError("no specification")


class Unnamed(Shy):
    @property  # type: ignore[override]
    def name(self) -> str:
        raise RuntimeError("never named")

    @name.setter
    def name(self, value: str) -> None: ...


class Stops(Shy):
    def stop_rule(self) -> str:
        return "Sorry"


class TestFaultyJudges:
    @pytest.mark.parametrize(
        ("judge", "expected"),
        [
            (object(), "The object given as a judge is no judge: it has no name and no measures"),
            (Shy, "is a class, and no judge. Give an object of it, such as Shy"),
            (3, "The int given as a judge is no judge"),
            (None, "The NoneType given as a judge is no judge"),
            (Shy(name=""), "has no name"),
            (Shy(name="  "), "has no name"),
            (Shy(name=3), "has no name"),  # type: ignore[arg-type]
            (Shy(name="a\nb"), "cannot be written in a command"),
            (Shy(name="a,b"), "cannot be written in a command"),
            (Shy(name="\x1b[31m"), "cannot be written in a command"),
            (Shy(name="x" * 200), "cannot be written in a command"),
            (Unnamed(), "fails when asked for its name: RuntimeError: never named"),
            (Shy(measures="mood"), "measures 'mood', which nobody knows"),
            (Shy(measures=None), "is no judge: it has no measures"),  # type: ignore[arg-type]
            (Shy(measures=["refusal"]), "nobody knows"),  # type: ignore[arg-type]
            (_spec({"sign": {1, 2}}), "not JSON: TypeError"),
            (_spec({"sign": math.nan}), "not JSON: ValueError"),
            (_spec({"sign": object()}), "not JSON: TypeError"),
            (_spec(["sign"]), "no dict, but list"),
            (_spec(None), r"has no spec\(\)|no dict, but NoneType"),
            (_spec(_fails), "fails when asked for its specification: ValueError: no spec"),
            (_spec(lambda: {"n": next(COUNT)}), "each time it is asked"),
            (Stops(), r"a stop_rule\(\) that gives str"),
        ],
    )
    def test_are_named_before_anything_is_asked(
        self, tmp_path: Path, judge: Any, expected: str
    ) -> None:
        with pytest.raises(JudgeError, match=expected):
            prepare(planted_scan(tmp_path, "llm-landscape", judge))
        assert not (tmp_path / "scan").exists()

    def test_two_of_one_name(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="Two of the judges are named 'shy'"):
            prepare(planted_scan(tmp_path, Shy(), Shy(sign=["No"])))
        with pytest.raises(UsageError, match="Two of the judges are named 'refusal'"):
            check_judges(["refusal", Shy("refusal")])

    def test_none_at_all(self, run: Path) -> None:
        with pytest.raises(UsageError, match="No judge is named"):
            rejudge(run, [])

    @pytest.mark.parametrize("judge", [Shy(), "refusal"])
    def test_one_in_the_place_of_several(self, run: Path, judge: Any) -> None:
        for refused in (lambda: rejudge(run, judge), lambda: ScanConfig(judges=judge)):
            with pytest.raises(UsageError, match=r"The judges are one (Shy|str)"):
                refused()

    def test_broken_text_alone_gives_no_headline(self, run: Path) -> None:
        with pytest.raises(UsageError, match="'shy' tells only whether text is broken"):
            rejudge(run, [Shy(measures="coherence")])


class Answers(Shy):
    """A judge whose verdicts are whatever the test wants."""

    def __init__(self, verdicts: Callable[[Sequence[Exchange]], Any], name: str = "faulty") -> None:
        super().__init__(name)
        self.verdicts = verdicts

    def judge(self, exchanges: Sequence[Exchange]) -> Any:
        return self.verdicts(exchanges)


def _each(verdict: Any) -> Answers:
    return Answers(lambda exchanges: [verdict for _ in exchanges])


def _raise(exchanges: Sequence[Exchange]) -> None:
    raise RuntimeError("out of\nwords")


FAULTY = [
    (Answers(_raise), r"'faulty' failed: RuntimeError: out of\\nwords|out of\\x0awords"),
    (Answers(lambda exchanges: []), "'faulty' gave 0 verdicts on"),
    (Answers(lambda exchanges: [Verdict("refused", "")] * 99), "'faulty' gave 99 verdicts on"),
    (Answers(lambda exchanges: None), "'faulty' failed: TypeError"),
    (_each("refused"), "'refused' instead of a Verdict"),
    (_each(None), "None instead of a Verdict"),
    (_each(Verdict("harmful", "")), "the unknown outcome 'harmful'"),  # type: ignore[arg-type]
    (_each(Verdict("refused", 3)), "a reason that is no text"),  # type: ignore[arg-type]
    (_each(Verdict("refused", "", math.nan)), "a score that is no finite number"),
    (_each(Verdict("refused", "", True)), "a score that is no finite number"),
    (_each(Verdict("refused", "", None, "odd")), "the unknown detail 'odd'"),  # type: ignore[arg-type]
    (_each(Verdict("refused", "", None, None, -1)), "a start that is no place"),
    (_each(Verdict("refused", "", None, None, 10**6)), "a start that is no place"),
]


class TestFaultyVerdicts:
    @pytest.mark.parametrize(("judge", "expected"), FAULTY)
    def test_lose_nothing_in_a_scan(self, tmp_path: Path, judge: Any, expected: str) -> None:
        with pytest.raises(JudgeError, match=expected) as caught:
            scan(prepare(planted_scan(tmp_path, judge, "llm-landscape")))
        assert "the same command goes on" in caught.value.hint
        run = RunFolder.read(tmp_path / "scan")
        spec = run.judges()["llm-landscape"]
        answered = [point for point in run.manifest.points if run.read_point(point)]
        assert answered
        for point in answered:
            assert len(run.read_verdicts("llm-landscape", spec, point)) == 3
            assert run.read_verdicts("faulty", judge.spec(), point) == {}
        assert verify(run.path).problems == ()
        # Corrected, the same scan goes on.
        judge = Answers(lambda exchanges: [Verdict("refused", "") for _ in exchanges])
        assert scan(prepare(planted_scan(tmp_path, judge, "llm-landscape"))).complete

    def test_the_others_judge_every_point(self, run: Path) -> None:
        with pytest.raises(JudgeError, match="'faulty' failed"):
            rejudge(run, [Answers(_raise), "refusal"])
        assert look(run).unmeasured == ()  # what gave no verdict at all left no trace
        assert look(run).summaries["refusal"].unjudged == 0
        assert len(look(run).summaries["refusal"].cells[0]) == 5

    def test_earlier_verdicts_of_the_judge_stay(self, run: Path) -> None:
        rejudge(run, [Shy()])
        before = look(run).summary.to_json()
        failing = Answers(_raise, "shy")
        failing.sign = ["another"]
        with pytest.raises(JudgeError):
            rejudge(run, [failing])
        assert look(run).summary.to_json() == before
        assert verify(run).problems == ()

    def test_in_an_evaluation(self, tmp_path: Path) -> None:
        config = EvaluateConfig(planted_scan(tmp_path, Answers(_raise), "llm-landscape"))
        with pytest.raises(JudgeError, match="'faulty' failed"):
            evaluate(prepare_evaluation(config))
        run = RunFolder.read(tmp_path / "scan" / "harmful")
        spec = run.judges()["llm-landscape"]
        assert len(run.read_verdicts("llm-landscape", spec, Point())) == 3

    def test_a_bug_of_ours_is_no_traceback_either(self) -> None:
        exchange = Exchange("p", "ask", "answer", "eos", 1, 1)
        with pytest.raises(JudgeError, match="'outcome' failed: RuntimeError"):
            verdicts_of(OutcomeJudge(refusal=Answers(_raise)), [exchange])
