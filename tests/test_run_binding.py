"""Records belong to their run, verdicts to their answers, and derived files say if they changed."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from safebasin.errors import RunError
from safebasin.exchange import Verdict
from safebasin.judges import build
from safebasin.judging import judge_point
from safebasin.plane import Axis, Plane, Point
from safebasin.results import rejudge, review
from safebasin.run import RunFolder, records, strictjson, verify
from safebasin.run.atomic import write_atomic
from safebasin.run.manifest import plane_to_json
from safebasin.run.names import slug
from safebasin.run.rows import exchange_to_json
from support import judged_runs
from support.judged_runs import COMPLIANCE, REFUSAL
from support.run_samples import (
    FAR,
    IDS,
    JUDGE,
    LINE,
    SPEC,
    exchange,
    manifest,
    measured,
)

FILE = f"{FAR.key}.jsonl"
WIDER = Plane((Axis("gaussian-0", (-0.1, 0.0, 0.05, 0.1)),))


def problems(folder: Path) -> list[str]:
    return [str(problem) for problem in verify(folder).problems]


def unbind(folder: Path) -> Path:
    """The run as an earlier version wrote it: nothing says where a record or a file belongs."""
    for path in (*folder.glob("points/*"), *folder.glob("verdicts/*/*.jsonl")):
        found = records.decode(path.read_bytes())
        data = records.encode(found.kind, found.point, found.rows, found.judge)  # type: ignore[arg-type]
        path.write_bytes(data)
    for path in folder.glob("*.json"):
        value = json.loads(path.read_bytes())
        if path.name != "manifest.json":
            value.pop("digest", None)
            path.write_bytes(strictjson.dumps(value).encode())
    return folder


class TestRecords:
    def test_a_whole_run_has_no_problem(self, tmp_path: Path) -> None:
        found = verify(measured(tmp_path / "run"))
        assert (found.problems, found.unbound, found.unsealed) == ((), 0, ())

    @pytest.mark.parametrize("folder", ["points", f"verdicts/{slug(JUDGE)}"])
    def test_a_record_of_another_model_is_found_and_not_read(
        self, tmp_path: Path, folder: str
    ) -> None:
        run = measured(tmp_path / "run")
        other = manifest(model={"id": "nano", "fingerprint": "c" * 64})
        with RunFolder.open(tmp_path / "other", other) as opened:
            opened.write_point(FAR, [exchange(name) for name in IDS])
            opened.write_verdicts(JUDGE, SPEC, FAR, IDS[:1], [Verdict("complied", "none")])
        shutil.copy(tmp_path / "other" / folder / FILE, run / folder / FILE)
        what = "the header names another run, of another model or settings"
        assert f"{folder}/{FILE}, line 1: {what}" in problems(run)
        opened = RunFolder.read(run)
        read = {
            "points": lambda run: run.read_point(FAR),
            "verdicts": lambda run: run.read_verdicts(JUDGE, SPEC, FAR),
        }[folder.split("/")[0]]
        with pytest.raises(RunError, match="names another run"):
            read(opened)

    def test_a_capability_of_another_model_is_found(self, tmp_path: Path) -> None:
        runs = [
            judged_runs.write(
                tmp_path / name,
                lambda p, n: REFUSAL,
                2,
                capabilities=judged_runs.CAPABILITIES,
                model=name,
            )
            for name in ("pico", "nano")
        ]
        [name] = [path.relative_to(runs[0]) for path in runs[0].glob("capability/*choice*")]
        record = sorted((runs[0] / name).iterdir())[0].name
        shutil.copy(runs[1] / name / record, runs[0] / name / record)
        assert any(f"{name}/{record}" in one and "another run" in one for one in problems(runs[0]))

    def test_the_same_answers_stay_where_a_run_grows(self, tmp_path: Path) -> None:
        run = measured(tmp_path / "run")
        with RunFolder.open(run, manifest()) as opened:
            opened.extend([WIDER])
            new = Point.of({"gaussian-0": 0.05})
            opened.write_point(new, [exchange(name, new) for name in IDS])
        assert len(RunFolder.read(run).read_point(FAR) or ()) == len(IDS)
        found = verify(run)
        assert (found.problems, found.unbound, found.complete) == ((), 0, 4)
        # The same model and settings over other points: the answers are this run's too.
        planes = [plane_to_json(WIDER)]
        with RunFolder.open(tmp_path / "b", manifest(planes=planes)):
            pass
        (tmp_path / "b" / "points").mkdir(exist_ok=True)
        shutil.copy(run / "points" / FILE, tmp_path / "b" / "points" / FILE)
        assert problems(tmp_path / "b") == []

    def test_more_prompts_keep_what_is_bound(self, tmp_path: Path) -> None:
        run = measured(tmp_path / "run", IDS[:2])
        with RunFolder.open(run, manifest()) as opened:
            opened.write_point(FAR, [exchange(IDS[2])])
            assert set(opened.read_verdicts(JUDGE, SPEC, FAR)) == set(IDS[:2])
            opened.write_verdicts(JUDGE, SPEC, FAR, IDS[2:], [Verdict("complied", "none")])
            assert set(opened.read_verdicts(JUDGE, SPEC, FAR)) == set(IDS)
        found = verify(run)
        assert (found.problems, found.unbound) == ((), 0)


class TestVerdicts:
    def run(self, folder: Path) -> Path:
        """A run whose far points refuse, and are then made anew to comply."""
        run = judged_runs.write(folder, lambda p, n: REFUSAL, 4)
        rejudge(run, ["refusal"])
        far = Point.of({"gaussian-0": 0.2})
        (run / "points" / f"{far.key}.jsonl").unlink()
        with RunFolder.reopen(run) as opened:
            answers = [exchange(f"p{n}", far, COMPLIANCE if n else REFUSAL) for n in range(4)]
            opened.write_point(far, answers)
        return run

    def test_verdicts_on_other_answers_are_found_and_not_counted(self, tmp_path: Path) -> None:
        run = self.run(tmp_path / "run")
        far = Point.of({"gaussian-0": 0.2})
        what = "judges another answer than the point holds"
        assert [one for one in problems(run) if f"{far.key}.jsonl" in one and what in one]
        opened = RunFolder.read(run)
        assert opened.read_verdicts("refusal", build("refusal").spec(), far) == {}

    def test_they_are_given_anew_by_the_next_sitting(self, tmp_path: Path) -> None:
        run = self.run(tmp_path / "run")
        result = rejudge(run, ["refusal"])
        assert problems(run) == []
        outcomes = result.surveys["refusal"].landscapes[0].asr
        assert outcomes.tolist() == [0, 0, 0, 0, 0.75]

    def test_a_verdict_of_an_earlier_version_is_read_and_counted(self, tmp_path: Path) -> None:
        run = unbind(measured(tmp_path / "run"))
        found = verify(run)
        assert found.problems == ()
        assert found.unbound == 2 * len(LINE.points)
        assert found.unsealed == ("landscape.json",)
        with RunFolder.open(run, manifest()) as opened:
            assert set(opened.read_verdicts(JUDGE, SPEC, FAR)) == set(IDS)
            # What an earlier version judged is not said to be on these very answers.
            opened.write_verdicts(JUDGE, SPEC, FAR, IDS[:1], [Verdict("refused", "phrase")])
            assert set(opened.read_verdicts(JUDGE, SPEC, FAR)) == set(IDS)
        data = (run / "verdicts" / slug(JUDGE) / FILE).read_bytes()
        assert records.decode(data).answers == (
            records.row_digest(exchange_to_json(exchange(IDS[0]))), "", "",
        )  # fmt: skip
        assert verify(run).unbound == 2 * len(LINE.points)

    def test_a_run_of_an_earlier_version_is_judged_further(self, tmp_path: Path) -> None:
        run = unbind(judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, 3))
        with RunFolder.reopen(run) as opened:
            judge = build("refusal")
            opened.adopt_judge(judge.name, judge.spec())
            judge_point(opened, [judge], Point())
        found = verify(run)
        assert (found.problems, found.unbound) == ((), 5)


class TestFiles:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        run = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL, 3)
        with RunFolder.reopen(run) as opened:
            opened.write_text("lexicon.txt", "apple\npear\n")
        rejudge(run, ["refusal", "outcome"])
        return run

    def test_an_edited_summary_is_found_and_can_be_made_anew(self, run: Path) -> None:
        assert problems(run) == []
        file = run / "landscape.json"
        value = json.loads(file.read_bytes())
        value["judges"]["refusal"]["visage"]["value"] = 12.5
        file.write_text(json.dumps(value))
        assert problems(run) == ["landscape.json, line 1: was changed after it was written"]
        review(run)
        assert problems(run) == []

    def test_an_edited_lexicon_is_found_by_the_judge_that_reads_by_it(self, run: Path) -> None:
        (run / "lexicon.txt").write_text("apple\npear\nplum\n")
        assert problems(run) == ["lexicon.txt, line 1: was changed after it was written"]
        (run / "lexicon.txt").unlink()
        assert problems(run) == ["lexicon.txt: is missing"]

    def test_an_edited_lexicon_is_found_by_the_manifest(self, tmp_path: Path) -> None:
        digest = sha256(b"word\n").hexdigest()
        whole = replace(manifest(), files={"lexicon.txt": digest})
        with RunFolder.open(tmp_path / "run", whole) as opened:
            opened.write_text("lexicon.txt", "word\n")
            opened.write_point(FAR, [exchange(IDS[0])])
        # A version that knows of no such files leaves what is recorded.
        with RunFolder.open(tmp_path / "run", manifest()) as opened:
            assert opened.manifest.files == {"lexicon.txt": digest}
        assert problems(tmp_path / "run") == []
        (tmp_path / "run" / "lexicon.txt").write_text("words\n")
        assert problems(tmp_path / "run") == [
            "lexicon.txt, line 1: was changed after it was written"
        ]

    def test_a_file_that_is_read_back_is_read_unchanged_or_not_at_all(self, run: Path) -> None:
        with RunFolder.reopen(run) as opened:
            opened.write_json("assumed.json", {"points": ["a"]})
            assert opened.read_json("assumed.json") == {"points": ["a"]}
        text = (run / "assumed.json").read_text()
        (run / "assumed.json").write_text(text.replace('"a"', '"b"'))
        with pytest.raises(RunError, match="was changed after it was written"):
            RunFolder.read(run).read_json("assumed.json")

    def test_a_run_stopped_before_its_first_answer_is_not_damaged(self, tmp_path: Path) -> None:
        whole = replace(manifest(), files={"lexicon.txt": sha256(b"word\n").hexdigest()})
        with RunFolder.open(tmp_path / "run", whole) as opened:
            assert problems(opened.path) == []
            opened.adopt_judge("outcome", {"lexicon_sha256": sha256(b"word\n").hexdigest()})
            # Killed between the folder of a judge and the file that says who it is.
            opened.path.joinpath("verdicts", "other").mkdir()
            assert problems(opened.path) == []
            assert set(opened.judges()) == {"outcome"}
            opened.write_point(FAR, [exchange(IDS[0])])
            opened.path.joinpath("verdicts", "other").rmdir()
        assert problems(tmp_path / "run") == ["lexicon.txt: is missing"]

    @pytest.mark.parametrize("stopped", range(4))
    def test_a_changed_lexicon_never_looks_damaged(
        self, stopped: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, other = (
            replace(manifest(), files={"lexicon.txt": sha256(word.encode()).hexdigest()})
            for word in ("word", "words")
        )
        run, written = tmp_path / "run", 0

        def write(path: Path, data: bytes) -> None:
            nonlocal written
            if written == stopped:
                raise RuntimeError("killed")
            written += 1
            write_atomic(path, data)

        with RunFolder.open(run, one) as opened:
            opened.record_text("lexicon.txt", "word")
            opened.write_point(FAR, [exchange(IDS[0])])
        # Another lexicon, whose judge may be refused: until it is written, the old one holds.
        with RunFolder.open(run, other) as opened:
            assert problems(run) == []
            monkeypatch.setattr("safebasin.run.stored_files.write_atomic", write)
            with suppress(RuntimeError):
                opened.record_text("lexicon.txt", "words")
            monkeypatch.undo()
            assert problems(run) == []
        assert len(opened.manifest.sessions) == 2
        with RunFolder.open(run, other) as opened:
            opened.record_text("lexicon.txt", "words")
            assert opened.manifest.files == other.files
        assert (problems(run), written) == ([], min(stopped, 3))
