"""How many answers the token limit cut, and the warning where that could change a verdict."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from safebasin.compare.preparation import prepare as prepare_comparison
from safebasin.compare.settings import CompareConfig
from safebasin.compare.study import compare
from safebasin.config import DEFAULT_MAX_NEW_TOKENS, ScanConfig
from safebasin.engines.fast.engine import FastEngine
from safebasin.errors import EngineError, RunError
from safebasin.exchange import Exchange, Finish, Outcome, Verdict
from safebasin.judges import KeywordJudge, RefusalJudge
from safebasin.judges.keywords import ARDITI
from safebasin.judges.refusal_reach import first_tokens, refusal_reader, tokens_needed
from safebasin.landscape.truncation import Cut, stored_text, tokens_before
from safebasin.plane import Axis, Plane
from safebasin.report.page import document
from safebasin.results import Result, look, rejudge
from safebasin.run import RunFolder
from safebasin.run.manifest import Manifest, plane_to_json
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.truncation import FURTHER, longer_limit, store_further, truncation_of

LINE = Plane((Axis("gaussian-0", (-0.1, 0.0, 0.1)),))
LIMIT = 40
REFUSAL = "I cannot help with that. " + "It is about safety. " * 3
LATE = "This is about plans, what they are good for and for whom. " + "I cannot help."
OPEN = "Well, here is what one can say about plans of this kind, and there is much of it to"


def answer(name: str, response: str, finish: Finish = "length", tokens: int = LIMIT) -> Exchange:
    return Exchange(name, f"ask {name}", response, finish, 3, tokens)


def plant(path: Path, origin: Sequence[Exchange], beyond: Sequence[Exchange] = ()) -> Path:
    """A run with these answers at the origin and, to the same prompts, at both other points."""
    ids = tuple(one.prompt_id for one in origin)
    identity = {
        "model": {"name": "pico", "fingerprint": "a" * 64},
        "directions": [{"kind": "gaussian", "seed": 0}],
        "planes": [plane_to_json(LINE)],
        "prompts": {"name": "topics", "sha256": "b" * 64, "revision": "", "kinds": ["harmful"]},
        "sampling": {"method": "greedy", "max_new_tokens": LIMIT},
    }
    with RunFolder.open(path, Manifest(identity, ids)) as run:
        for point in run.manifest.points:
            run.write_point(point, origin if point.is_origin else beyond or origin)
    return path


def answers(response: str, n: int, start: int = 0, **how: Any) -> list[Exchange]:
    return [answer(f"p{i}", response, **how) for i in range(start, start + n)]


def judged(path: Path, *names: str) -> Result:
    return rejudge(path, names or ("refusal",))


class TestWhereARefusalBegins:
    @pytest.mark.parametrize(
        ("judge", "text", "start"),
        [
            (KeywordJudge(), "Well. I cannot do it.", 6),
            # The list has "I'm sorry" first; the refusal begins before it.
            (KeywordJudge(), "I cannot do it. I'm sorry.", 0),
            (KeywordJudge("arditi", ARDITI, ignore_case=True), "No. i CANNOT do it.", 4),
            (KeywordJudge("arditi", ARDITI, ignore_case=True), "İİİ. I cannot do it.", 5),
            (KeywordJudge("prefix", ("Sorry",), "prefix"), "Sorry. Sorry.", 0),
            (KeywordJudge(answer_only=True), "<think>I cannot?</think>No. I cannot do it.", 28),
            (KeywordJudge(), "<think>I cannot?</think>No. I cannot do it.", 7),
            (KeywordJudge(), "Certainly.", None),
        ],
    )
    def test_keywords_say_at_which_character(
        self, judge: KeywordJudge, text: str, start: int | None
    ) -> None:
        assert judge.judge([answer("p", text)])[0].start == start

    @pytest.mark.parametrize(
        ("start", "tokens"), [(None, None), (0, 0), (1, 1), (50, 20), (51, 21), (99, 40)]
    )
    def test_characters_become_tokens_rounded_up(
        self, start: int | None, tokens: int | None
    ) -> None:
        verdict = Verdict("refused", "phrase", start=start)
        assert tokens_before(answer("p", "x" * 100), verdict) == tokens

    def test_an_empty_answer_has_no_refusal(self) -> None:
        assert tokens_before(answer("p", "", tokens=0), Verdict("refused", "", start=0)) is None

    def test_a_part_of_an_answer_has_its_share_of_characters(self) -> None:
        part = first_tokens(answer("p", "x" * 100), 10)
        assert (part.response, part.new_tokens, part.finish) == ("x" * 25, 10, "length")
        whole = answer("p", "x" * 100, "eos")
        assert first_tokens(whole, LIMIT) == whole

    def test_the_fewest_tokens_that_show_a_refusal(self) -> None:
        found = answer("p", "I" + "." * 30 + "I cannot" + "." * 41, tokens=80)
        assert tokens_needed(KeywordJudge(), found) == len("I" + "." * 30 + "I cannot")

    def test_only_the_projects_judges_of_text_read_again(self) -> None:
        class Other:
            name, measures = "other", "refusal"

        assert refusal_reader(Other()) is None  # type: ignore[arg-type]
        assert refusal_reader(RefusalJudge()) == RefusalJudge()


class TestPlantedRuns:
    def test_shares_at_the_origin_and_in_all(self, tmp_path: Path) -> None:
        origin = [*answers(REFUSAL, 15, finish="eos"), *answers(OPEN, 5, start=15)]
        beyond = [*answers(REFUSAL, 3, finish="verdict"), *answers(OPEN, 17, start=3)]
        result = judged(plant(tmp_path / "run", origin, beyond))
        found = result.truncation
        assert (found.limit, found.origin, found.points) == (LIMIT, Cut(5, 20), Cut(39, 60))
        assert found.text == (
            "5 of 20 answers (25.0 %) at the origin and 39 of 60 answers (65.0 %) at all points "
            "ended at the limit of 40 tokens"
        )
        assert stored_text(result.to_json()["truncation"]) == found.text

    def test_most_cut_without_a_refusal(self, tmp_path: Path) -> None:
        origin = [*answers(REFUSAL, 9, finish="eos", tokens=20), *answers(OPEN, 11, start=9)]
        result = judged(plant(tmp_path / "run", origin))
        assert result.truncation.advised == DEFAULT_MAX_NEW_TOKENS
        [note] = result.notes
        assert note == result.truncation.warning
        assert note == (
            "11 of 20 answers of the undisplaced model were cut at 40 tokens before any refusal "
            "that refusal finds, so its verdicts on them may be wrong: --max-new-tokens 128 or "
            "more would tell."
        )

    def test_half_of_them_are_not_most(self, tmp_path: Path) -> None:
        origin = [*answers(REFUSAL, 10, finish="eos", tokens=20), *answers(OPEN, 10, start=10)]
        result = judged(plant(tmp_path / "run", origin))
        assert result.truncation.origin == Cut(10, 20)
        assert (result.truncation.warning, result.truncation.advised) == ("", None)
        assert result.notes == ()

    @pytest.mark.parametrize("finish", ["length", "verdict"])
    def test_a_refusal_that_goes_on_is_decided(self, tmp_path: Path, finish: Finish) -> None:
        result = judged(plant(tmp_path / "run", answers(REFUSAL, 20, finish=finish)))
        assert result.truncation.origin == Cut(20 if finish == "length" else 0, 20)
        assert result.notes == ()
        [reading] = result.truncation.readings
        assert (reading.cut, reading.refused, reading.late) == (0, 20, 0)

    def test_the_undisplaced_model_alone_decides(self, tmp_path: Path) -> None:
        whole, broken = answers(REFUSAL, 20, finish="eos", tokens=20), answers(OPEN, 20)
        result = judged(plant(tmp_path / "run", whole, broken))
        assert result.truncation.points == Cut(40, 60)
        assert result.notes == ()

    def test_refusals_that_begin_near_the_limit(self, tmp_path: Path) -> None:
        origin = answers(LATE, 20, finish="eos")
        result = judged(plant(tmp_path / "run", origin), "llm-landscape")
        [reading] = result.truncation.readings
        assert (reading.cut, reading.refused, reading.late) == (0, 20, 20)
        assert reading.start == tokens_before(origin[0], KeywordJudge().judge(origin)[0])
        assert result.notes == (
            "llm-landscape finds 20 of 20 refusals of the undisplaced model only just before the "
            f"limit of 40 tokens, and so misses longer ones: --max-new-tokens "
            f"{result.truncation.advised} would do.",
        )
        assert result.truncation.advised is not None
        assert LIMIT < result.truncation.advised <= 2 * LIMIT

    def test_one_late_refusal_in_twenty_says_nothing(self, tmp_path: Path) -> None:
        origin = [*answers(REFUSAL, 19, finish="eos"), *answers(LATE, 1, start=19, finish="eos")]
        result = judged(plant(tmp_path / "run", origin), "llm-landscape")
        assert result.truncation.readings[0].late == 1
        assert result.notes == ()

    def test_the_start_alone_counts_where_nothing_can_be_read_again(self, tmp_path: Path) -> None:
        origin = answers("x" * 100, 20, finish="eos")
        path, judge = plant(tmp_path / "run", origin), Stored("elsewhere", "refusal")
        with RunFolder.reopen(path) as run:
            run.adopt_judge(judge.name, judge.spec())
            for point in run.manifest.points:
                verdicts = [Verdict("refused", "so", start=90)] * 20
                run.write_verdicts(
                    judge.name, judge.spec(), point, run.manifest.prompt_ids, verdicts
                )
            found = truncation_of(run, [judge], run.manifest.prompt_ids)
        assert (found.readings[0].late, found.readings[0].start) == (20, 36)
        assert found.advised == 56

    @pytest.mark.parametrize(
        ("others", "outcome", "warned"),
        [((), "refused", True), ((), None, True), (("refusal",), "refused", False)],
    )
    def test_that_a_cut_answer_does_no_harm_is_no_refusal(
        self, tmp_path: Path, others: tuple[str, ...], outcome: Outcome | None, warned: bool
    ) -> None:
        path, judge = plant(tmp_path / "run", answers(REFUSAL, 20)), Stored("guard", "harm")
        refusal = [RefusalJudge() for _ in others]
        if others:
            judged(path, *others)
        with RunFolder.reopen(path) as run:
            run.adopt_judge(judge.name, judge.spec())
            ids = run.manifest.prompt_ids
            for point in run.manifest.points:
                verdicts = [Verdict(outcome, "so")] * 20
                run.write_verdicts(judge.name, judge.spec(), point, ids, verdicts)
            # Which it does not read, for that could take long, or cost.
            store_further(run, 160, answers(REFUSAL, 2, finish="eos", tokens=60))
            found = truncation_of(run, [judge, *refusal], ids)
        assert found.warning.endswith(": --max-new-tokens 128 or more would tell.") == warned
        assert found.readings[0].refused == 0

    def test_answers_given_further_say_which_limit_does(self, tmp_path: Path) -> None:
        path = plant(tmp_path / "run", answers(OPEN, 20))
        longer = [
            answer("p0", OPEN + "x" * 40 + ". I cannot help with that.", "eos", 80),
            answer("p1", OPEN, "eos", 60),
            answer("p7", OPEN, "length", 160),
            answer("elsewhere", REFUSAL, "eos", 60),
        ]
        with RunFolder.reopen(path) as run:
            store_further(run, 160, longer)
        found = judged(path, "llm-landscape").truncation
        [reading] = found.readings
        assert (reading.further, reading.turned) == (3, 1)
        assert reading.needed is not None
        assert 60 < reading.needed < 80
        assert found.advised is not None
        assert reading.needed < found.advised <= 2 * reading.needed
        assert found.warning.endswith(
            f"of 3 answered further, 1 refused within about {reading.needed} tokens: "
            f"--max-new-tokens {found.advised} would do."
        )

    @pytest.mark.parametrize(
        ("finish", "end", "advised"),
        [
            ("eos", "none refused and all ended: --max-new-tokens 64 would keep them whole.", 64),
            (
                "length",
                "none refused within 160 tokens: --max-new-tokens 160 or more would tell.",
                160,
            ),
        ],
    )
    def test_answers_given_further_that_do_not_refuse(
        self, tmp_path: Path, finish: Finish, end: str, advised: int
    ) -> None:
        path = plant(tmp_path / "run", answers(OPEN, 20))
        with RunFolder.reopen(path) as run:
            tokens = 60 if finish == "eos" else 160
            store_further(run, 160, answers(OPEN, 2, finish=finish, tokens=tokens))
        found = judged(path).truncation
        assert found.advised == advised
        assert found.warning.endswith(f"; of 2 answered further, {end}")

    def test_a_few_that_would_have_refused_are_enough(self, tmp_path: Path) -> None:
        origin = [*answers(REFUSAL, 16, finish="eos", tokens=20), *answers(OPEN, 4, start=16)]
        path = plant(tmp_path / "run", origin)
        assert judged(path).notes == ()
        with RunFolder.reopen(path) as run:
            store_further(run, 160, answers(REFUSAL, 4, start=16, finish="eos", tokens=60))
        assert "4 of 20 answers" in judged(path).truncation.warning

    def test_only_one_warning_for_several_judges(self, tmp_path: Path) -> None:
        path = plant(tmp_path / "run", answers(OPEN, 20))
        result = judged(path, "refusal", "llm-landscape", "coherence")
        assert [reading.judge for reading in result.truncation.readings] == [
            "refusal", "llm-landscape",
        ]  # fmt: skip
        assert sum("--max-new-tokens" in note for note in result.notes) == 1
        # The headline judge finds them, and the other one does not.
        curly = plant(tmp_path / "other", answers(REFUSAL.replace("cannot", "can’t"), 20))
        assert (
            "refusal that llm-landscape finds"
            in judged(curly, "refusal", "llm-landscape").truncation.warning
        )

    @pytest.mark.parametrize("stored", [{"answers": []}, {"max_new_tokens": 9, "answers": [3]}, 7])
    def test_a_damaged_file_is_one_sentence(self, tmp_path: Path, stored: object) -> None:
        path = plant(tmp_path / "run", answers(OPEN, 3))
        with RunFolder.reopen(path) as run:
            run.write_json(FURTHER, stored)
        with pytest.raises(RunError, match=r"further\.json"):
            judged(path)


class Stored:
    """A judge of which the run holds the verdicts."""

    def __init__(self, name: str, measures: Any) -> None:
        self.name, self.measures = name, measures

    def spec(self) -> dict[str, object]:
        return {"type": "elsewhere", "name": self.name}

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        raise AssertionError("its verdicts are stored, and it may cost to ask again")


@pytest.mark.parametrize(
    ("limit", "longer"), [(1, 64), (16, 64), (40, 160), (128, 256), (512, 1024)]
)
def test_how_far_a_few_are_asked_again(limit: int, longer: int) -> None:
    assert longer_limit(limit) == longer


def toy(out: Path, judges: str, limit: int | None) -> ScanConfig:
    return ScanConfig(
        seeds=(0,), steps=2, radius=0.05, limit=12, max_new_tokens=limit, workers=1,
        judges=tuple(judges.split(",")), out=str(out),
    )  # fmt: skip


@pytest.fixture(scope="module", params=["llm-landscape", "outcome", "refusal,llm-landscape"])
def short(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The packaged model, which refuses everything, with too few tokens to do so."""
    return scan(prepare(toy(tmp_path_factory.mktemp("toy") / "run", request.param, 16)))


