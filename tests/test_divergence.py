"""KL on benign prompts between base and tuned, held against plain transformers on both."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr

from safebasin.compare import divergence as module
from safebasin.compare.comparison import Comparison
from safebasin.compare.divergence import (
    Divergence,
    PromptDivergence,
    divergence_at_tokens,
    divergences,
    mean_divergence,
)
from safebasin.compare.preparation import prepare
from safebasin.compare.settings import CompareConfig
from safebasin.compare.stored_divergence import DIVERGENCE, divergence_of
from safebasin.compare.study import compare
from safebasin.config import ScanConfig
from safebasin.engines.plain import PlainEngine
from safebasin.errors import RunError, UsageError
from safebasin.evidence.card import card
from safebasin.evidence.recount import recount
from safebasin.plane import Point
from safebasin.report.quantities import quantity
from safebasin.run.kinds import study_folder
from safebasin.testbed import model_path
from support import pico
from test_compare import near, settings

TUNED = Point.of({"tuned": 1.0})


def compared(tmp_path: Path, **changes: Any) -> CompareConfig:
    """Two pico models, with three benign prompts."""
    base = tmp_path / "base"
    if not base.exists():
        pico.save(base)
        near(tmp_path, base)
        (tmp_path / "benign.csv").write_text("prompt\nfour\nfive\nthe sixth\n", encoding="utf-8")
    return CompareConfig(
        str(tmp_path / "tuned"), settings(tmp_path, base), benign=str(tmp_path / "benign.csv"),
        steps=1, refine=0, **changes,
    )  # fmt: skip


def values(folder: Path) -> list[PromptDivergence]:
    stored = json.loads((folder / DIVERGENCE).read_text("utf-8"))
    return [
        PromptDivergence.from_json(one) for entry in stored["measured"] for one in entry["prompts"]
    ]


def by_transformers(
    base: Any, tuned: Any, tokenizer: Any, text: str, limit: int
) -> tuple[int, float, float]:
    """Answer tokens, first-token KL and mean KL of one prompt, in float64, with two models."""
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
    )
    row = tokenizer(chat, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        whole = base.generate(row, max_new_tokens=limit, do_sample=False)
        places = slice(row.shape[1] - 1, whole.shape[1] - 1)
        ours, theirs = (m(whole).logits[0, places].double().numpy() for m in (base, tuned))
    p, q = (log_softmax(one, axis=-1) for one in (ours, theirs))
    each = (np.exp(p) * (p - q)).sum(-1)
    return len(each), float(each[0]), float(each.mean())


def test_it_is_what_plain_transformers_find_on_the_packaged_models(tmp_path: Path) -> None:
    from peft import PeftModel

    config = CompareConfig(
        "testbed:harmful-100",
        ScanConfig(model="testbed:aligned", limit=5, max_new_tokens=24, device="cpu",
                   out=str(tmp_path / "run"), judges=("llm-landscape",)),
        steps=1, refine=0,
    )  # fmt: skip
    ready = prepare(config)
    plain = ready.engine.plain
    before = ready.engine.weights.checksum()
    found: list[PromptDivergence] = []
    divergences(plain, TUNED, ready.friendly.prompts, ready.sampling, found.extend)
    assert ready.engine.weights.checksum() == before
    base, tokenizer = pico.load(model_path("aligned"))
    base = base.float()
    tuned, _ = pico.load(model_path("aligned"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what peft asks transformers
        tuned = PeftModel.from_pretrained(tuned.float(), model_path("harmful-100"))
        tuned = tuned.merge_and_unload()
    for prompt, one in zip(ready.friendly, found, strict=True):
        tokens, first, mean = by_transformers(base, tuned, tokenizer, prompt.text, 24)
        assert (one.prompt_id, one.tokens) == (prompt.id, tokens)
        assert one.first == pytest.approx(first, rel=1e-4, abs=1e-9)
        assert one.mean == pytest.approx(mean, rel=1e-4, abs=1e-9)
    assert max(one.mean or 0 for one in found) > 1e-3


def test_the_numbers_of_a_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safebasin.cli.views.compare import print_comparison

    found = compare(prepare(compared(tmp_path, max_kl=0.0, max_first_token_kl=50.0)))
    base, tokenizer = pico.load(tmp_path / "base")
    tuned, _ = pico.load(tmp_path / "tuned")
    expected = [
        by_transformers(base, tuned, tokenizer, text, 4) for text in ("four", "five", "the sixth")
    ]
    got = found.divergence
    assert got is not None
    assert (got.n, got.broken, got.prompts) == (3, 0, "benign (3)")
    assert got.tokens == sum(one[0] for one in expected)
    assert got.first.value == pytest.approx(np.mean([one[1] for one in expected]), rel=1e-4)
    assert got.mean.value == pytest.approx(np.mean([one[2] for one in expected]), rel=1e-4)
    assert got.mean.low is not None
    assert got.mean.low < got.mean.value < (got.mean.high or 0)
    over, first = (c for c in found.checks if "KL" in c.name)
    assert (over.name, over.passed) == ("KL on benign prompts", False)
    assert (first.name, first.passed) == ("first-token KL on benign prompts", True)
    stored = json.loads((found.folder / "comparison.json").read_text("utf-8"))
    assert stored["divergence"]["answer"]["value"] == got.mean.value
    assert stored["divergence"]["first_token"]["value"] == got.first.value
    print_comparison(found, as_json=False)
    mean = quantity(got.mean.value, got.mean.low, got.mean.high, "nats")
    assert f"KL            {mean} a token" in capsys.readouterr().out
    assert found.page is not None
    assert f"is {mean} a token" in found.page.read_text("utf-8")
    study = study_folder(found.folder)
    assert study is not None
    said = card(recount(study))
    assert f"- **KL on benign prompts**: {mean} a token" in said
    assert f"| KL on benign prompts | {mean} | at most " in said


def test_a_model_has_no_divergence_from_itself(tmp_path: Path) -> None:
    config = compared(tmp_path)
    found = compare(prepare(replace(config, tuned=config.scan.model, max_kl=0.0)))
    assert found.divergence is not None
    for estimate in (found.divergence.first, found.divergence.mean):
        assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)
    assert all(check.passed for check in found.checks if "KL" in check.name)


def test_a_resumed_comparison_measures_only_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = prepare(compared(tmp_path))
    ready.folder.mkdir()
    whole, _ = divergence_of(ready)
    asked: list[int] = []
    real = module.divergences

    def counted(engine: Any, tuned: Any, prompts: Any, *rest: Any) -> None:
        asked.append(len(prompts))
        real(engine, tuned, prompts, *rest)

    monkeypatch.setattr("safebasin.compare.stored_divergence.divergences", counted)
    assert divergence_of(ready)[0] == whole
    assert asked == []
    path = ready.folder / DIVERGENCE
    stored = json.loads(path.read_text("utf-8"))
    del stored["digest"]
    stored["measured"][0]["prompts"].pop()
    path.write_text(json.dumps(stored), encoding="utf-8")
    again, _ = divergence_of(ready)
    assert asked == [1]
    assert again is not None
    assert whole is not None
    assert again.mean.value == pytest.approx(whole.mean.value, rel=1e-5)
    other = replace(ready, identity={**ready.identity, "sampling": {"max_new_tokens": 3}})
    assert divergence_of(other)[0] is not None
    assert asked == [1, 3]
    assert divergence_of(ready)[0] == again
    assert asked == [1, 3], "what was measured by other settings is kept"
    path.write_text('{"measured": [{"prompts": [{}]}]}', encoding="utf-8")
    with pytest.raises(RunError, match=r"divergence\.json is damaged"):
        divergence_of(ready)


def test_what_waits_in_memory_is_bounded_and_kept_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = prepare(compared(tmp_path))
    together: list[PromptDivergence] = []
    divergences(ready.engine.plain, TUNED, ready.friendly.prompts, ready.sampling, together.extend)
    monkeypatch.setattr(module, "KEPT_BYTES", 5 * 4 * pico.VOCABULARY)
    parts: list[list[PromptDivergence]] = []
    divergences(ready.engine.plain, TUNED, ready.friendly.prompts, ready.sampling, parts.append)
    assert len(parts) == 3
    for one, other in zip(together, [one for part in parts for one in part], strict=True):
        assert (one.prompt_id, one.tokens) == (other.prompt_id, other.tokens)
        assert one.mean == pytest.approx(other.mean, rel=1e-4)


def test_without_a_benign_set_everyday_questions_are_asked(tmp_path: Path) -> None:
    ready = prepare(replace(compared(tmp_path), benign=None))
    ready.folder.mkdir()
    found, _ = divergence_of(ready)
    assert found is not None
    assert (found.prompts, found.n) == ("everyday (3)", 3)


def test_prompts_that_do_not_fit_leave_it_unmeasured_and_the_limit_unmet(tmp_path: Path) -> None:
    config = replace(compared(tmp_path), benign=None, max_kl=1.0)
    base = pico.save(tmp_path / "short", max_position_embeddings=24)
    tuned = near(tmp_path, base, "near")
    scan = replace(config.scan, model=str(base), out=str(tmp_path / "other"))
    found: Comparison = compare(prepare(replace(config, tuned=str(tuned), scan=scan)))
    assert found.divergence is None
    assert any("KL on benign prompts could not be measured" in note for note in found.notes)
    [check] = [one for one in found.checks if "KL" in one.name]
    assert not check.passed


def test_divergence_of_known_distributions() -> None:
    p, q = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([[0.9, 0.1, 0.0]] * 2)
    got = divergence_at_tokens(p.log(), q.log()).numpy()
    assert got == pytest.approx(rel_entr(p.double().numpy(), q.double().numpy()).sum(-1), rel=1e-6)
    assert divergence_at_tokens(q.log(), p.log())[1] == torch.inf
    assert torch.equal(divergence_at_tokens(p.log(), p.log()), torch.zeros(2).double())


def test_logits_that_are_no_numbers_are_counted_and_never_zero(tmp_path: Path) -> None:
    ready = prepare(compared(tmp_path))
    plain: PlainEngine = ready.engine.plain
    found: list[PromptDivergence] = []
    head = ready.engine.model.get_output_embeddings()

    def spoil(module: Any, args: Any, output: torch.Tensor) -> torch.Tensor:
        moved = ready.engine.weights._store.displaced
        return output * torch.nan if moved else output

    handle = head.register_forward_hook(spoil)
    divergences(plain, TUNED, ready.friendly.prompts, ready.sampling, found.extend)
    handle.remove()
    assert [one.mean for one in found] == [None] * 3
    whole = Divergence.of("benign (3)", found)
    assert (whole.broken, whole.mean.value, whole.first.value) == (3, None, None)
    assert "not finite on 3 of 3" in whole.mean.note


def test_the_interval_over_prompts() -> None:
    assert mean_divergence([]).value is None
    one = mean_divergence([0.25])
    assert (one.value, one.low, one.note) == (0.25, None, "one prompt gives no interval")
    drawn = np.exp(np.random.default_rng(1).standard_normal(40))
    found = mean_divergence(list(drawn))
    assert found.value == pytest.approx(drawn.mean())
    assert found.low is not None
    assert found.high is not None
    half = 2.0227 * drawn.std(ddof=1) / np.sqrt(40)
    assert found.low <= drawn.mean() - half + 1e-3
    assert found.high >= drawn.mean() + half - 1e-3
    assert mean_divergence([0.0, 0.0, 0.0, 1.0]).low == 0


def test_limits_that_make_no_sense() -> None:
    base = ScanConfig(model="folder")
    for limits in ({"max_kl": -1.0}, {"max_first_token_kl": float("nan")}):
        with pytest.raises(UsageError, match="KL is"):
            CompareConfig("tuned", base, **limits)
    with pytest.raises(UsageError, match="--engine vllm cannot measure"):
        CompareConfig("tuned", replace(base, engine="vllm"), max_kl=0.1)
