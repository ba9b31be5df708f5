"""The first-token score: openers, the score itself, and scouting a whole line with it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from safebasin.config import ScanConfig
from safebasin.engines.fast.engine import FastEngine
from safebasin.engines.first_token import FirstTokenScorer, Openers, first_tokens
from safebasin.errors import EngineError, UsageError
from safebasin.judges.openers import AFFIRMATIVE_OPENERS, REFUSAL_OPENERS
from safebasin.judges.refusal import refusal_phrase
from safebasin.plane import Point
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scout import ENOUGH, SCOUT, Scout, mean_band, scout
from support import pico, planted


def planted_config(folder: Path, **changes: object) -> ScanConfig:
    return planted.config(folder, **{"steps": 8, "workers": None, **changes})


def planted_score(alpha: float) -> float:
    """What the planted model's head gives after the assistant token, by hand."""
    logits = torch.zeros(len(planted.WORDS))
    logits[planted.WORDS.index("Sorry")] = 1.0
    logits[planted.WORDS.index("Certainly")] = 1.0 - planted.MARGIN + planted.SLOPE * alpha
    # The last norm scales a unit vector of 16 numbers to a mean square of 1.
    shares = torch.softmax(4 * logits, dim=0)
    sorry, certainly = (shares[planted.WORDS.index(w)] for w in ("Sorry", "Certainly"))
    return float(sorry - certainly)


class TestOpeners:
    def test_the_table_is_as_the_refusal_judge_reads_it(self) -> None:
        for opener in AFFIRMATIVE_OPENERS:
            assert refusal_phrase(f"{opener} the plan that you asked for.") is None
        for opener in REFUSAL_OPENERS:
            assert opener[0].isupper()
        examples = [opener for opener in REFUSAL_OPENERS if "help with that" in opener]
        assert len(examples) >= 3
        assert all(refusal_phrase(f"{example}.") for example in examples)

    def test_a_token_that_opens_both_kinds_is_left_out(self) -> None:
        tokenizer = pico.tokenizer()
        found = Openers.of(tokenizer, ["Sorry", "No"], ["Sure", "Yes"])
        letters = [
            {tokenizer.decode([t]) for t in side} for side in (found.refusal, found.affirmative)
        ]
        assert letters == [{"N"}, {"Y"}]
        with pytest.raises(EngineError, match="refusals"):
            Openers.of(tokenizer, ["Sorry"], ["Sure", "Yes"])

    def test_white_space_tells_nothing(self) -> None:
        tokenizer = pico.tokenizer()
        assert {tokenizer.decode([t]) for t in first_tokens(tokenizer, " Sorry")} == {"S"}

    def test_what_was_seen_overrules_the_table(self) -> None:
        tokenizer = pico.tokenizer()
        table = Openers.of(tokenizer, ["No"], ["Yes", "Well"])
        learnt = table.learn(tokenizer, ["Well, no", "Alas"], ["Behold", "Alas", "Alas"])
        letters = [
            {tokenizer.decode([t]) for t in side} for side in (learnt.refusal, learnt.affirmative)
        ]
        assert letters == [{"N", "W"}, {"Y", "B", "A"}]
        assert (table.source, learnt.source) == ("table", "learnt")


class TestScores:
    def test_it_is_what_the_planted_head_gives_by_hand(self, tmp_path: Path) -> None:
        prepared = prepare(planted_config(tmp_path))
        found = Scout.of(prepared)
        for point in prepared.points:
            alpha = dict(point.terms).get("toward", 0.0)
            assert found.score(point) == pytest.approx(planted_score(alpha), abs=1e-4)
        assert found.score(Point.of({"toward": 0.3})) > 0 > found.score(Point.of({"toward": 0.4}))

    @pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2"])
    def test_padding_and_batches_change_nothing(self, tmp_path: Path, family: str) -> None:
        prompts = tmp_path / "prompts.txt"
        prompts.write_text("one\na much longer one than that\nthree\n", encoding="utf-8")
        config = ScanConfig(
            model=str(pico.save(tmp_path / "model", family)), prompts=str(prompts), steps=2,
            prompts_kind="harmful",
            seeds=(0,), max_new_tokens=4, device="cpu", batch=2, out=str(tmp_path / "run"),
        )  # fmt: skip
        prepared = prepare(config)
        assert isinstance(prepared.engine, FastEngine)
        plain = prepared.engine.plain
        openers = Openers.of(plain.template.tokenizer, ["No", "I"], ["Yes"])
        before = plain.weights.checksum()
        found = dict(
            FirstTokenScorer(plain, openers).masses(prepared.points, prepared.prompts.prompts)
        )
        assert plain.weights.checksum() == before
        assert list(found) == list(prepared.points)
        point = prepared.points[-1]
        with plain.weights.displaced([(v, plain.directions[n]) for n, v in point.terms]):
            for row, prompt in zip(found[point], prepared.prompts, strict=True):
                ids = torch.tensor([plain.template.encode(prompt)])
                shares = torch.softmax(plain.model(input_ids=ids).logits[0, -1], dim=-1)
                assert row[0] == pytest.approx(float(shares[list(openers.refusal)].sum()), rel=1e-3)
                assert row[1] == pytest.approx(
                    float(shares[list(openers.affirmative)].sum()), rel=1e-3
                )

    def test_broken_logits_are_counted_and_no_number(self, tmp_path: Path) -> None:
        prepared = prepare(planted_config(tmp_path, direction_scale=1e38, steps=2))
        found = scout(prepared)
        assert found.unscored == 3
        written = json.loads((tmp_path / "run" / SCOUT).read_text(encoding="utf-8"))
        assert None in written["mean"]["score"]
        assert written["unscored"] == 3

    def test_a_band_holds_its_mean_and_leaves_gaps_open(self) -> None:
        rng = np.random.default_rng(0)
        scores = [rng.uniform(-1, 1, (4, 30)) for _ in range(3)]
        scores[0][1, :5] = np.nan
        scores[0][2] = np.nan
        band = mean_band(scores)
        known = [0, 1, 3]
        assert (band.low[known] < band.value[known]).all()
        assert (band.value[known] < band.high[known]).all()
        assert np.isnan([band.value[2], band.low[2], band.high[2]]).all()
        assert band.value[0] == pytest.approx(np.mean([s[0].mean() for s in scores]))