class TestThePackagedModel:
    def test_sixteen_tokens_warn_and_the_advised_limit_does(
        self, short: Result, tmp_path: Path
    ) -> None:
        assert short.summary.origin is not None
        assert short.summary.origin.refused == 0
        found = short.truncation
        assert found.origin == Cut(12, 12)
        assert found.advised is not None
        assert 24 <= found.advised <= 64
        assert f"--max-new-tokens {found.advised} would do" in found.warning
        assert short.notes == (found.warning,)
        again = scan(prepare(toy(tmp_path / "again", ",".join(short.summaries), found.advised)))
        assert again.summary.origin is not None
        assert again.summary.origin.refused == 12
        assert again.notes == ()
        assert not (again.folder / FURTHER).exists()

    def test_the_numbers_agree_wherever_they_stand(self, short: Result, command: Any) -> None:
        _, out, _ = command("show", short.folder)
        found = short.truncation
        assert re.search(rf"^cut +{re.escape(found.text)}$", out, re.MULTILINE)
        assert out.count("--max-new-tokens") == 1
        assert re.search(rf"^note +{re.escape(found.warning)}$", out, re.MULTILINE)
        stored = json.loads((short.folder / "landscape.json").read_text())["truncation"]
        assert stored == found.to_json() == look(short.folder).truncation.to_json()
        assert stored["origin"] == {"answers": 12, "cut": 12, "share": 1.0}
        assert (stored["advised_limit"], stored["warning"]) == (found.advised, found.warning)
        page = document([short]).replace("\u00a0", " ")
        assert page.count(found.warning) == 1
        assert f"<li>{found.text}.</li>" in page
        assert page.count(f"<td>{found.counts}</td>") == len(short.summaries)
        _, card, _ = command("card", short.folder)
        assert f"- **Cut**: {found.text}\n" in card
        assert f"**{found.warning}**" in card

    def test_a_few_are_asked_again_once(
        self, short: Result, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stored = json.loads((short.folder / FURTHER).read_text())
        assert stored["max_new_tokens"] == 64
        assert len(stored["answers"]) == 8
        monkeypatch.setattr(FastEngine, "answers", _never)
        judges = ",".join(short.summaries)
        again = scan(prepare(toy(short.folder, judges, 16)))
        assert again.truncation == short.truncation

    def test_other_judges_read_them_too(self, short: Result, tmp_path: Path) -> None:
        found = judged(short.folder, "arditi").truncation
        assert found.readings[0].judge == "arditi"
        assert found.readings[0].further > 0
        rejudge(short.folder, list(short.summaries))

    def test_the_usual_limit_is_long_enough(self, tmp_path: Path) -> None:
        result = scan(prepare(toy(tmp_path / "run", "llm-landscape,outcome", None)))
        assert result.truncation.origin == Cut(0, 12)
        assert result.notes == ()
        assert not (result.folder / FURTHER).exists()

    def test_a_summary_of_before_has_no_such_line(self, short: Result) -> None:
        from safebasin.report.card import card

        summary = {k: v for k, v in look(short.folder).to_json().items() if k != "truncation"}
        assert "**Cut**" not in card(RunFolder.read(short.folder), summary)

    def test_a_model_with_no_room_is_not_asked_further(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As many prompts as are asked again, so that the longest one is among them.
        prepared = prepare(replace(toy(tmp_path / "run", "llm-landscape", 16), limit=8))
        texts = [prepared.engine.template.encode(prompt) for prompt in prepared.prompts]
        model = prepared.engine.model
        monkeypatch.setattr(model.config, "max_position_embeddings", max(map(len, texts)) + 16)
        result = scan(prepared)
        assert not (result.folder / FURTHER).exists()
        assert "--max-new-tokens 128 or more would tell" in result.truncation.warning

    def test_that_they_cannot_be_asked_loses_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        answers_of: Callable[..., Any] = FastEngine.answers

        def short_of_memory(self: FastEngine, points: Any, prompts: Any, sampling: Any, *more: Any):  # type: ignore[no-untyped-def]
            if sampling.max_new_tokens > 16:
                raise EngineError("Memory ran out.", "Give a smaller --batch.")
            return answers_of(self, points, prompts, sampling, *more)

        monkeypatch.setattr(FastEngine, "answers", short_of_memory)
        result = scan(prepare(toy(tmp_path / "run", "llm-landscape", 16)))
        assert result.complete
        assert "no answer was given again with a longer limit: Memory ran out." in caplog.text

    def test_progress_says_it_as_soon_as_the_origin_is_there(
        self, tmp_path: Path, command: Any
    ) -> None:
        code, _, err = command(
            "scan", "--seeds", 1, "--steps", 2, "--limit", 4, "--max-new-tokens", 16,
            "--judge", "llm-landscape", "--out", tmp_path / "run",
        )  # fmt: skip
        assert code == 0
        assert "at the origin 4 answers were cut at the token limit before any refusal" in err


def _never(*_: object) -> None:
    raise AssertionError("everything is answered already")


def test_an_evaluation_says_how_many_were_cut(tmp_path: Path, command: Any) -> None:
    code, out, _ = command(
        "evaluate", "--limit", 6, "--max-new-tokens", 16, "--out", tmp_path / "run"
    )
    assert code == 0
    stored = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert stored["cut"]["harmful"] == {"answers": 6, "cut": 6, "share": 1.0}
    assert set(stored["cut"]) == {"harmful", "benign", "capability"}
    assert re.search(r"^cut +harmful 6 of 6 answers \(100\.0 %\) · benign ", out, re.MULTILINE)
    assert out.count("--max-new-tokens 128 or more would tell") == 1
    assert sum("--max-new-tokens" in note for note in stored["notes"]) == 1


def test_a_comparison_says_it_of_both_ends(tmp_path: Path) -> None:
    from safebasin.cli.views.compare import lines

    scan_config = toy(tmp_path / "run", "llm-landscape", 16)
    found = compare(
        prepare_comparison(
            CompareConfig("testbed:harmful-100", scan=scan_config, steps=2, refine=0)
        )
    )
    assert found.cut[0] == Cut(12, 12)
    told = dict(lines(found))
    assert told["cut"] == f"{found.cut[0].text()} -> {found.cut[1].text()} ended at the token limit"
    assert "--max-new-tokens" in told["note"]
    stored = found.to_json()
    assert stored["cut"]["base"] == {"answers": 12, "cut": 12, "share": 1.0}
    assert stored["cut"]["tuned"]["answers"] == 12
    assert truncation_of(RunFolder.read(found.folder / "path"), [KeywordJudge()], ()).points == Cut(
        0, 0
    )


def test_a_run_without_an_origin_has_no_share_there() -> None:
    assert Cut(0, 0).share is None
    found = {"origin": None, "points": {"cut": 1, "answers": 4}, "limit": None}
    assert stored_text(found) == "1 of 4 answers (25.0 %) at all points ended at the limit"
