"""Adapters of mixtures whose experts were layers: what a few lines of sums make of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Adapter
from safebasin.errors import CheckpointError
from safebasin.weights import Weights
from support import pico

RANK, EXPERTS = 2, 3
KINDS: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": EXPERTS, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": EXPERTS, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 24, "decoder_sparse_step": 1,
    },
    "olmoe": {"num_experts": EXPERTS, "num_experts_per_tok": 2},
}  # fmt: skip


def older(base: Path, folder: Path, targets: Sequence[str], **settings: Any) -> Any:
    """Write an adapter by the names of transformers 4; returns the model that it makes."""
    model, _ = pico.load(base)
    mixtral = model.config.model_type == "mixtral"
    gate, up, down = ("w1", "w3", "w2") if mixtral else ("gate_proj", "up_proj", "down_proj")
    stored: dict[str, torch.Tensor] = {}
    draw = torch.Generator().manual_seed(4)

    def change(module: str, weight: torch.Tensor) -> None:
        if module.rsplit(".", 1)[-1] not in targets:
            return
        a = torch.randn(RANK, weight.shape[1], generator=draw)
        b = torch.randn(weight.shape[0], RANK, generator=draw) / 4
        stored[f"base_model.model.{module}.lora_A.weight"] = a
        stored[f"base_model.model.{module}.lora_B.weight"] = b
        weight += 2 * (b @ a)

    for name, tensor in model.named_parameters():
        module = name.removesuffix(".weight")
        if name.endswith("experts.gate_up_proj"):
            inner = tensor.shape[1] // 2
            last = model.get_parameter(name.replace("gate_up_proj", "down_proj"))
            place = name.removesuffix(".gate_up_proj")
            place = place.replace(".mlp.", ".block_sparse_moe.") if mixtral else place
            for i in range(EXPERTS):
                change(f"{place}.{i}.{gate}", tensor[i, :inner])
                change(f"{place}.{i}.{up}", tensor[i, inner:])
                change(f"{place}.{i}.{down}", last[i])
        elif name.endswith(".weight") and tensor.dim() == 2:
            change(module.replace(".mlp.", ".block_sparse_moe.") if mixtral else module, tensor)
    folder.mkdir()
    save_file(stored, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": 2 * RANK,
        "target_modules": list(targets), **settings,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return model


def mixture(folder: Path, kind: str) -> Path:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, **{**pico._COMMON, **KINDS[kind]})
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    pico.tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "targets", "changed"),
    [
        ("mixtral", ["w1", "w2", "w3"], 4),
        ("mixtral", ["w1"], 2),
        ("mixtral", ["w1", "w3", "q_proj", "gate"], 6),
        ("qwen2_moe", ["gate_proj", "up_proj", "down_proj"], 10),
        ("qwen2_moe", ["gate_proj", "o_proj"], 6),
        ("olmoe", ["up_proj", "down_proj"], 4),
    ],
)
def test_older_names_are_read_as_they_were_meant(
    tmp_path: Path, kind: str, targets: list[str], changed: int
) -> None:
    base = mixture(tmp_path / "base", kind)
    expected = older(base, tmp_path / "adapter", targets)
    start, _ = pico.load(base)
    merged, _ = Checkpoint(str(base), str(tmp_path / "adapter")).load("float32", "cpu")
    model, _ = pico.load(base)
    weights = Weights(model, exclude_norms=False)
    moved = 0
    with weights.displaced([(1.0, Adapter(tmp_path / "adapter", weights))]):
        for name, tensor in expected.named_parameters():
            for found in (merged, model):
                torch.testing.assert_close(found.get_parameter(name), tensor, rtol=1e-5, atol=1e-6)
            moved += not torch.equal(tensor, start.get_parameter(name))
    assert moved == changed


def test_an_older_adapter_of_other_experts_is_an_error(tmp_path: Path) -> None:
    base = mixture(tmp_path / "base", "mixtral")
    older(base, tmp_path / "adapter", ["w1"], r=RANK + 1)
    with pytest.raises(CheckpointError, match="does not fit the base model"):
        Checkpoint(str(base), str(tmp_path / "adapter")).load("float32", "cpu")
