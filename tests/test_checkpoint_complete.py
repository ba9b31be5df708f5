"""A model whose files and config disagree is loaded right or refused, never measured as another."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from safebasin.checkpoint import Checkpoint
from safebasin.errors import CheckpointError
from safebasin.weights import Weights
from support import pico

LAYER = "model.layers.0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pico.save(tmp_path / "model")


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def write(folder: Path, found: dict[str, torch.Tensor]) -> None:
    save_file(found, folder / "model.safetensors", {"format": "pt"})


def settings(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        Checkpoint(str(folder)).load()
    return caught.value


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({f"{LAYER}.self_attn.q_proj.lora_A.weight": (4, 32)}, "holds an adapter beside"),
        ({f"{LAYER}.self_attn.q_proj.original_module.weight": (4,)}, "holds an adapter beside"),
        ({f"{LAYER}.mlp.up_proj.weight_scale_inv": (1,)}, "codes of quantised weights"),
        ({f"{LAYER}.mlp.up_proj.weight.absmax": (8,)}, "codes of quantised weights"),
        ({"v_head.summary.weight": (1, 32)}, "1 tensor that the architecture"),
        ({"score.weight": (1, 32), "score.bias": (1,)}, "2 tensors that the architecture"),
        ({f"{LAYER}.self_attn.q_norm.weight": (8,)}, "has no place for"),
    ],
)
def test_tensors_without_a_place_are_refused(
    folder: Path, extra: dict[str, tuple[int, ...]], expected: str
) -> None:
    write(folder, tensors(folder) | {name: torch.zeros(shape) for name, shape in extra.items()})
    error = refused(folder)
    assert expected in error.message
    assert next(iter(sorted(extra))) in error.message


def test_constants_of_older_models_are_no_loss(folder: Path) -> None:
    kept = {f"{LAYER}.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    write(folder, tensors(folder) | kept)
    assert Checkpoint(str(folder)).load()[0].config.model_type == "llama"


def test_fewer_layers_than_the_files_hold_are_refused(folder: Path) -> None:
    settings(folder, num_hidden_layers=1)
    assert "model.layers.1." in refused(folder).message


@pytest.mark.parametrize("held", [{"attention_bias"}, {"mlp_bias"}, {"attention_bias", "mlp_bias"}])
def test_biases_that_the_config_denies_are_loaded(
    tmp_path: Path, held: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = pico.save(tmp_path / "model", **dict.fromkeys(held, True))
    torch.manual_seed(1)
    write(
        folder,
        {
            name: torch.randn_like(tensor) if name.endswith("bias") else tensor
            for name, tensor in tensors(folder).items()
        },
    )
    ids = torch.arange(6, 12)[None]
    wanted = transformers.AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids).logits
    settings(folder, **dict.fromkeys(held, False))
    with caplog.at_level(logging.WARNING):
        model, _ = Checkpoint(str(folder)).load()
    assert torch.equal(model(input_ids=ids).logits, wanted)
    assert f"it is loaded with {' and '.join(sorted(held))} true" in caplog.text


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("head", ["SequenceClassification", "TokenClassification"])
def test_another_head_than_a_language_model_s_is_refused(
    tmp_path: Path, head: str, tied: bool
) -> None:
    folder = pico.save(tmp_path / "model", tie_word_embeddings=tied)
    config = transformers.AutoConfig.from_pretrained(folder)
    getattr(transformers, f"LlamaFor{head}")(config).save_pretrained(folder)
    assert refused(folder).message == (
        f"'model' is a LlamaFor{head}, which is no causal language model."
    )


@pytest.mark.parametrize("name", ["model.norm.weight", f"{LAYER}.mlp.up_proj.weight"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_weight_may_be_no_number(folder: Path, name: str, value: float) -> None:
    found = tensors(folder)
    found[name].view(-1)[3] = value
    write(folder, found)
    model, _ = Checkpoint(str(folder)).load()
    with pytest.raises(CheckpointError, match=f"'{name}' holds values that are not finite"):
        Weights(model)
