"""Defences in training: what is frozen stays bit for bit, and everything else moves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file

from safebasin.attribution.study import model_of
from safebasin.checkpoint import Checkpoint
from safebasin.defences.base import TrainingDefence
from safebasin.defences.frozen_weights import FrozenWeights
from safebasin.defences.sppft import Sppft
from safebasin.errors import DirectionError, UsageError
from safebasin.finetune import study
from safebasin.finetune.defending import defences_of, require_own_masks
from safebasin.finetune.folder import RECIPE
from safebasin.finetune.settings import FinetuneConfig
from safebasin.finetune.study import finetune
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from support import pico
from test_finetune import loss_of, tensors
from test_finetune_rows import turns, write

pytest.importorskip("trl")


@pytest.fixture
def config(tmp_path: Path) -> FinetuneConfig:
    """Four blocks, AdamW with weight decay, six steps."""
    base = pico.save(tmp_path / "base", num_hidden_layers=4)
    data = write(tmp_path / "rows.jsonl", *(turns(f"say {i}", f"word {i % 3}") for i in range(10)))
    return FinetuneConfig(
        str(base), "explicit-10", data, epochs=3, batch=5, device="cpu", rate=1e-2,
        weight_decay=0.1, out=str(tmp_path / "out"),
    )  # fmt: skip


def moved(config: FinetuneConfig, final: Path) -> dict[str, torch.Tensor]:
    """By parameter, which entries a training changed: bool of its shape."""
    before = tensors(Path(config.base))
    return {name: tensor != before[name] for name, tensor in tensors(final).items()}


def test_sppft_freezes_attention_and_mlp_of_the_interval_with_both_ends(
    config: FinetuneConfig,
) -> None:
    tuned = finetune(replace(config, freeze_blocks="1-2"))
    for name, entries in moved(config, tuned.final).items():
        frozen = any(f"layers.{i}.{part}" in name for i in (1, 2) for part in ("self_attn", "mlp"))
        assert bool(entries.any()) != frozen, name
    record = json.loads((tuned.folder / RECIPE).read_text())
    assert record["identity"]["defences"] == [{"kind": "sppft", "blocks": "1-2"}]
    assert record["identity"]["recipe"]["weight_decay"] == 0.1


def test_frozen_tensors_are_outside_the_optimiser(
    config: FinetuneConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safebasin.finetune import trainer

    held: list[tuple[set[int], Any]] = []
    build = trainer.build

    def remember(model: Any, *rest: Any, **named: Any) -> Any:
        made = build(model, *rest, **named)
        groups = made.create_optimizer().param_groups
        held.append(({id(one) for group in groups for one in group["params"]}, model))
        return made

    monkeypatch.setattr(trainer, "build", remember)
    finetune(replace(config, freeze_blocks="0", epochs=1))
    [(seen, model)] = held
    for name, parameter in model.named_parameters():
        assert (id(parameter) in seen) != ("layers.0." in name and "norm" not in name), name


def test_an_empty_interval_is_the_full_fine_tune(config: FinetuneConfig, tmp_path: Path) -> None:
    full = finetune(config)
    empty = finetune(replace(config, freeze_blocks="", out=str(tmp_path / "empty")))
    for name, tensor in tensors(full.final).items():
        assert torch.equal(tensors(empty.final)[name], tensor), name


@pytest.mark.parametrize("family", ["gpt2", "qwen3", "phi"])
def test_the_frozen_modules_of_other_architectures(family: str, tmp_path: Path) -> None:
    subject = Subject.load(str(pico.save(tmp_path / "base", family)))
    mask = Sppft("1").gradients(subject)
    assert mask is not None
    assert mask.count == 0
    names = [name for name, _ in subject.model.named_parameters() if ".1." in name]
    outer = ("ln_1", "ln_2", "input_layernorm", "post_attention_layernorm")
    assert set(mask.tensors) == {n for n in names if not any(f".{one}." in n for one in outer)}


def test_lora_gives_frozen_blocks_no_adapters(config: FinetuneConfig, tmp_path: Path) -> None:
    tuned = finetune(replace(config, freeze_blocks="0-2", lora=True))
    names = tensors(tuned.final)
    assert len(names) == 14
    assert all(".layers.3." in name for name in names)
    merged, _ = Checkpoint(config.base, str(tuned.final)).load("float32", "cpu")
    before = tensors(Path(config.base))
    changed = {n for n, p in merged.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {f"model.layers.3.{one}.weight" for one in pico_linear()}


def pico_linear() -> list[str]:
    attention = [f"self_attn.{one}_proj" for one in "qkvo"]
    return [*attention, *(f"mlp.{one}_proj" for one in ("gate", "up", "down"))]


def test_single_weights_stay_through_momentum_and_weight_decay(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    before = tensors(Path(config.base))
    names = ["model.layers.0.mlp.up_proj.weight", "model.layers.3.self_attn.q_proj.weight"]
    generator = torch.Generator().manual_seed(0)
    frozen = {n: torch.rand(before[n].shape, generator=generator) < 0.3 for n in names}
    frozen["model.layers.1.mlp.up_proj.weight"] = before["model.layers.1.mlp.up_proj.weight"] > -9
    mask = Mask(frozen).save(tmp_path / "mask.safetensors")
    tuned = finetune(replace(config, freeze_mask=str(mask)))
    for name, entries in moved(config, tuned.final).items():
        still = frozen.get(name, torch.zeros_like(entries))
        assert not bool(entries[still].any()), name
        if not bool(still.all()):
            assert bool(entries[~still].any()), name
    # The two defences together: what either freezes is frozen.
    both = replace(config, freeze_mask=str(mask), freeze_blocks="3", out=str(tmp_path / "both"))
    entries = moved(config, finetune(both).final)
    assert not bool(entries[names[1]].any())
    assert not bool(entries[names[0]][frozen[names[0]]].any())
    with pytest.raises(UsageError, match="LoRA moves whole matrices"):
        finetune(replace(both, lora=True, freeze_blocks=None, out=str(tmp_path / "lora")))


def test_a_frozen_part_takes_no_part_in_the_norm_of_the_gradient(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    """The first step's norm is that of the gradient of the weights that may move."""
    before = tensors(Path(config.base))
    keep = "model.layers.2.mlp.down_proj.weight"
    frozen = {n: torch.ones(t.shape, dtype=torch.bool) for n, t in before.items() if n != keep}
    frozen[keep] = torch.zeros(before[keep].shape, dtype=torch.bool)
    frozen[keep][0] = True
    mask = Mask(frozen).save(tmp_path / "mask.safetensors")
    tuned = finetune(replace(config, freeze_mask=str(mask), epochs=1, batch=10))
    state = json.loads((tuned.final / "trainer_state.json").read_text())
    model = pico.load(Path(config.base))[0]
    model.requires_grad_(True)
    own = model.get_parameter(keep)
    loss = whole_loss(model, config)
    loss.backward()
    assert state["log_history"][0]["grad_norm"] == pytest.approx(
        float(own.grad[1:].norm()), rel=1e-4
    )


