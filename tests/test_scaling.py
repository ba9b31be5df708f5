"""Scaled intervals of blocks, and the search for the one that changes refusals most."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from safebasin.attribution.refusing import Refusing, openers_of
from safebasin.attribution.scaling import ENOUGH, Interval, Scaling, search
from safebasin.cli.views.attribute import _of_interval as interval_lines
from safebasin.directions import Scaled
from safebasin.errors import DataError, DirectionError, EngineError, UsageError
from safebasin.judges.openers import AFFIRMATIVE_OPENERS, REFUSAL_OPENERS
from safebasin.landscape import Estimate
from safebasin.subject.row_sources import rows_of
from safebasin.subject.rows import Rows, load_rows
from safebasin.subject.subject import Subject
from safebasin.weights import Weights
from support import pico
from test_stacked_matrices import mixture
from test_subject import ROWS, answered_otherwise, row_of, subject_of

LLAMA = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def aligned() -> Subject:
    return Subject.load("testbed:aligned")


@pytest.fixture(scope="module")
def rows() -> tuple[Rows, Rows]:
    return load_rows("testbed:refusing").first(6), load_rows("testbed:benign").first(6)


class TestScaled:
    @pytest.mark.parametrize("include_o_proj", [True, False])
    def test_every_matrix_of_the_interval_and_no_other(self, include_o_proj: bool) -> None:
        model = pico.model("llama")
        weights = Weights(model)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        scaled = Scaled(1, 1, weights, include_o_proj=include_o_proj)
        with weights.displaced([(0.25, scaled)]):
            now = {name: p.detach().clone() for name, p in model.named_parameters()}
        wanted = {f".{one}." for one in LLAMA if include_o_proj or one != "o_proj"}
        for name, tensor in before.items():
            if ".1." in name and any(one in name for one in wanted):
                torch.testing.assert_close(now[name], 1.25 * tensor, rtol=1e-6, atol=0)
                assert not torch.equal(now[name], tensor)
            else:
                assert torch.equal(now[name], tensor), name

    def test_scale_one_is_the_model_and_back_is_back(self) -> None:
        weights = Weights(pico.model("gpt2"))
        before = weights.checksum()
        with weights.displaced([(0.0, Scaled(0, 1, weights))]):
            assert weights.checksum() == before
        assert weights.checksum() == before

    @pytest.mark.parametrize("interval", [(1, 0), (-1, 0), (0, 2)])
    def test_an_interval_that_is_none(self, interval: tuple[int, int]) -> None:
        with pytest.raises(DirectionError, match="has no blocks"):
            Scaled(*interval, Weights(pico.model("llama")))

    @pytest.mark.parametrize("kind", ["qwen2_moe", "gpt_oss", "granitemoe"])
    def test_routers_of_experts_stay(self, kind: str) -> None:
        weights = Weights(mixture(kind))
        scaled = Scaled(0, 0, weights)
        moved = {one.name for one in weights.parameters if scaled.tensor(one) is not None}
        assert moved == {
            one.name
            for one in weights.parameters
            if one.layer is not None and one.name.split(".")[-2].endswith(("_proj", "experts"))
            and len(one.matrix.shape) == 2
        }  # fmt: skip

    def test_an_attention_that_is_not_known(self) -> None:
        weights = Weights(pico.model("llama"), exclude=["*o_proj*"])
        with pytest.raises(DirectionError, match="attention's output"):
            Scaled(0, 1, weights, include_o_proj=False)


UPPER = [0.20, 0.35, 0.30, 0.22, 0.50, 0.45]
"""R_o by the upper bound: two peaks, the second is the higher one."""
LOWER = {0: 0.40, 1: 0.30, 2: 0.55, 3: 0.48, 4: 0.25}


def planted(first: int, last: int, alpha: float) -> float:
    value = UPPER[last] if first == 0 and last != 4 else LOWER[first]
    return value if last != 4 or first else 0.50


class TestSearch:
    def test_it_scans_beyond_the_first_peak(self) -> None:
        found = search(planted, 6, 0.1, alpha=1.2)
        assert (found.first, found.last, found.alpha, found.reached) == (2, 4, 1.2, None)
        assert found.sweeps["upper"] == tuple(enumerate([*UPPER[:4], 0.50, 0.45]))
        assert [bound for bound, _ in found.sweeps["lower"]] == [0, 1, 2, 3, 4]

    def test_below_one_the_least_is_taken(self) -> None:
        found = search(lambda i, j, a: 1 - planted(i, j, a), 6, 0.9, alpha=0.8)
        assert (found.first, found.last) == (2, 4)

    def test_of_equal_values_the_shorter_interval(self) -> None:
        found = search(lambda first, last, alpha: 0.3, 5, 0.1, alpha=1.2, start=2)
        assert (found.first, found.last) == (2, 2)

    def test_alpha_grows_until_the_bounds_differ_enough(self) -> None:
        def measure(first: int, last: int, alpha: float) -> float:
            return (alpha - 1) * last / 5

        found = search(measure, 6, 0.1)
        spreads = dict(found.alphas)
        assert found.reached is True
        assert [*spreads] == [1.05, 1.1]
        assert spreads[1.05] == pytest.approx(0.05 * np.std(np.arange(6) / 5))
        assert spreads[1.05] < ENOUGH <= spreads[1.1]

    def test_alpha_falls_where_much_is_refused_already(self) -> None:
        found = search(lambda i, j, alpha: 0.9 - (1 - alpha) * j, 4, 0.9)
        assert (found.alpha, found.last) == (0.95, 3)

    def test_where_no_alpha_is_enough_the_widest_is_taken(self) -> None:
        found = search(lambda i, j, alpha: 0.01 * (j == 1) * (alpha == 1.3), 4, 0.1)
        assert (found.reached, found.alpha, found.last) == (False, 1.3, 1)
        assert len(found.alphas) == 20

    def test_a_bound_without_numbers_is_not_chosen(self) -> None:
        found = search(lambda i, j, a: float("nan") if j == 3 else j / 10, 4, 0.1, alpha=2.0)
        assert found.last == 2
        with pytest.raises(EngineError, match="no numbers"):
            search(lambda i, j, a: float("nan"), 4, 0.1, alpha=2.0)


class TestScaling:
    def test_what_it_measures_is_what_transformers_gives(
        self, aligned: Subject, rows: tuple[Rows, Rows]
    ) -> None:
        safety, utility = rows
        before = aligned.weights.checksum()
        found = Scaling("first-token", 1.3).locate(aligned, safety, utility)
        assert aligned.weights.checksum() == before
        tokenizer = aligned.tokenizer
        ids = [
            {tokenizer.encode(lead + text, add_special_tokens=False)[0] for text in texts
             for lead in ("", " ")}
            for texts in (REFUSAL_OPENERS, AFFIRMATIVE_OPENERS)
        ]  # fmt: skip
        model, _ = aligned.checkpoint.load("float32", "cpu")
        with torch.no_grad():
            for layer in model.model.layers[found.first : found.last + 1]:
                for name, parameter in layer.named_parameters():
                    if "norm" not in name:
                        parameter.mul_(1.3)
            masses = []
            for encoded in aligned.encode(utility.rows):
                prompt = encoded.ids[: next(i for i, x in enumerate(encoded.labels) if x >= 0)]
                logits = model(torch.tensor([prompt])).logits[0, -1].double()
                chosen = sorted(ids[0] - ids[1])
                masses.append(float(logits.softmax(-1)[chosen].sum()))
        assert found.scaled.value == pytest.approx(np.mean(masses), abs=1e-5)
        assert dict(found.sweeps["lower"])[found.first] == pytest.approx(found.scaled.value)
        assert dict(found.sweeps["upper"])[found.last] == max(
            value for _, value in found.sweeps["upper"]
        )

    def test_refused_answers_are_counted(self, aligned: Subject, rows: tuple[Rows, Rows]) -> None:
        safety, utility = rows
        for asked, refused in ((safety, 1.0), (utility, 0.0)):
            refusing = Refusing(aligned, asked, "over-refusals")
            assert refusing.each().mean() == refused
            assert refusing.estimate(refusing.each()).method == "Wilson"
        found = Scaling("over-refusals", 1.1, "code").locate(aligned, safety, utility)
        again = Interval.from_json(json.loads(json.dumps(found.to_json())))
        assert again.to_json() == found.to_json()
        assert found.harmful[0].value == 1.0

    def test_first_tokens_are_learnt_from_the_model_s_own_refusals(
        self, aligned: Subject, rows: tuple[Rows, Rows]
    ) -> None:
        """Held against the tokens and the probabilities of plain transformers."""
        openers = openers_of(aligned, "learnt-first-token", *rows)
        assert openers is not None
        assert openers.source == "learnt"
        held_out = rows_of("refused:testbed:harmful-dev", 0).first(12)
        first, sums = [], []
        for encoded in aligned.encode(held_out.rows):
            prompt = encoded.ids[: next(i for i, x in enumerate(encoded.labels) if x >= 0)]
            with torch.inference_mode():
                logits = aligned.model(torch.tensor([prompt])).logits[0, -1].double()
            first.append(int(logits.argmax()))
            sums.append(float(logits.softmax(-1)[list(openers.refusal)].sum()))
        each = Refusing(aligned, held_out, "learnt-first-token", openers).each()
        np.testing.assert_allclose(each, sums, atol=1e-5)
        by_table = Refusing(aligned, held_out).each()
        assert by_table.mean() < 0.5 < each.mean()
        assert set(first) & set(openers.refusal)
        assert openers_of(aligned, "first-token", *rows) is None

    def test_the_search_says_what_the_table_alone_knows(
        self, aligned: Subject, rows: tuple[Rows, Rows]
    ) -> None:
        found = Scaling("learnt-first-token", 1.1).locate(aligned, *rows)
        assert found.table is not None
        assert found.table.value == pytest.approx(Refusing(aligned, rows[0]).each().mean())
        again = Interval.from_json(json.loads(json.dumps(found.to_json())))
        assert again.to_json() == found.to_json()
        assert (found.harmful[0].value or 0) > (found.table.value or 0)

    def test_sweeps_in_which_nothing_moves_are_told(self) -> None:
        def found(*upper: float) -> Interval:
            one = Estimate(0.1, 0.0, 0.2, method="Wilson")
            sweeps = {"upper": tuple(enumerate(upper)), "lower": ((0, upper[0]),)}
            spread = float(np.std(upper))
            return Interval(0, 0, 1.05, False, ((1.05, spread),), sweeps, one, one, (one, one))

        told = "refusals are the same at every bound"
        assert found(0.1, 0.1, float("nan")).flat
        assert any(told in line for line in interval_lines(found(0.1, 0.1)))
        assert not found(0.1, 0.2).flat
        assert not any(told in line for line in interval_lines(found(0.1, 0.2)))

    def test_bad_input(self, aligned: Subject, rows: tuple[Rows, Rows]) -> None:
        with pytest.raises(DataError, match="refusals of harmless prompts, and there are none"):
            Scaling().locate(aligned, rows[0])
        with pytest.raises(DataError, match="share prompts"):
            Scaling().locate(aligned, rows[0], answered_otherwise(rows[0]))
        with pytest.raises(UsageError, match="cannot start at block 9 of 4"):
            Scaling("first-token", 1.2, "paper", 9).locate(aligned, *rows)
        bad: list[tuple[Any, ...]] = [
            ("asr",), ("first-token", 1.0), ("first-token", float("nan")), ("first-token", -1),
            ("first-token", None, "ours"),
        ]  # fmt: skip
        for given in bad:
            with pytest.raises(UsageError):
                Scaling(*given)

    def test_an_answer_does_not_fit_behind_a_prompt(self) -> None:
        subject = subject_of(pico.model("gpt2"))  # which has no embedding for a later position
        rows = Rows("long", (ROWS[0], row_of("a" * 480, "b", "row 9")))
        assert np.isfinite(Refusing(subject, rows).each()).all()
        with pytest.raises(DataError, match=r"row 9: the prompt has 483 tokens; with 32 .* 515, "):
            Refusing(subject, rows, "over-refusals")
