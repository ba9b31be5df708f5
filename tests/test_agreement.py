"""Agreement of judges, calibration against humans, and the corrected ASR."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from safebasin.agreement import (
    agreement,
    compare_judges,
    rogan_gladen,
)
from safebasin.agreement.measures import cohen_kappa, estimate, gwet_ac1
from safebasin.agreement.prevalence import calibration
from safebasin.agreement.runs import observed_asr
from safebasin.errors import JudgeError, RunError
from safebasin.judges import build
from safebasin.landscape import COMPLIED, INCOHERENT, REFUSED, UNJUDGED
from safebasin.plane import Point
from safebasin.results import rejudge
from safebasin.run import RunFolder
from support import judged_runs
from support.judged_runs import COMPLIANCE, CURLY, REFUSAL


class TestMeasures:
    def test_kappa_and_ac1_against_hand_computed_values(self) -> None:
        # Cohen's textbook table: 0.7 observed, 0.5 expected.
        table = np.array([[20.0, 5.0], [10.0, 15.0]])
        assert cohen_kappa(table) == pytest.approx(0.4)
        mean = np.array([0.55, 0.45])
        expected = (mean * (1 - mean)).sum()
        assert gwet_ac1(table) == pytest.approx((0.7 - expected) / (1 - expected))

    def test_kappa_falls_where_one_kind_prevails_and_ac1_does_not(self) -> None:
        table = np.array([[118.0, 5.0], [2.0, 0.0]])
        assert float(cohen_kappa(table)) < 0
        assert float(gwet_ac1(table)) > 0.93

    def test_three_kinds(self) -> None:
        table = np.diag([10.0, 10.0, 10.0])
        assert cohen_kappa(table) == gwet_ac1(table) == 1
        assert gwet_ac1(np.full((3, 3), 4.0)) == pytest.approx(0)
        assert cohen_kappa(np.full((3, 3), 4.0)) == pytest.approx(0)

    @given(st.lists(st.lists(st.integers(0, 30), min_size=4, max_size=4), min_size=1, max_size=9))
    def test_any_counts_give_numbers_in_range_or_none(self, rows: list[list[int]]) -> None:
        tables = np.array(rows, dtype=float).reshape(-1, 2, 2)
        for measure, name in ((cohen_kappa, "kappa"), (gwet_ac1, "ac1")):
            found = estimate(tables, measure, name)
            if found.value is None:
                assert found.note
                continue
            assert -1 <= found.value <= 1 + 1e-12
            if found.low is not None and found.high is not None:
                assert -1 <= found.low <= found.value + 1e-9
                assert found.value - 1e-9 <= found.high <= 1

    @given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=9))
    @example([[0, 0, 2, 0], [0, 1, 0, 0], [0, 1, 0, 0]])
    def test_no_interval_has_zero_width(self, rows: list[list[int]]) -> None:
        tables = np.array(rows, dtype=float).reshape(-1, 2, 2)
        for measure, name in ((cohen_kappa, "kappa"), (gwet_ac1, "ac1")):
            found = estimate(tables, measure, name)
            if found.low is None:
                assert found.note
            else:
                assert found.high is not None
                assert found.high - found.low > 1e-6

    def test_judges_that_never_agree_have_a_bound_on_the_agreements_unseen(self) -> None:
        rows = [[[0, 2], [1, 0]], [[0, 1], [3, 0]], [[0, 2], [3, 0]], [[0, 3], [1, 0]]]
        found = estimate(np.array(rows, dtype=float), cohen_kappa, "kappa")
        assert (found.value, found.low) == (-1, -1)
        # Of four prompts that never agree, Clopper and Pearson's limit; kappa = 2 share - 1.
        assert found.high == pytest.approx(2 * (1 - 0.025**0.25) - 1)

    def test_a_judge_that_knows_one_outcome_has_a_kappa_without_interval(self) -> None:
        a = np.array([[REFUSED, COMPLIED] * 20] * 3, dtype=np.int8)
        found = agreement("a", "b", (a, np.full_like(a, REFUSED)), three_way=False)
        assert found.kappa.value == pytest.approx(0)
        assert (found.kappa.low, found.kappa.high) == (None, None)
        assert "one outcome alone" in found.kappa.note
        four = calibration("j", "refusal", [(True, False), (False, False)] * 2)
        assert (four.kappa.value, four.kappa.low) == (0, None)
        assert four.kappa.text() == "0.00"

    def test_prompts_that_are_all_alike_give_no_interval(self) -> None:
        tables = np.repeat(np.array([[[4.0, 1.0], [1.0, 4.0]]]), 7, 0)
        found = estimate(tables, cohen_kappa, "kappa")
        assert found.value == pytest.approx(0.6)
        assert (found.low, found.high) == (None, None)
        assert "alike" in found.note

    def test_one_outcome_alone_leaves_kappa_undefined_and_ac1_one(self) -> None:
        codes = np.full((3, 8), REFUSED, dtype=np.int8)
        found = agreement("a", "b", (codes, codes))
        assert found.kappa.value is None
        assert "one outcome" in found.kappa.note
        assert found.ac1.value == 1
        assert found.ac1.low is not None
        assert found.ac1.low < 1

    def test_what_one_judge_left_open_is_counted_and_left_out(self) -> None:
        a = np.array([[REFUSED, COMPLIED, UNJUDGED, INCOHERENT]], dtype=np.int8)
        b = np.array([[REFUSED, COMPLIED, REFUSED, UNJUDGED]], dtype=np.int8)
        found = agreement("a", "b", (a, b))
        assert (found.both, found.either, found.share.value) == (2, 2, 1.0)
        nothing = agreement("a", "b", (a, np.full_like(a, UNJUDGED)))
        assert (nothing.kappa.value, nothing.share.value) == (None, None)
        json.dumps(nothing.to_json(), allow_nan=False)

    def test_two_way_judges_are_compared_on_refusal_alone(self) -> None:
        a = np.array([[REFUSED, COMPLIED, COMPLIED, COMPLIED]] * 3, dtype=np.int8)
        b = np.array([[REFUSED, COMPLIED, INCOHERENT, REFUSED]] * 3, dtype=np.int8)
        found = agreement("two", "three", (a, b), three_way=False)
        assert list(found.per_outcome) == ["refused"]
        assert found.share.value == 0.75
        assert agreement("a", "b", (a, b)).share.value == 0.5

    def test_points_of_one_prompt_are_not_independent(self) -> None:
        rng = np.random.default_rng(0)
        a = rng.integers(0, 2, (1, 60)).astype(np.int8)
        b = np.where(rng.random((1, 60)) < 0.2, 1 - a, a).astype(np.int8)
        once = agreement("a", "b", (a, b), three_way=False).kappa
        copied = agreement("a", "b", (np.repeat(a, 9, 0), np.repeat(b, 9, 0)), False).kappa
        assert copied.value == pytest.approx(once.value)
        assert copied.low == pytest.approx(once.low)


class TestRoganGladen:
    def test_a_perfect_judge_changes_nothing(self) -> None:
        found = rogan_gladen(30, 100, (500, 500), (500, 500))
        assert found.value == pytest.approx(0.3)
        assert found.low is not None
        assert found.high is not None
        assert 0.2 < found.low < 0.3 < found.high < 0.41

    def test_a_known_case(self) -> None:
        # Sensitivity 0.9 and specificity 0.8 turn a true 0.25 into 0.375.
        assert rogan_gladen(375, 1000, (90, 100), (80, 100)).value == pytest.approx(0.25)

    def test_fewer_labels_widen_the_interval(self) -> None:
        many, few = (rogan_gladen(37, 100, (9 * k, 10 * k), (8 * k, 10 * k)) for k in (100, 2))
        assert few.high - few.low > 1.3 * (many.high - many.low)  # type: ignore[operator]

    def test_below_the_judges_own_error_rate_it_is_zero(self) -> None:
        found = rogan_gladen(2, 100, (95, 100), (80, 100))
        assert found.value == 0
        assert found.low == 0

    @pytest.mark.parametrize(
        "case",
        [
            (1, 0, (5, 9), (5, 9)),
            (1, 9, (0, 0), (5, 9)),
            (1, 9, (4, 9), (4, 9)),
            (1, 9, (5, 10), (5, 10)),
        ],
    )
    def test_without_information_it_is_not_defined(self, case) -> None:  # type: ignore[no-untyped-def]
        found = rogan_gladen(*case)
        assert found.value is None
        assert found.note

    @given(st.integers(0, 50), st.integers(1, 50), st.data())
    def test_it_stays_a_share(self, hits: int, n: int, data: st.DataObject) -> None:
        labels = []
        for _ in range(2):
            size = data.draw(st.integers(1, 50))
            labels.append((data.draw(st.integers(0, size)), size))
        found = rogan_gladen(min(hits, n), n, labels[0], labels[1])
        if found.value is not None:
            assert 0 <= found.low <= found.value <= found.high <= 1  # type: ignore[operator]


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


class TestRuns:
    def test_agreement_of_a_run_by_hand(self, run: Path) -> None:
        found = compare_judges(run)
        (pair,) = found.pairs
        assert (pair.first, pair.second) == ("llm-landscape", "refusal")
        # 5 curly refusals of 20 prompts at 3 of 5 points are not known to the keywords.
        assert pair.both == 100
        assert pair.share.value == pytest.approx(1 - 15 / 100)
        table = np.array([[45.0, 0.0], [15.0, 40.0]])
        assert pair.kappa.value == pytest.approx(float(cohen_kappa(table)))
        assert pair.ac1.value == pytest.approx(float(gwet_ac1(table)))

    def test_the_conclusion_that_depends_on_the_judge_is_named(self, run: Path) -> None:
        warnings = compare_judges(run).warnings
        assert any("FAIL by llm-landscape" in w and "PASS by refusal" in w for w in warnings)
        assert any("lower edge" in warning for warning in warnings)
        assert any("upper edge" in warning for warning in warnings)

    def test_judges_that_agree_raise_no_warning(self, tmp_path: Path) -> None:
        folder = judged_runs.write(
            tmp_path / "run", lambda p, n: COMPLIANCE if p.distance > 0.15 else REFUSAL
        )
        rejudge(folder, ["llm-landscape"])
        found = compare_judges(folder, ["refusal", "arditi"])
        assert found.warnings == ()
        assert [pair.kappa.value for pair in found.pairs] == [1, 1, 1]

    def test_the_headline_judge_stays_and_the_files_are_written(self, run: Path) -> None:
        before = (run / "landscape.json").read_bytes()
        found = compare_judges(run, ["outcome"])
        assert (run / "landscape.json").read_bytes() == before
        value = json.loads((run / "agreement.json").read_text())
        assert len(value["agreement"]) == 3
        assert set(value["judges"]) == {"llm-landscape", "refusal", "outcome"}
        assert {path.suffix for path in found.figures} == {".png", ".svg"}
        assert set(RunFolder.read(run).judges()) == {"llm-landscape", "refusal", "outcome"}

    def test_one_judge_is_not_enough(self, tmp_path: Path) -> None:
        folder = judged_runs.write(tmp_path / "run", lambda p, n: REFUSAL)
        rejudge(folder, ["refusal"])
        with pytest.raises(JudgeError, match="1 judge"):
            compare_judges(folder)

    def test_a_judge_of_broken_text_alone_is_named_and_left_out(  # type: ignore[no-untyped-def]
        self, command, run: Path, tmp_path: Path
    ) -> None:
        found = compare_judges(run, ["coherence"])
        assert found.left_out == ("coherence",)
        assert [pair.second for pair in found.pairs] == ["refusal"]
        assert json.loads((run / "agreement.json").read_text())["left_out"] == ["coherence"]
        code, out, _ = command("judges", "agree", run, "--judge", "coherence")
        assert code == 0
        words = "coherence: left out; it tells only broken text and has nothing in common to agree"
        assert words in out
        alone = judged_runs.write(tmp_path / "alone", lambda p, n: REFUSAL)
        rejudge(alone, ["refusal", "coherence"])
        with pytest.raises(JudgeError, match="1 judge beside coherence, and agreement takes two"):
            compare_judges(alone)

    def test_an_edge_that_one_judge_does_not_know_is_said_in_a_sentence(
        self, tmp_path: Path
    ) -> None:
        # The judge of refusals does not judge empty answers; the keywords call them a success.
        folder = judged_runs.write(tmp_path / "run", lambda p, n: "")
        rejudge(folder, ["refusal"])
        warnings = compare_judges(folder, ["llm-landscape"]).warnings
        for where in ("lower", "upper"):
            assert (
                f"the basin's {where} edge is 0.00 (0.00 to 0.00) from the origin by "
                "llm-landscape, and is not known by refusal: no point on this side was judged "
                "together with the origin"
            ) in warnings
        assert not any(" is no point" in warning for warning in warnings)

    def test_an_observed_asr_is_the_origins(self, run: Path) -> None:
        assert observed_asr(run, build("refusal")) == (0, 20)
        assert observed_asr(run, build("llm-landscape")) == (5, 20)
        with pytest.raises(RunError):
            observed_asr(run / "absent", build("refusal"))
