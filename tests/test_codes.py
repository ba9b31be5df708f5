"""Weights stored as codes in safetensors: the numbers they mean, by NumPy, or one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from safebasin.checkpoint import Checkpoint
from safebasin.directions import Toward
from safebasin.errors import CheckpointError
from safebasin.weights import Weights
from support import pico

E4M3 = torch.float8_e4m3fn
LINEAR = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "o_proj.weight", "gate_proj.weight",
          "up_proj.weight", "down_proj.weight")  # fmt: skip


def group(bits: int, kind: str = "int", **more: Any) -> dict[str, Any]:
    weights = {"num_bits": bits, "type": kind, "symmetric": True, **more}
    return {"config_groups": {"group_0": {"weights": weights, "targets": ["Linear"]}}}


def compressed(form: str, *arguments: Any, **more: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "format": form, **group(*arguments, **more)}


def coded(folder: Path, config: dict[str, Any], codes: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Store the linear weights of a pico model as `codes` gives them; returns what they mean.

    `codes` takes a stem and a weight, and returns the tensors to store and the numbers.
    """
    pico.save(folder, "llama", hidden_size=64, intermediate_size=96)
    return code(folder, config, codes)


def code(folder: Path, config: dict[str, Any], codes: Any) -> dict[str, np.ndarray[Any, Any]]:
    held = load_file(folder / "model.safetensors")
    meant = {}
    stored = {}
    for name, tensor in held.items():
        if name.endswith(LINEAR):
            parts, numbers = codes(name.removesuffix("weight"), tensor.float())
            stored |= parts
            meant[name] = numbers
        else:
            stored[name] = tensor
    save_file(stored, folder / "model.safetensors", {"format": "pt"})
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**said, "quantization_config": config}))
    return meant


def check(folder: Path, meant: dict[str, np.ndarray[Any, Any]], kind: str) -> Any:
    checkpoint = Checkpoint.parse(str(folder))
    model, _ = checkpoint.load("float32", "cpu")
    found = dict(model.named_parameters())
    assert meant
    for name, numbers in meant.items():
        assert found[name].dtype == torch.float32
        assert np.allclose(found[name].numpy(), numbers, rtol=1e-6, atol=0), name
    assert checkpoint.spec()["quantisation"]["format"] == kind
    assert not hasattr(model.config, "quantization_config")
    return model


