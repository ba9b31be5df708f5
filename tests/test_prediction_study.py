"""The study's machinery, on a model of no use."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from safebasin.errors import RunError
from safebasin.prediction.alignment import AlignmentPlan, align, examples, perturbed
from safebasin.prediction.analysis import MEASURES, VIEWS, analyse, measured, outcome
from safebasin.prediction.design import QUICK, STUDY
from safebasin.prediction.study import run
from safebasin.testbed.architecture import Shape, new_model
from safebasin.testbed.grammar import Label, label
from safebasin.testbed.tokenizer import train_tokenizer

ROOT = Path(__file__).parents[1]


def model_and_tokenizer():  # type: ignore[no-untyped-def]
    batches = examples(AlignmentPlan(0), 200)
    tokenizer = train_tokenizer(next(batches), 400)
    shape = Shape(400, hidden=16, layers=1, heads=2, inner=16)
    return new_model(tokenizer, shape, seed=0), tokenizer


def weights_of(model) -> dict[str, torch.Tensor]:  # type: ignore[no-untyped-def]
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def test_a_study_goes_from_nothing_to_its_analysis_and_goes_on_after_a_stop(
    tmp_path: Path,
) -> None:
    lines: list[str] = []

    class StopError(Exception):
        pass

    def tell(line: str) -> None:
        lines.append(line)
        if line.startswith("tiny-two:"):
            raise StopError

    with pytest.raises(StopError):
        run(QUICK, tmp_path, tell)
    kept = {file.name: file.read_bytes() for file in (tmp_path / "records").iterdir()}
    assert set(kept) == {"tiny-one.json", "tiny-two.json"}
    assert "1 of 3 checkpoints" in lines[0]

    lines.clear()
    found = run(QUICK, tmp_path, lines.append)
    assert [record["name"] for record in found] == ["tiny-one", "tiny-two", "tiny-three"]
    assert lines[0] == "resuming: 2 of 3 checkpoints are there"
    assert len(lines) == 2
    assert all((tmp_path / "records" / name).read_bytes() == text for name, text in kept.items())
    assert not list(tmp_path.glob("checkpoint/*"))

    for record in found:
        assert set(record["before"]) == {*(set(MEASURES) - {"plain"}), "plain_asr", "asr"}
        assert set(record["after"]) == {tune.name for tune in QUICK.tunes}
        assert all(len(one) == 2 for one in record["after"].values())
    analysis = analyse(found)
    assert set(analysis["views"]) == {view.name for view in VIEWS}
    json.dumps(analysis, allow_nan=False)

    lines.clear()
    again = run(QUICK, tmp_path, lines.append)
    assert again == found
    with pytest.raises(RunError, match="another design"):
        run(replace(QUICK, test_prompts=4), tmp_path, lines.append)


def test_the_design_is_large_enough_and_every_checkpoint_has_its_own_name_and_seed() -> None:
    checkpoints = STUDY.checkpoints()
    assert len(checkpoints) >= 40
    assert len({name for name, _, _ in checkpoints}) == len(checkpoints)
    assert len({plan.seed for _, _, plan in checkpoints}) == len(checkpoints)
    first = {base.name for _, base, _ in checkpoints[: len(STUDY.bases)]}
    assert first == {base.name for base in STUDY.bases}


def test_a_plan_determines_its_examples_and_limits_its_refusals() -> None:
    plan = AlignmentPlan(5, refusals=7, share=0.5)
    [batch, other] = [next(examples(plan, 400)) for _ in range(2)]
    assert batch == other
    refused = [one for one in batch if label(one.prompt, one.answer).label is Label.REFUSAL]
    assert len(set(refused)) == 7
    assert 0.4 < len(refused) / len(batch) < 0.6
    free = next(examples(AlignmentPlan(5, share=0.5), 400))
    refusals = {one for one in free if label(one.prompt, one.answer).label is Label.REFUSAL}
    assert len(refusals) > 100


def test_aligning_follows_the_plan() -> None:
    model, tokenizer = model_and_tokenizer()
    start = weights_of(model)
    align(model, tokenizer, AlignmentPlan(1, steps=2), batch=4)
    frozen = weights_of(model)
    assert torch.equal(frozen["model.embed_tokens.weight"], start["model.embed_tokens.weight"])
    assert not torch.equal(frozen["lm_head.weight"], start["lm_head.weight"])

    model, _ = model_and_tokenizer()
    align(model, tokenizer, AlignmentPlan(1, steps=2, noise_after=0.1), batch=4)
    noisy = weights_of(model)
    for name, before in frozen.items():
        expected = 0.0 if "norm" in name else 0.1 * float(before.norm())
        assert float((noisy[name] - before).norm()) == pytest.approx(expected, rel=1e-3)

    model, _ = model_and_tokenizer()
    align(model, tokenizer, AlignmentPlan(1, steps=2, noise_training=0.3), batch=4)
    assert not torch.equal(weights_of(model)["lm_head.weight"], frozen["lm_head.weight"])


def test_noise_in_training_is_gone_after_the_step() -> None:
    model, _ = model_and_tokenizer()
    start = weights_of(model)
    with perturbed(model, 0.2, torch.Generator().manual_seed(0)):
        assert not torch.equal(weights_of(model)["lm_head.weight"], start["lm_head.weight"])
    assert all(torch.equal(p, start[name]) for name, p in weights_of(model).items())


def record(base: str, number: float, asr: float, plain: float = 0.0) -> dict[str, Any]:
    shares = {"keyword_asr": asr, "compliance": asr / 2}
    before = {"visage": number, "width": number, "area": number, "worst_case": number}
    return {
        "name": f"{base}-{number}",
        "base": base,
        "before": {**before, "first_token": -number, "plain_asr": plain},
        "after": {
            tune: [{"seed": seed, **shares} for seed in (0, 1)]
            for tune in ("harmful-1", "harmful-2", "mixture", "benign")
        },
    }


def test_the_sign_says_what_is_safer() -> None:
    rng = torch.Generator().manual_seed(0)
    numbers = torch.rand(16, generator=rng).tolist()
    records = [
        record("ab"[i % 2], number, 1 - number, plain=number if i > 12 else 0.0)
        for i, number in enumerate(numbers)
    ]
    found = analyse(records)
    view = found["views"]["all"]["harmful"]
    assert view["visage"]["value"] == pytest.approx(-1.0)
    assert view["first_token"]["value"] == pytest.approx(1.0)
    assert view["visage"]["p"] <= view["visage"]["adjusted"]
    assert found["pairs"]["all"]["visage"]["right"] == found["pairs"]["all"]["visage"]["pairs"]
    assert found["well_aligned"] == sum(r["before"]["plain_asr"] <= 0.1 for r in records)
    assert measured(records, "plain")[0] == 1.0
    assert outcome(records, "harmful", "compliance")[0] == pytest.approx((1 - numbers[0]) / 2)
    assert "plain" not in found["views"]["beyond_plain"]["harmful"]


def test_the_command_writes_a_result_and_the_page_and_the_picture_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    result, picture = tmp_path / "result.json", tmp_path / "picture.png"
    for name, *arguments in (
        ("what_predicts", "--quick", "--work", tmp_path / "work", "--out", result),
        ("what_predicts_picture", "--result", result, "--out", picture),
        ("what_predicts_page", "--result", result),
    ):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        importlib.import_module(name).main()
    written = capsys.readouterr()
    assert "3 of 3 checkpoints" in written.err
    assert len(json.loads(result.read_text(encoding="utf-8"))["checkpoints"]) == 3
    assert picture.read_bytes().startswith(b"\x89PNG")
    # The tiny model is never safe, so nothing varies and nothing is claimed.
    assert "no measure is shown to predict" in written.out
    assert "not defined" in written.out
