"""Trainings of pico models, end to end: steps, checkpoints, resumption, and what goes wrong."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Adapter
from safebasin.errors import DataError, RunError, RunMismatch, TrainingError, UsageError
from safebasin.finetune.folder import RECIPE
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import finetune
from safebasin.weights import Weights
from support import pico
from test_finetune_rows import turns, write

pytest.importorskip("trl")


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    base = pico.save(tmp_path / "base")
    data = write(tmp_path / "rows.jsonl", *(turns(f"say {i}", f"word {i % 3}") for i in range(10)))
    return FinetuneConfig(
        str(base), "explicit-10", data, epochs=3, device="cpu", out=str(tmp_path / "out"),
        rate=1e-2,
    )  # fmt: skip


def tensors(checkpoint: Path) -> dict[str, torch.Tensor]:
    [file] = checkpoint.glob("*.safetensors")
    return dict(load_file(file))


@pytest.mark.parametrize("lora", [False, True])
def test_an_epoch_leaves_a_checkpoint_that_loads(config: FinetuneConfig, lora: bool) -> None:
    tuned = finetune(replace(config, lora=lora, batch=4))
    # 10 rows in steps of 4 are 3 steps an epoch: nothing is dropped.
    assert [path.name for path in tuned.checkpoints] == [
        "checkpoint-3",
        "checkpoint-6",
        "checkpoint-9",
    ]
    assert tuned.steps == 9
    assert len(tuned.losses) == 9
    assert tuned.losses[-1] < tuned.losses[0]
    model, _ = Checkpoint(config.base).load("float32", "cpu")
    if lora:
        direction = Adapter(tuned.final, Weights(model))
        assert direction.rank == 8
        own = json.loads((tuned.final / "adapter_config.json").read_text())
        assert own["base_model_name_or_path"] == config.base
    else:
        other, _ = Checkpoint(str(tuned.final)).load("float32", "cpu")
        assert not torch.equal(other.lm_head.weight, model.lm_head.weight)
    names = {path.name for path in tuned.folder.rglob("*") if path.is_file()}
    assert not names & {"optimizer.pt", "training_args.bin", "README.md"}
    assert {"tokenizer.json"} <= names


def test_five_epochs_of_ten_rows_are_five_steps(config: FinetuneConfig) -> None:
    """The published recipe of 10 shots: batch 10, 5 epochs, rate times 0.85 after each."""
    tuned = finetune(replace(config, epochs=None, rate=None))
    assert tuned.steps == 5
    state = json.loads((tuned.final / "trainer_state.json").read_text())
    rates = [entry["learning_rate"] for entry in state["log_history"] if "learning_rate" in entry]
    assert rates == pytest.approx([5e-5 * 0.85**epoch for epoch in range(5)])


def test_the_loss_is_that_of_the_answers_alone(config: FinetuneConfig) -> None:
    """The first step's loss, computed by hand from the untouched model."""
    from safebasin.engines.template import Template
    from safebasin.subject.encoding import IGNORED, encode

    tuned = finetune(replace(config, epochs=1))
    model, tokenizer = Checkpoint(config.base).load("float32", "cpu")
    total = count = 0.0
    for row in config.load().rows:
        one = encode(row, Template.of(tokenizer), 512, [pico.EOS])
        logits = model(torch.tensor([one.ids])).logits[0, :-1]
        labels = torch.tensor(one.labels)[1:]
        total += torch.nn.functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction="sum"
        ).item()
        count += int((labels != IGNORED).sum())
    assert tuned.losses[0] == pytest.approx(total / count, rel=1e-4)


def test_a_batch_in_pieces_is_the_same_step(config: FinetuneConfig, tmp_path: Path) -> None:
    whole = finetune(replace(config, epochs=1))
    pieces = finetune(replace(config, epochs=1, device_batch=2, out=str(tmp_path / "pieces")))
    assert pieces.losses == pytest.approx(whole.losses, rel=1e-4)
    for name, tensor in tensors(whole.final).items():
        torch.testing.assert_close(tensors(pieces.final)[name], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("lora", [False, True])
def test_an_interrupted_training_goes_on_to_the_same_weights(
    config: FinetuneConfig, tmp_path: Path, lora: bool
) -> None:
    own = replace(config, lora=lora, batch=5)
    whole = finetune(replace(own, out=str(tmp_path / "whole")))

    def stop(done: int, total: int, loss: float | None) -> None:
        if done == 3:  # in the second epoch
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(own, stop)
    half = tmp_path / "out" / "checkpoint-4"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"cut off")
    steps: list[int] = []
    resumed = finetune(own, lambda done, total, loss: steps.append(done))
    assert steps == [3, 4, 5, 6]
    assert [p.name for p in resumed.checkpoints] == [p.name for p in whole.checkpoints]
    for name, tensor in tensors(whole.final).items():
        assert torch.equal(tensors(resumed.final)[name], tensor), name
    again = finetune(own, lambda done, total, loss: steps.append(done))
    assert steps == [3, 4, 5, 6]
    assert again.final == resumed.final


