"""The folder that a training leaves behind, read as a trajectory."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.errors import CheckpointError
from safebasin.trajectory.training_run import training_run
from support import pico, planted
from test_trajectory import checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Three whole checkpoints, and the last model in the folder itself."""
    base = planted.save(tmp_path / "base")
    out = tmp_path / "run"
    out.mkdir()
    for step, place in ((100, 0.8), (20, 0.4), (3, 0.1)):
        made = checkpoint(out / f"checkpoint-{step}", base, place, place**2)
        (made / "optimizer.pt").write_bytes(b"states that nobody opens")
        (made / "trainer_state.json").write_text("{}")
    for path in (out / "checkpoint-100").iterdir():
        if path.name != "optimizer.pt":
            shutil.copy(path, out / path.name)
    return out


def names(out: Path) -> list[str]:
    return [Path(one).name for one in training_run([str(out)]).checkpoints]


def test_checkpoints_come_by_step_and_the_last_model_once(run: Path) -> None:
    found = training_run([str(run)])
    assert [Path(one) for one in found.checkpoints] == [
        run / "checkpoint-3", run / "checkpoint-20", run / "checkpoint-100",
    ]  # fmt: skip
    assert found.notes == (f"the model in '{run}' itself is checkpoint-100, and counts once",)


def test_a_last_model_of_its_own_comes_last(run: Path) -> None:
    weights = load_file(run / "model.safetensors")
    weights["lm_head.weight"] += 1e-3
    save_file(weights, run / "model.safetensors", {"format": "pt"})
    found = training_run([f"{run}/"])
    assert Path(found.checkpoints[-1]) == run
    assert (len(found.checkpoints), found.notes) == (4, ())


def test_the_best_model_in_the_folder_is_an_earlier_checkpoint(run: Path) -> None:
    """As `load_best_model_at_end` leaves it, here with its weights in another split of files."""
    shutil.copy(run / "checkpoint-20" / "model.safetensors", run / "all.safetensors")
    weights = load_file(run / "all.safetensors")
    for path in (run / "model.safetensors", run / "all.safetensors"):
        path.unlink()
    parts = [dict(list(weights.items())[i::2]) for i in range(2)]
    for number, part in enumerate(parts):
        save_file(part, run / f"model-{number}.safetensors", {"format": "pt"})
    where = {name: f"model-{i}.safetensors" for i, part in enumerate(parts) for name in part}
    (run / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    found = training_run([str(run)])
    assert len(found.checkpoints) == 3
    assert "itself is checkpoint-20," in found.notes[0]


def test_what_is_no_checkpoint_is_left_out_and_told(run: Path) -> None:
    for name in ("runs", "base", ".cache", "checkpoint-7", "checkpoint-best"):
        (run / name).mkdir()
    half = run / "checkpoint-30"
    shutil.copytree(run / "checkpoint-20", half)
    (half / "model.safetensors").write_bytes(b"cut off")
    (run / "checkpoint-8").write_text("a file")
    found = training_run([str(run)])
    assert [Path(one).name for one in found.checkpoints] == [
        "checkpoint-3", "checkpoint-20", "checkpoint-100",
    ]  # fmt: skip
    empty, cut, _, others = found.notes
    assert "checkpoint-7' has no config.json" in empty
    assert "checkpoint-30" in cut
    assert "no valid safetensors file" in cut
    assert others.endswith("as no checkpoints: base, checkpoint-best, runs")


def test_adapters_and_whole_models_may_be_mixed(run: Path, tmp_path: Path) -> None:
    base = pico.save(tmp_path / "pico")
    pico.adapter(base, run / "checkpoint-50")
    for path in (run / "config.json", run / "model.safetensors"):
        path.unlink()
    shutil.copytree(run / "checkpoint-50", run, dirs_exist_ok=True)
    found = training_run([str(run)])
    assert names(run) == ["checkpoint-3", "checkpoint-20", "checkpoint-50", "checkpoint-100"]
    assert "itself is checkpoint-50," in found.notes[0]


def test_beside_others_a_model_stands_for_itself(run: Path, tmp_path: Path) -> None:
    explicit = [str(run / "checkpoint-20"), str(run)]
    assert training_run(explicit).checkpoints == tuple(explicit)
    assert training_run(explicit).notes == ()
    (run / "config.json").unlink()
    both = training_run([str(tmp_path / "base"), str(run), "org/model+me/lora"])
    assert [Path(one).name for one in both.checkpoints] == [
        "base", "checkpoint-3", "checkpoint-20", "checkpoint-100", "lora",
    ]  # fmt: skip
    assert training_run(["testbed:harmful-10", "testbed:benign"]).checkpoints == (
        "testbed:harmful-10",
        "testbed:benign",
    )


def test_bad_folders_are_one_sentence(tmp_path: Path, command: Any) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "notes.txt").write_text("x")
    pickled = tmp_path / "pickled" / "checkpoint-5"
    pico.save(pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    for name, reason in (
        ("file", "is a file, not a folder"),
        ("empty", "is empty"),
        ("texts", "holds no checkpoint-N and no model"),
        ("pickled", "holds no checkpoint that can be opened: .* pickle only"),
    ):
        with pytest.raises(CheckpointError, match=rf"^'{tmp_path / name}' {reason}") as caught:
            training_run([str(tmp_path / name)])
        assert caught.value.hint
    code, _, err = command("trajectory", "testbed:aligned", tmp_path / "empty")
    assert code == 1
    assert "is empty" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("lora", [False, True])
def test_a_trainer_leaves_such_a_folder(tmp_path: Path, lora: bool) -> None:
    """Three steps by the Trainer of transformers, a checkpoint each, and its `save_model`."""
    pytest.importorskip("accelerate")
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainingArguments

    base = pico.save(tmp_path / "base")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = pico.load(base)[0].requires_grad_(True).train()
        if lora:
            model = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM"))
        rows = [{"input_ids": torch.tensor([1, 4, 9 + i, 5, 2])} for i in range(3)]
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                str(tmp_path / "out"), max_steps=3, save_steps=1, report_to="none", use_cpu=True,
                per_device_train_batch_size=1, learning_rate=1e-2, disable_tqdm=True,
            ),
            train_dataset=[{**row, "labels": row["input_ids"]} for row in rows],
            processing_class=pico.tokenizer(),
        )  # fmt: skip
        trainer.train()
        trainer.save_model()
    assert (tmp_path / "out" / "checkpoint-3" / "optimizer.pt").exists()
    found = training_run([str(tmp_path / "out")])
    assert names(tmp_path / "out") == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    assert "itself is checkpoint-3," in found.notes[0]


def test_on_the_command_line(run: Path, tmp_path: Path, command: Any, monkeypatch: Any) -> None:
    (run / "logs").mkdir()
    prepared: list[Any] = []

    def stop(found: Any, observer: Any) -> None:
        prepared.append(found)
        raise KeyboardInterrupt

    monkeypatch.setattr("safebasin.cli.views.trajectory.trace", stop)
    code, _, err = command(
        "trajectory", tmp_path / "base", run, "--prompts", planted.prompts(tmp_path / "p.txt"),
        "--prompts-kind", "harmful", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 130, err
    assert err.count("counts once") == err.count("no checkpoints: logs") == 1
    [found] = prepared
    assert [one.name for one in found.checkpoints] == [
        "checkpoint-3", "checkpoint-20", "checkpoint-100",
    ]  # fmt: skip
    assert len(found.config.to_json()["notes"]) == 2