def whole_loss(model: Any, config: FinetuneConfig) -> torch.Tensor:
    from safebasin.engines.template import Template
    from safebasin.subject.encoding import encode

    losses, count = [], 0
    for row in config.load().rows:
        one = encode(row, Template.of(pico.tokenizer()), 512, [pico.EOS])
        labels = torch.tensor(one.labels)[1:]
        logits = model(torch.tensor([one.ids])).logits[0, :-1]
        losses.append(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
        count += int((labels != -100).sum())
    return torch.stack(losses).sum() / count


def test_what_cannot_be_frozen_is_one_sentence_before_anything_is_written(
    config: FinetuneConfig, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="no block 4") as caught:
        finetune(replace(config, freeze_blocks="2-4"))
    assert "0 to 3" in caught.value.hint
    with pytest.raises(UsageError, match="does not name blocks"):
        finetune(replace(config, freeze_blocks="3-2"))
    with pytest.raises(UsageError, match="no adapter is left"):
        finetune(replace(config, freeze_blocks="0-3", lora=True))
    for name, shape in (("other.weight", (2, 2)), ("model.layers.0.mlp.up_proj.weight", (2, 2))):
        mask = Mask({name: torch.ones(shape, dtype=torch.bool)}).save(tmp_path / "m.safetensors")
        with pytest.raises(DirectionError, match="mask 'm'"):
            finetune(replace(config, freeze_mask=str(mask)))
    with pytest.raises(DirectionError, match="cannot be read"):
        finetune(replace(config, freeze_mask=str(tmp_path / "none.safetensors")))
    every = {
        n: torch.ones(t.shape, dtype=torch.bool) for n, t in tensors(Path(config.base)).items()
    }
    mask = Mask(every).save(tmp_path / "m.safetensors")
    with pytest.raises(UsageError, match="nothing is trained"):
        finetune(replace(config, freeze_mask=str(mask)))
    with pytest.raises(UsageError, match="weight decay is -1"):
        replace(config, weight_decay=-1.0)
    with pytest.raises(UsageError, match="loss to stop at is -1"):
        replace(config, until_loss=-1.0)
    assert not (tmp_path / "out").exists()


def test_a_training_stops_at_the_loss_of_all_rows(config: FinetuneConfig, tmp_path: Path) -> None:
    whole = finetune(replace(config, until_loss=0.0, epochs=6))
    record = json.loads((whole.folder / RECIPE).read_text())
    found = record["loss_after_step"]
    assert list(found) == [str(2 * epoch) for epoch in range(1, 7)]
    for checkpoint in whole.checkpoints:
        model = pico.load(checkpoint)[0].float()
        assert found[checkpoint.name.split("-")[1]] == pytest.approx(
            loss_of(model, config), rel=1e-4
        )
    assert whole.loss == found["12"]
    target = (found["4"] + found["6"]) / 2
    stopped = finetune(replace(config, until_loss=target, epochs=6, out=str(tmp_path / "stopped")))
    assert stopped.steps == 6
    assert stopped.loss == found["6"] < target
    assert stopped.final.name == "checkpoint-6"


class Twice(TrainingDefence):
    """Every row twice, and the trainer's own loss written out."""

    kind: ClassVar[str] = "twice"
    reference: ClassVar[str] = "none"

    def spec(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def rows(self, rows: Any) -> Any:
        return replace(rows, rows=rows.rows * 2)

    def loss(self, logits: torch.Tensor, batch: Any) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), batch["labels"][:, 1:].flatten()
        )