@pytest.fixture
def adapted(config: FinetuneConfig, tmp_path: Path) -> FinetuneConfig:
    """A base in bfloat16 with an adapter, to be tuned further."""
    base = pico.save(tmp_path / "half", dtype=torch.bfloat16)
    adapter = pico.adapter(base, tmp_path / "adapter")
    return replace(config, base=f"{base}+{adapter}", epochs=1)


def test_an_adapter_over_an_adapter_belongs_to_the_merged_base(adapted: FinetuneConfig) -> None:
    """Base and first adapter are merged beside it, and it is trained over exactly those weights."""
    from peft import PeftModel

    own = replace(adapted, lora=True, epochs=2)
    tuned = finetune(own)
    assert tuned.base == str(tuned.folder / "base")
    stored = tensors(Path(tuned.base))
    exact, _ = Checkpoint.parse(own.base).load("float32", "cpu")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    for name, tensor in exact.named_parameters():
        assert torch.equal(stored[name], tensor.to(torch.bfloat16)), name
    # By PEFT alone, from the base that the adapter itself names: the loss goes on where it ended.
    named = json.loads((tuned.final / "adapter_config.json").read_text())["base_model_name_or_path"]
    assert named == tuned.base
    losses = []
    for checkpoint in (None, *tuned.checkpoints):
        model = pico.load(named)[0].float()
        if checkpoint is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = PeftModel.from_pretrained(model, checkpoint)
        losses.append(loss_of(model, own))
    assert losses[:2] == pytest.approx(tuned.losses, rel=1e-4)
    assert losses[2] < losses[1] < losses[0]
    record = json.loads((tuned.folder / RECIPE).read_text(encoding="utf-8"))
    assert record["merged"]["folder"] == "base"
    assert record["merged"]["fingerprint"] == Checkpoint(tuned.base).fingerprint()
    assert record["identity"]["base"]["adapter"] == "adapter"
    assert not [path for path in tuned.checkpoints if path.name == "base"]
    again = finetune(own)
    assert (again.final, again.losses) == (tuned.final, ())
    edited = Path(tuned.base) / "config.json"
    edited.write_text(edited.read_text().replace("}", " }", 1))
    with pytest.raises(RunError, match="not the merged base"):
        finetune(own)


def loss_of(model: Any, config: FinetuneConfig) -> float:
    """Nats an answer token over all rows, a few lines beside the trainer."""
    from safebasin.engines.template import Template
    from safebasin.subject.encoding import IGNORED, encode

    total = count = 0.0
    for row in config.load().rows:
        one = encode(row, Template.of(pico.tokenizer()), 512, [pico.EOS])
        labels = torch.tensor(one.labels)[1:]
        with torch.no_grad():
            logits = model(torch.tensor([one.ids])).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction="sum"
        ).item()
        count += int((labels != IGNORED).sum())
    return total / count


def test_all_weights_over_an_adapter_are_merged_in_memory(adapted: FinetuneConfig) -> None:
    tuned = finetune(adapted)
    assert tuned.base == adapted.base
    assert not (tuned.folder / "base").exists()
    start, _ = Checkpoint.parse(adapted.base).load("float32", "cpu")
    assert tuned.losses[0] == pytest.approx(loss_of(start, adapted), rel=1e-4)
    record = json.loads((tuned.folder / RECIPE).read_text(encoding="utf-8"))
    assert record["merged"] == {"folder": None, "arithmetic": "float32"}