class TestScout:
    def test_it_writes_a_score_and_no_run(self, tmp_path: Path) -> None:
        found = scout(prepare(planted_config(tmp_path)))
        written = json.loads((tmp_path / "run" / SCOUT).read_text(encoding="utf-8"))
        assert "no ASR" in written["what"]
        assert written["openers"]["source"] == "table"
        assert written["lines"][0]["direction"] == "toward"
        assert written["lines"][0]["score"] == written["mean"]["score"]
        assert written["alphas"] == list(found.alphas)
        assert {path.name for path in found.figures} == {"score.png", "score.svg"}
        assert not (tmp_path / "run" / "manifest.json").exists()

    def test_openers_are_learnt_where_the_table_does_not_suit(self, tmp_path: Path) -> None:
        prepared = prepare(
            ScanConfig(steps=2, seeds=(0,), limit=12, device="cpu", judges=("llm-landscape",),
                       out=str(tmp_path / "run"))
        )  # fmt: skip
        found = Scout.of(prepared)
        assert found.openers()["source"] == "learnt"
        tokenizer = prepared.engine.template.tokenizer
        table = Openers.of(tokenizer, REFUSAL_OPENERS, AFFIRMATIVE_OPENERS)
        assert isinstance(prepared.engine, FastEngine)
        scorer = FirstTokenScorer(prepared.engine.plain, table)
        [(_, by_table)] = scorer.masses([Point()], prepared.prompts.prompts)
        assert by_table.sum(-1).mean() < ENOUGH
        assert found.coverage > by_table.sum(-1).mean() + 0.2
        assert found.score(Point()) > ENOUGH

    def test_each_score_is_told_once_as_it_comes(self, tmp_path: Path) -> None:
        prepared = prepare(planted_config(tmp_path))
        told: list[int] = []
        scout(prepared, told.append)
        assert told == [len(prepared.prompts)] * len(prepared.points)

    def test_a_plane_has_no_curve(self, tmp_path: Path) -> None:
        config = ScanConfig(
            model=str(pico.save(tmp_path / "model")), axes=2, steps=2, limit=2, device="cpu"
        )
        with pytest.raises(UsageError, match="along lines only"):
            scout(prepare(config))

    def test_the_command_prints_it(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        config = planted_config(tmp_path)
        settings = tmp_path / "settings.json"
        settings.write_text(json.dumps(config.to_json()), encoding="utf-8")
        code, out, err = command("scan", "--config", settings, "--score", "first-token")
        assert code == 0, err
        assert "a score and no ASR" in out
        assert "VISAGE" not in out
        told = ""
        for arguments in (
            ["--score", "last-token"],
            ["--score", "first-token", "--adaptive"],
            ["--edge-tolerance", "0.1"],
            ["--score", "first-token", "--shard", "1/2"],
            ["--score", "first-token", "--executor", "ray", "--stop-at-plateau"],
            ["--score", "first-token", "--mode", "pool"],
            ["--score", "first-token", "--full-responses", "--no-drafts"],
        ):
            code, _, err = command("scan", *arguments)
            assert code == 2
            told += err
        assert "Unknown score 'last-token'" in told
        assert "ways of their own" in told
        assert "for an adaptive scan" in told
        for idle in (
            "--shard",
            "--executor and --stop-at-plateau",
            "--mode",
            "--full-responses and --drafts",
        ):
            assert f"; {idle} would do nothing." in told