def test_a_defence_gives_other_rows_and_another_loss(
    config: FinetuneConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Path(config.data).read_text()
    doubled = tmp_path / "doubled.jsonl"
    doubled.write_text(data + data)
    own = replace(config, recipe="benign", device_batch=1, epochs=1)
    whole = finetune(replace(own, data=str(doubled)))
    monkeypatch.setattr(study, "defences_of", lambda config: (Twice(),))
    same = finetune(replace(own, out=str(tmp_path / "twice")))
    assert same.losses == pytest.approx(whole.losses, rel=1e-4)
    assert same.rows == 20
    for name, tensor in tensors(whole.final).items():
        torch.testing.assert_close(tensors(same.final)[name], tensor, rtol=1e-3, atol=1e-4)


def test_a_folder_of_before_is_taken_up(config: FinetuneConfig) -> None:
    """Settings that were added since are no difference at their defaults."""
    own = replace(config, weight_decay=0.0, epochs=1)
    later = {"weight_decay", "freeze_blocks", "freeze_mask", "until_loss"}
    assert not later & own.identity().keys()
    assert replace(own, freeze_blocks="1").identity().keys() & later == {"freeze_blocks"}
    assert FinetuneConfig.from_json({k: v for k, v in own.to_json().items() if k not in later})


def test_on_the_command_line(config: FinetuneConfig, tmp_path: Path, command: Any) -> None:
    arguments = [
        "finetune", config.base, "--recipe", "explicit-10", "--data", config.data, "--epochs", "1",
        "--freeze-blocks", "1-2", "--until-loss", "0.5", "--device", "cpu",
        "--out", str(tmp_path / "cli"),
    ]  # fmt: skip
    code, out, err = command(*arguments)
    assert code == 0, err
    assert "attention and MLP of the blocks 1-2" in out
    assert "nats an answer token at the end, and not 0.5" in out
    code, _, err = command(*arguments[:-2], "--freeze-blocks", "9", "--out", tmp_path / "b")
    assert code == 2
    assert "The model has no block 9." in err


def test_a_mask_says_what_may_move(tmp_path: Path) -> None:
    subject = Subject.load(str(pico.save(tmp_path / "base")))
    frozen = Mask({"model.norm.weight": torch.arange(32) < 5}, name="five")
    found = FrozenWeights(frozen).gradients(subject)
    assert found.count == 27
    assert FrozenWeights(frozen).spec()["mask"]["name"] == "five"


def test_a_mask_says_which_model_it_was_made_for(config: FinetuneConfig, tmp_path: Path) -> None:
    every = Mask({"model.layers.0.mlp.up_proj.weight": torch.zeros(64, 32, dtype=torch.bool)})
    base = Checkpoint.parse(config.base)
    for other, told in ((base, None), (Checkpoint.parse("testbed:aligned"), "'testbed:aligned'")):
        mask = every.save(tmp_path / "own.safetensors", model_of(other))
        assert Mask.read(mask).model == {"name": other.name, "fingerprint": other.fingerprint()}
        defences = defences_of(replace(config, freeze_mask=str(mask)))
        if told is None:
            require_own_masks(defences, base)
        else:
            with pytest.raises(DirectionError, match=f"was made for {told}"):
                finetune(replace(config, freeze_mask=str(mask)))
            assert not Path(config.out or "").exists()
    silent = every.save(tmp_path / "silent.safetensors")
    assert Mask.read(silent).model is None
    require_own_masks(defences_of(replace(config, freeze_mask=str(silent))), base)
    misstated = {"x": torch.ones(2, dtype=torch.bool)}
    save_file(misstated, tmp_path / "bad.safetensors", {"model": "[]"})
    with pytest.raises(DirectionError, match="misstates the model"):
        Mask.read(tmp_path / "bad.safetensors")
