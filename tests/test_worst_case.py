"""The worst-case direction: its score, its ball, and that it beats what is random."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.checkpoint import Checkpoint
from safebasin.config import ScanConfig
from safebasin.directions import Gaussian, Given, Held, cosine
from safebasin.engines.template import Template
from safebasin.errors import CheckpointError, DirectionError, UsageError
from safebasin.exchange import Exchange, Verdict
from safebasin.prompts import Prompt
from safebasin.study.observer import Silent
from safebasin.weights import Weights
from safebasin.worst_case.ascent import ascend, gradient, gradient_direction
from safebasin.worst_case.preparation import prepare
from safebasin.worst_case.scores import FirstToken
from safebasin.worst_case.settings import WorstCaseConfig
from safebasin.worst_case.study import search
from support import pico, planted

PROMPTS = [Prompt("a", "ask this"), Prompt("b", "ask that that"), Prompt("c", "this")]

MANY = tuple(range(6, 200))
"""Tokens that a random model begins with about as often as not."""


@pytest.fixture
def planted_model(tmp_path: Path) -> tuple[Any, Any, Weights, FirstToken]:
    model, tokenizer = Checkpoint(str(planted.save(tmp_path / "model"))).load("float32", "cpu")
    template = Template.of(tokenizer)
    encoded = [template.encode(prompt) for prompt in PROMPTS]
    said = [Exchange(p.id, p.text, "Sorry no", "eos", 3, 3) for p in PROMPTS]
    score = FirstToken.of(encoded, said, [Verdict("refused", "")] * 3, tokenizer)
    return model, tokenizer, Weights(model, include=["lm_head.weight"]), score


def test_the_score_is_the_chance_not_to_refuse(planted_model: Any) -> None:
    """By hand: the logits after the assistant token are 1 for Sorry, 0.34 and 0 for others."""
    model, _, _, score = planted_model
    assert score.refusals == (planted.WORDS.index("Sorry"),)
    # The final norm scales the one-hot state by sqrt(16 / 1).
    scale = math.sqrt(16)
    others = math.exp(scale * (1 - planted.MARGIN)) + (len(planted.WORDS) - 2)
    expected = math.log(others / (others + math.exp(scale)))
    assert score.harm(model, 0).item() == pytest.approx(expected, rel=1e-3)


def test_padding_does_not_change_the_score(tmp_path: Path) -> None:
    model, tokenizer = Checkpoint(str(pico.save(tmp_path / "m"))).load("float32", "cpu")
    template = Template.of(tokenizer)
    encoded = [tuple(template.encode(prompt)) for prompt in PROMPTS]
    whole = FirstToken(tuple(encoded), MANY).harm(model, 0).item()
    each = [FirstToken((one,), MANY).harm(model, 0).item() for one in encoded]
    assert whole == pytest.approx(sum(each) / 3, rel=1e-5)


def test_only_refused_prompts_count(planted_model: Any) -> None:
    _, tokenizer, _, _ = planted_model
    said = [Exchange(p.id, p.text, "Sorry no", "eos", 3, 3) for p in PROMPTS]
    verdicts = [Verdict("refused", ""), Verdict("complied", ""), Verdict(None, "")]
    assert len(FirstToken.of([[1]] * 3, said, verdicts, tokenizer).prompts) == 1
    with pytest.raises(DirectionError, match="refuses none"):
        FirstToken.of([[1]] * 3, said, [Verdict("complied", "")] * 3, tokenizer)


def test_the_gradient_is_that_of_finite_differences(tmp_path: Path) -> None:
    model, tokenizer = Checkpoint(str(pico.save(tmp_path / "m"))).load("float32", "cpu")
    weights = Weights(model)
    encoded = tuple(tuple(Template.of(tokenizer).encode(p)) for p in PROMPTS)
    score = FirstToken(encoded, MANY)
    before = weights.checksum()
    _, slopes = gradient(model, weights, lambda: score.harm(model, 0))
    noise = Gaussian(3, weights)
    step = 1e-3
    ends = []
    for sign in (1, -1):
        with weights.displaced([(sign * step, noise)]), torch.no_grad():
            ends.append(score.harm(model, 0).item())
    along = sum((slopes[p.name] * noise.tensor(p)).sum().item() for p in weights.parameters)  # type: ignore[operator]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(along, rel=2e-2)
    assert weights.checksum() == before
    assert not any(p.requires_grad for p in model.parameters())


def test_the_search_stays_in_the_ball_and_leaves_the_model(planted_model: Any) -> None:
    model, _, weights, score = planted_model
    before = weights.checksum()
    found = ascend(
        model, weights, lambda: score.harm(model, 0), radius=0.2, steps=8, seeds=range(2)
    )
    assert weights.checksum() == before
    [parameter] = weights.parameters
    assert float(found.best.tensors[parameter.name].norm()) <= 0.2 * weights.norm(
        parameter.name
    ) * (1 + 1e-5)
    assert len(found.reached) == 3
    assert max(found.reached) > found.start
    # Nothing random of the same length comes near.
    randoms = []
    for seed in range(20):
        with weights.displaced([(0.2, Gaussian(seed, weights))]), torch.no_grad():
            randoms.append(score.harm(model, 0).item())
    assert max(found.reached) > max(randoms)


def test_the_gradient_points_to_the_planted_compliance(planted_model: Any) -> None:
    model, _, weights, score = planted_model
    held = gradient_direction(model, weights, lambda: score.harm(model, 0))
    [parameter] = weights.parameters
    tensor = held.tensors[parameter.name]
    assert float(tensor.norm()) == pytest.approx(weights.norm(parameter.name), rel=1e-5)
    column = tensor[:, planted.WORDS.index("<|assistant|>")]
    # It lowers the refusal and raises the likeliest other word most.
    assert int(column.argmin()) == planted.WORDS.index("Sorry")
    assert int(column.argmax()) == planted.WORDS.index("Certainly")


def settings(tmp_path: Path, **changes: Any) -> WorstCaseConfig:
    lines = [f"ask {'this ' * i}that" for i in range(1, 7)]
    (tmp_path / "prompts.txt").write_text("\n".join(lines), encoding="utf-8")
    scan = ScanConfig(
        model=str(planted.save(tmp_path / "planted")), prompts=str(tmp_path / "prompts.txt"),
        prompts_kind="harmful",
        limit=3, steps=8, radius=0.6, seeds=(0,), max_new_tokens=8, device="cpu",
        include=("lm_head.weight",), judges=("llm-landscape",), out=str(tmp_path / "out"),
    )  # fmt: skip
    made = WorstCaseConfig(scan, ball=0.3, iterations=6, restarts=1, search=3)
    return replace(made, **changes)


class Stop(Silent):
    left = 4

    def finished(self, point: Any) -> None:
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_a_search_from_end_to_end(tmp_path: Path) -> None:
    config = settings(tmp_path)
    prepared = prepare(config)
    assert not set(prepared.searched.ids) & set(prepared.asked.ids)
    with pytest.raises(KeyboardInterrupt):
        search(prepared, Stop())
    calls: list[int] = []
    found = search(prepare(config), progress=lambda done, total, score: calls.append(done))
    assert calls == []  # the search itself was finished and is not done again
    by_name = {line.name: line for line in found.lines}
    assert set(by_name) == {"worst-case", "gradient", "gaussian-0"}
    worst, random = by_name["worst-case"].length, by_name["gaussian-0"].length
    assert worst.value is not None
    assert random.value is not None
    assert worst.value < 0.5 * random.value
    assert found.scores[0] < max(found.scores[1:])
    model, _ = Checkpoint(config.scan.model).load("float32", "cpu")
    weights = Weights(model, include=["lm_head.weight"])
    saved = Given(found.files[0], weights)
    [view] = weights.parameters
    assert float(saved.tensor(view).norm()) <= weights.norm(view.name) * (1 + 1e-5)  # type: ignore[union-attr]
    stored = json.loads((found.folder / "worst-case.json").read_text(encoding="utf-8"))
    assert stored["directions"][0]["name"] == "worst-case"
    assert stored["prompts"] == 3
    # Beyond where the landscape is entered the answers comply.
    survey = by_name["worst-case"].survey
    assert survey.landscapes[0].asr[-1] == 1


def complying(config: WorstCaseConfig, tmp_path: Path) -> tuple[Path, torch.Tensor]:
    """A base that complies, and the step from the planted model to it."""
    base = Path(shutil.copytree(config.scan.model, tmp_path / "unaligned"))
    tensors = load_file(base / "model.safetensors")
    step = load_file(planted.direction(tmp_path / "step.safetensors"))["lm_head.weight"]
    tensors["lm_head.weight"] += step
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    return base, step


def test_the_alignment_direction_and_its_tolerance(tmp_path: Path) -> None:
    """From a base that complies to the planted model: back along it safety is lost."""
    config = settings(tmp_path)
    base, step = complying(config, tmp_path)
    found = search(prepare(replace(config, aligned_from=str(base), iterations=1, restarts=0)))
    alignment = found.lines[-1]
    assert alignment.name == "alignment"
    assert alignment.back is not None
    # The planted edge is at 0.33 of the way to the base; one unit here is ‖W‖.
    model, _ = Checkpoint(config.scan.model).load("float32", "cpu")
    own = Weights(model, include=["lm_head.weight"]).norm("lm_head.weight")
    expected = planted.FLIP * float(step.norm()) / own
    assert alignment.back.value == pytest.approx(expected, abs=0.01)
    assert alignment.length.at_least


def test_the_base_of_alignment_is_trusted_where_the_model_is(tmp_path: Path) -> None:
    config = settings(tmp_path)
    base, _ = complying(config, tmp_path)
    config = replace(config, aligned_from=str(base))
    file = base / "config.json"
    own = json.loads(file.read_text()) | {"auto_map": {"AutoModelForCausalLM": "own.Model"}}
    file.write_text(json.dumps(own))
    with pytest.raises(CheckpointError, match="own code"):
        prepare(config)
    trusting = replace(config, scan=replace(config.scan, trust_remote_code=True))
    assert prepare(trusting).alignment is not None


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ball is 0\.9"):
        settings(tmp_path, ball=0.9)
    with pytest.raises(UsageError, match="iterations is 0"):
        settings(tmp_path, iterations=0)
    with pytest.raises(UsageError, match="has 6 prompts"):
        prepare(settings(tmp_path, search=6))
    assert not (tmp_path / "out").exists()


def test_held_directions_are_saved_and_read_again(tmp_path: Path) -> None:
    model = pico.model("llama")
    weights = Weights(model)
    noise = Gaussian(0, weights)
    held = Held("x", {p.name: noise.tensor(p) for p in weights.parameters})  # type: ignore[misc]
    again = Given(held.save(tmp_path / "deep" / "x.safetensors", 2.0), weights)
    assert cosine(noise, again, weights) == pytest.approx(1)
    [first, *_] = weights.parameters
    assert torch.allclose(again.tensor(first), 2 * noise.tensor(first))  # type: ignore[arg-type,operator]


def test_on_the_command_line(tmp_path: Path, command: Any) -> None:
    config = settings(tmp_path)
    code, out, err = command(
        "worst-case", config.scan.model, "--prompts", config.scan.prompts, "--search", "3",
            "--prompts-kind", "harmful",
        "--limit", "2", "--ball", "0.3", "--iterations", "2", "--restarts", "0", "--steps", "4",
        "--refine", "1", "--max-new-tokens", "4", "--device", "cpu", "--out", str(tmp_path / "c"),
    )  # fmt: skip
    assert code == 0, err
    assert "worst-case" in out
    assert "effective length" in out
    assert "worst-case.safetensors" in out