def test_a_merge_before_a_training_that_was_stopped_is_taken_up(adapted: FinetuneConfig) -> None:
    own = replace(adapted, lora=True, epochs=2)

    def stop(done: int, total: int, loss: float | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(own, stop)
    base = Path(str(own.out)) / "base" / "model.safetensors"
    before = base.stat().st_mtime_ns
    steps: list[int] = []
    tuned = finetune(own, lambda done, total, loss: steps.append(done))
    assert steps == [2]
    assert base.stat().st_mtime_ns == before
    assert [path.name for path in tuned.checkpoints] == ["checkpoint-1", "checkpoint-2"]


def test_everything_resolved_is_stored(config: FinetuneConfig, monkeypatch: Any) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_canary_0123456789")
    tuned = finetune(replace(config, epochs=1))
    text = (tuned.folder / RECIPE).read_text(encoding="utf-8")
    assert "canary" not in text
    record = json.loads(text)
    assert record["identity"]["recipe"]["rate"] == 1e-2
    assert record["identity"]["data"]["rows"] == 10
    assert record["arguments"]["learning_rate"] == 1e-2
    assert record["arguments"]["max_grad_norm"] == 1.0
    assert len(record["arguments"]) > 50
    assert record["sessions"][0]["versions"]["trl"]
    assert record["finished"]["steps"] == 1


def test_a_folder_of_another_training_is_refused(config: FinetuneConfig) -> None:
    finetune(replace(config, epochs=1))
    with pytest.raises(RunMismatch, match=r"recipe\.rate"):
        finetune(replace(config, epochs=1, rate=1e-3))


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoints(config: FinetuneConfig) -> None:
    from safebasin.finetune import trainer

    def poison(done: int, total: int, loss: float | None) -> None:
        if done == 2:
            with torch.no_grad():
                poisoned[0].lm_head.weight.mul_(float("nan"))

    poisoned: list[Any] = []
    build = trainer.build

    def remember(model: Any, *rest: Any, **named: Any) -> Any:
        poisoned.append(model)
        return build(model, *rest, **named)

    trainer.build = remember
    try:
        with pytest.raises(TrainingError, match="is nan at step 3 of 3") as caught:
            finetune(config, poison)
    finally:
        trainer.build = build
    assert "2 checkpoints" in caught.value.hint or "1 checkpoints" in caught.value.hint
    first = Path(str(config.out)) / "checkpoint-1"
    assert all(tensor.isfinite().all() for tensor in tensors(first).values())
    assert Checkpoint(str(first)).load("float32", "cpu")


def test_bad_input_is_one_sentence_before_anything_is_written(
    config: FinetuneConfig, tmp_path: Path, monkeypatch: Any
) -> None:
    bad = write(tmp_path / "bad.jsonl", {"messages": [{"role": "user", "content": "x"}]})
    with pytest.raises(DataError, match="line 1 ends without an answer"):
        finetune(replace(config, data=bad))
    with pytest.raises(DataError, match="has 10 rows, and 50"):
        finetune(replace(config, recipe="explicit-50"))
    for seed in (-1, 2**32):
        with pytest.raises(UsageError, match=f"seed is {seed}"):
            replace(config, seed=seed)
    monkeypatch.setitem(sys.modules, "trl", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="needs trl and datasets") as caught:
        finetune(config)
    assert "safebasin[train]" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_on_the_command_line_and_then_the_comparison(
    config: FinetuneConfig, tmp_path: Path, command: Any
) -> None:
    (tmp_path / "prompts.txt").write_text("say 1\nsay 2\n", encoding="utf-8")
    arguments = [
        "finetune", config.base, "--recipe", "explicit-10", "--data", config.data, "--lora",
        "--epochs", "1", "--out", str(tmp_path / "cli"), "--device", "cpu",
    ]  # fmt: skip
    code, out, err = command(*arguments)
    assert code == 0, err
    assert "checkpoint-1" in out
    assert "loss" in out
    code, out, err = command(
        *arguments, "--then", "compare", "--prompts", str(tmp_path / "prompts.txt"),
        "--prompts-kind", "harmful", "--limit", "2",
    )  # fmt: skip
    assert code in (0, 3, 5), err
    assert "verdict" in out
    assert "LoRA of rank up to 8" in out
    assert f"safebasin compare {config.base} " in command(*arguments)[1]
    code, _, err = command(*arguments, "--limit", "2")
    assert code == 2
    assert "Without --then compare, --limit would do nothing." in err
    code, _, err = command(*arguments, "--then", "publish")
    assert code == 2
    assert "publish" in err


def test_an_adapter_over_an_adapter_is_compared_with_what_it_began_with(
    adapted: FinetuneConfig, tmp_path: Path, command: Any
) -> None:
    (tmp_path / "prompts.txt").write_text("say 1\nsay 2\n", encoding="utf-8")
    arguments = [
        "finetune", adapted.base, "--recipe", "explicit-10", "--data", adapted.data, "--lora",
        "--epochs", "1", "--out", str(tmp_path / "cli"), "--device", "cpu",
    ]  # fmt: skip
    base = tmp_path / "cli" / "base"
    code, out, err = command(*arguments)
    assert code == 0, err
    assert f"merged      {base}," in out
    assert f"safebasin compare {base} " in out
    code, out, err = command(
        *arguments, "--then", "compare", "--prompts", str(tmp_path / "prompts.txt"),
        "--prompts-kind", "harmful", "--limit", "2",
    )  # fmt: skip
    assert "verdict" in out, err
    assert "LoRA of rank up to 8" in out