def blocks(stem: str, values: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
    rows, columns = values.shape
    scale = torch.rand(-(-rows // 48), -(-columns // 40)) + 0.5
    codes = values.to(E4M3)
    whole = np.kron(scale.numpy(), np.ones((48, 40)))[:rows, :columns]
    parts = {f"{stem}weight": codes, f"{stem}weight_scale_inv": scale,
             f"{stem}input_scale": torch.ones(1)}  # fmt: skip
    return parts, codes.float().numpy() * whole


def test_floats_of_eight_bits_with_scales_by_block(tmp_path: Path) -> None:
    config = {"quant_method": "fp8", "weight_block_size": [48, 40], "activation_scheme": "static"}
    meant = coded(tmp_path / "m", config, blocks)
    model = check(tmp_path / "m", meant, "fp8")
    elements = Checkpoint.parse(str(tmp_path / "m")).spec()["parameters"]
    assert elements == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("per", ["tensor", "row"])
def test_floats_of_eight_bits_with_one_scale_or_one_a_row(per: str, tmp_path: Path) -> None:
    def codes(stem: str, values: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
        scale = torch.rand((1,) if per == "tensor" else (len(values), 1)).to(torch.bfloat16)
        stored = values.to(E4M3)
        return {f"{stem}weight": stored, f"{stem}weight_scale": scale}, (
            stored.float().numpy() * scale.float().numpy()
        )

    config = compressed("float-quantized", 8, "float", strategy=per)
    check(tmp_path / "m", coded(tmp_path / "m", config, codes), "compressed-tensors")


def test_integers_with_a_zero_point(tmp_path: Path) -> None:
    def codes(stem: str, values: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
        numbers = torch.randint(-128, 128, values.shape, dtype=torch.int8)
        scale = torch.rand(len(values), 1)
        zero = torch.randint(-9, 9, (len(values), 1), dtype=torch.int8)
        parts = {f"{stem}weight": numbers, f"{stem}weight_scale": scale,
                 f"{stem}weight_zero_point": zero}  # fmt: skip
        meant = (numbers.numpy().astype(np.float32) - zero.numpy()) * scale.numpy()
        return parts, meant

    config = compressed("int-quantized", 8, strategy="channel")
    check(tmp_path / "m", coded(tmp_path / "m", config, codes), "compressed-tensors")


def packed(values: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """Signed integers in words of 32 bits, the first lowest, one loop at a time."""
    each = 32 // bits
    rows, columns = values.shape
    words = np.zeros((rows, -(-columns // each)), dtype=np.uint32)
    for column in range(columns):
        code = (values[:, column] + 2 ** (bits - 1)).astype(np.uint32)
        words[:, column // each] |= code << np.uint32(bits * (column % each))
    return words.view(np.int32)


@pytest.mark.parametrize(("bits", "symmetric"), [(4, True), (4, False), (8, True), (3, True)])
def test_packed_integers(bits: int, symmetric: bool, tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    half = 2 ** (bits - 1)

    def codes(stem: str, values: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
        rows, columns = values.shape
        numbers = chance.integers(-half, half, (rows, columns))
        scale = chance.random((rows, columns // 16), dtype=np.float32)
        parts = {
            f"{stem}weight_packed": torch.from_numpy(packed(numbers, bits)),
            f"{stem}weight_shape": torch.tensor([rows, columns]),
            f"{stem}weight_scale": torch.from_numpy(scale),
        }
        zero = np.zeros_like(scale)
        if not symmetric:
            whole = chance.integers(-half, half, scale.shape)
            zero = whole.astype(np.float32)
            turned = np.ascontiguousarray(packed(whole.T, bits).T)
            parts[f"{stem}weight_zero_point"] = torch.from_numpy(turned)
        return parts, (numbers - np.repeat(zero, 16, 1)) * np.repeat(scale, 16, 1)

    config = compressed("pack-quantized", bits, strategy="group", group_size=16)
    check(tmp_path / "m", coded(tmp_path / "m", config, codes), "compressed-tensors")


def test_four_bits_under_powers_of_two(tmp_path: Path) -> None:
    settings = {
        **pico._COMMON, "num_local_experts": 2, "num_experts_per_tok": 1, "head_dim": 8,
        "hidden_size": 64, "intermediate_size": 32, "tie_word_embeddings": False,
        "layer_types": ["full_attention", "full_attention"],
    }  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING["gpt_oss"](**settings))
    folder = tmp_path / "m"
    model.save_pretrained(folder)
    pico.tokenizer().save_pretrained(folder)
    held = load_file(folder / "model.safetensors")
    values = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]
    chance = np.random.default_rng(1)
    meant = {}
    for name in [name for name in held if name.endswith(("gate_up_proj", "down_proj"))]:
        experts, inputs, outputs = held.pop(name).shape
        codes = chance.integers(0, 16, (experts, outputs, inputs))
        powers = chance.integers(120, 131, (experts, outputs, inputs // 32))
        low, high = codes[..., ::2], codes[..., 1::2]
        held[f"{name}_blocks"] = torch.from_numpy(
            (low | high << 4).astype(np.uint8).reshape(experts, outputs, inputs // 32, 16)
        )
        held[f"{name}_scales"] = torch.from_numpy(powers.astype(np.uint8))
        numbers = np.array(values)[codes] * np.repeat(2.0 ** (powers - 127), 32, axis=-1)
        meant[name] = numbers.swapaxes(1, 2)
    save_file(held, folder / "model.safetensors", {"format": "pt"})
    said = json.loads((folder / "config.json").read_text())
    said["quantization_config"] = {"quant_method": "mxfp4"}
    (folder / "config.json").write_text(json.dumps(said))
    check(folder, meant, "mxfp4")


def test_the_way_from_a_model_to_its_codes(tmp_path: Path) -> None:
    pico.save(tmp_path / "plain", "llama", hidden_size=64, intermediate_size=96)
    config = {"quant_method": "fp8", "weight_block_size": [48, 40]}
    meant = coded(tmp_path / "m", config, blocks)
    model, _ = Checkpoint.parse(str(tmp_path / "plain")).load("float32", "cpu")
    weights = Weights(model)
    toward = Toward(Checkpoint.parse(str(tmp_path / "m")), weights, name="t")
    name, numbers = next(iter(meant.items()))
    parameter = next(p for p in weights.parameters if p.name == name)
    moved = toward.tensor(parameter)
    assert moved is not None
    assert np.allclose(moved.numpy(), numbers - dict(model.named_parameters())[name].numpy())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"quant_method": "gptq", "bits": 4}, "in the format gptq"),
        ({"quant_method": "awq", "bits": 4}, "in the format awq"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "in the format bitsandbytes"),
        ({"load_in_4bit": True}, "in the format bitsandbytes"),
        ({"quant_method": "hqq"}, "in the format hqq"),
        ({"quant_method": "torchao"}, "in the format torchao"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "in the format modelopt"),
        (compressed("nvfp4-pack-quantized", 4, "float"), r"compressed-tensors \(nvfp4-pack"),
        ({**compressed("int-quantized", 8), "transform_config": {"a": 1}}, "compressed-tensors"),
        ({"quant_method": "compressed-tensors"}, "compressed-tensors"),
        ({"quant_method": ["fp8"]}, "in the format"),
        (["fp8"], "has a list at quantization_config"),
    ],
)
def test_another_format_is_named(config: Any, says: str, tmp_path: Path) -> None:
    pico.save(tmp_path / "m")
    said = json.loads((tmp_path / "m/config.json").read_text())
    (tmp_path / "m/config.json").write_text(json.dumps({**said, "quantization_config": config}))
    with pytest.raises(CheckpointError, match=says) as caught:
        Checkpoint.parse(str(tmp_path / "m")).check()
    assert "\n" not in str(caught.value)
    if "bitsandbytes" in says:
        assert "model.dequantize()" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("model.layers.0.mlp.up_proj.weight", torch.uint8),
        ("model.layers.0.mlp.up_proj.weight", E4M3),
        ("model.layers.0.mlp.experts.gate_up_proj", torch.int8),
        ("model.layers.0.mlp.experts.gate_up_proj", torch.float8_e5m2),
        ("model.layers.0.mlp.up_proj.qweight", torch.int32),
    ],
)
def test_codes_that_no_config_explains_are_refused(
    name: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    pico.save(tmp_path / "m")
    held = load_file(tmp_path / "m/model.safetensors")
    held[name] = torch.ones(48, 32).to(dtype)
    save_file(held, tmp_path / "m/model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="holds quantised weights"):
        Checkpoint.parse(str(tmp_path / "m")).check()


@pytest.mark.parametrize("lost", ["scale", "shape", "fit"])
def test_codes_without_their_scales_are_refused(lost: str, tmp_path: Path) -> None:
    def codes(stem: str, values: torch.Tensor) -> tuple[dict[str, torch.Tensor], Any]:
        parts, numbers = blocks(stem, values)
        if lost == "scale":
            del parts[f"{stem}weight_scale_inv"]
        elif lost == "shape":
            parts[f"{stem}weight_scale_inv"] = torch.ones(7, 9)
        else:
            parts[f"{stem}weight_scale_inv"] = torch.ones(1, 1, 1, 4)
        return parts, numbers

    config = {"quant_method": "fp8", "weight_block_size": [48, 40]}
    coded(tmp_path / "m", config, codes)
    with pytest.raises(CheckpointError, match="is stored as fp8, and '"):
        Checkpoint.parse(str(tmp_path / "m")).load()
