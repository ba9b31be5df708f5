"""Runs whose judge is not at hand any more, or is of another version, are read as stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safebasin import agreement
from safebasin.errors import JudgeError, RunMismatch
from safebasin.exchange import Verdict
from safebasin.judges import (
    KeywordJudge,
    StoredJudge,
    rebuild,
    refusal,
    stored,
    verdicts_of,
)
from safebasin.judging import stored_judges
from safebasin.plane import Point
from safebasin.results import look, rejudge, review
from safebasin.run import RunFolder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from support import own_judges
from support.own_judges import Shy, planted_scan

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return own_judges.workplace(tmp_path, monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return own_judges.answered(tmp_path)


@pytest.fixture
def vanished(run: Path, module: str, command: Command) -> Path:
    """A run judged by what nobody has any more, and by one of ours."""
    assert command("rejudge", run, "--judge", f"{module}:shy,refusal")[0] == 0
    Path(f"{module}.py").unlink()
    __import__("sys").modules.pop(module)
    return run


class TestJudgesThatVanished:
    def test_every_reader_reads_on(self, vanished: Path, command: Command, tmp_path: Path) -> None:
        code, out, err = command("show", vanished)
        assert code == 0, err
        assert "shy" in out
        assert "There is no judge 'shy' here" in out
        for arguments in (
            ("show", vanished, "--json"),
            ("report", vanished),
            ("card", vanished),
            ("export", vanished, "--format", "csv", "--out", tmp_path / "table.csv"),
            ("judges", "agree", vanished),
            ("verify", vanished),
            ("watch", vanished, "--once"),
            ("figure", vanished, "--out", tmp_path / "figure.svg"),
        ):
            code, out, err = command(*arguments)
            assert code == 0, (arguments, err)
        assert "| | shy | refusal |" in command("card", vanished)[1]
        assert (tmp_path / "table.csv").read_text().count(",shy,") == 20
        found = json.loads(command("judges", "agree", vanished, "--json")[1])
        assert found["agreement"][0]["share"]["value"] == 1

    def test_the_numbers_are_those_that_were_stored(self, vanished: Path) -> None:
        before = json.loads((vanished / "landscape.json").read_text())
        again = review(vanished)
        assert again.judge == "shy"
        assert json.loads(json.dumps(again.summary.to_json())) == before["judges"]["shy"]
        assert list(again.kept) == ["shy"]

    def test_what_they_did_not_read_stays_to_be_judged(self, vanished: Path) -> None:
        for file in vanished.glob("verdicts/shy-*/*.jsonl"):
            file.unlink()
            break
        found = review(vanished)
        assert found.unmeasured == ("verdicts",)
        assert review(vanished).unmeasured == ("verdicts",)

    def test_new_verdicts_are_refused_in_one_sentence(
        self, vanished: Path, command: Command
    ) -> None:
        judge = next(one for one in stored_judges(RunFolder.read(vanished)) if one.name == "shy")
        assert isinstance(judge, StoredJudge)
        with pytest.raises(JudgeError, match="stored verdicts alone") as caught:
            rejudge(vanished, [judge])
        assert "There is no judge 'shy' here" in caught.value.message
        assert "--judge MODULE:NAME" in caught.value.hint
        with pytest.raises(JudgeError, match="stored verdicts alone"):
            verdicts_of(judge, [])
        code, _, err = command("rejudge", vanished, "--judge", "shy")
        assert code == 2
        assert "There is no judge 'shy'" in err

    def test_rejudging_by_others_keeps_them(self, vanished: Path) -> None:
        found = rejudge(vanished, ["llm-landscape"])
        assert set(found.surveys) == {"llm-landscape", "shy", "refusal"}

    @pytest.mark.parametrize("measures", ["outcome", "harm", "refusal"])
    def test_what_they_measure_is_recorded(self, run: Path, measures: str) -> None:
        rejudge(run, [Shy(measures=measures)])
        [judge] = stored_judges(RunFolder.read(run))
        assert judge.measures == measures
        assert (look(run).shares is not None) == (measures == "outcome")

    @pytest.mark.parametrize(
        ("outcomes", "expected"),
        [
            (("refused", "complied"), "refusal"),
            (("incoherent", None), "coherence"),
            (("incoherent", "refused"), "outcome"),
        ],
    )
    def test_what_they_measured_in_an_old_run(
        self, run: Path, outcomes: tuple[Any, Any], expected: str
    ) -> None:
        with RunFolder.reopen(run) as opened:
            verdicts = [Verdict(outcome, "") for outcome in outcomes]
            opened.write_verdicts("old", {"v": 1}, Point(), ["p0", "p1"], verdicts)
        assert [judge.measures for judge in stored_judges(RunFolder.read(run))] == [expected]

    def test_reading_imports_nothing(self, run: Path, module: str) -> None:
        """A run that somebody sent names a module that lies in this folder."""
        Path("trap.py").write_text("raise SystemExit('imported')", encoding="utf-8")
        rejudge(run, [Shy("trap:shy")])
        assert look(run).judge == "trap:shy"
        with pytest.raises(JudgeError, match="no judge 'trap:shy' here"):
            rebuild({"name": "trap:shy"})

    def test_a_name_that_is_another_judges_by_now(self) -> None:
        found = stored("shy", KeywordJudge("mine").spec(), None, "harm")
        assert isinstance(found, StoredJudge)
        assert (found.name, found.measures) == ("shy", "harm")


class TestAnotherVersionOfOurs:
    @pytest.fixture
    def older(self, run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A run that an older table of phrases judged."""
        with monkeypatch.context() as patched:
            patched.setattr(refusal, "TABLE_SHA256", "older")
            rejudge(run, ["refusal"])
        return run

    def test_is_read_as_stored(self, older: Path, command: Command) -> None:
        code, out, err = command("show", older)
        assert code == 0, err
        assert "version's judge 'refusal' differs in phrases_sha256" in out
        assert RunFolder.read(older).judges()["refusal"]["phrases_sha256"] == "older"
        for arguments in (("report", older), ("card", older), ("judges", "agree", older)):
            code, out, err = command(*arguments)
            assert code == (1 if arguments[0] == "judges" else 0)  # agreement takes two judges
        found = agreement.compare_judges(older, ["llm-landscape"])
        assert found.pairs[0].share.value == 1

    def test_rejudging_replaces_it(self, older: Path) -> None:
        found = rejudge(older, ["refusal"])
        assert found.notes == ()
        assert RunFolder.read(older).judges()["refusal"]["phrases_sha256"] != "older"

    def test_a_scan_that_goes_on_mixes_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command
    ) -> None:
        config = planted_scan(tmp_path, "refusal")
        with monkeypatch.context() as patched:
            patched.setattr(refusal, "TABLE_SHA256", "older")
            scan(prepare(config))
        folder = tmp_path / "scan"
        before = {p: p.read_bytes() for p in folder.glob("verdicts/*/*")}
        with pytest.raises(
            RunMismatch, match="'refusal' in this run are by another spec"
        ) as caught:
            scan(prepare(config))
        assert "`safebasin rejudge`" in caught.value.hint
        assert "the same command goes on" in caught.value.hint
        assert {p: p.read_bytes() for p in folder.glob("verdicts/*/*")} == before
        assert command("rejudge", folder, "--judge", "refusal")[0] == 0
        assert scan(prepare(config)).complete

    def test_a_lexicon_that_is_gone(self, run: Path) -> None:
        with RunFolder.reopen(run) as opened:
            opened.write_text("lexicon.txt", "certainly\nplan\n")
        rejudge(run, ["outcome"])
        (run / "lexicon.txt").unlink()
        found = review(run)
        assert found.judge == "outcome"
        assert found.shares is not None
        assert "lexicon" in found.kept["outcome"]
