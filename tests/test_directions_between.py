"""Directions between models: checkpoints, adapters, their differences, series and planes."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from safebasin.checkpoint import Checkpoint
from safebasin.directions import (
    Adapter,
    Combination,
    Difference,
    Gaussian,
    Orthogonal,
    Toward,
    cosine,
    digest,
    gram,
    principal,
    project,
    rebuild,
    relative,
)
from safebasin.engines.fast.pooled import LowRank
from safebasin.errors import CheckpointError, DirectionError
from safebasin.weights import Weights
from support import pico

PROJECTIONS = ("q_proj", "v_proj", "down_proj")


def loaded(folder, dtype=torch.float32):
    model, _ = Checkpoint(str(folder)).load(dtype, "cpu")
    return model, Weights(model, exclude_norms=False)


def values(model):
    return {name: tensor.clone() for name, tensor in model.named_parameters()}


def ulp(tensor):
    """The size of a unit in the last place of each element."""
    return torch.nextafter(tensor.abs(), torch.full_like(tensor, math.inf)) - tensor.abs()


# --- toward another checkpoint --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_one_is_the_other_checkpoint_within_one_ulp(tmp_path, dtype, family):
    here = pico.save(tmp_path / "a", family, seed=0, dtype=dtype)
    there = pico.save(tmp_path / "b", family, seed=1, dtype=dtype)
    model, weights = loaded(here, dtype)
    goal, _ = Checkpoint(str(there)).load(dtype, "cpu")
    start = values(model)
    with weights.displaced([(1.0, Toward(Checkpoint(str(there)), weights))]):
        for name, tensor in model.named_parameters():
            other = goal.get_parameter(name)
            larger = torch.maximum(start[name].abs(), other.abs())
            assert ((tensor.float() - other.float()).abs() <= ulp(larger).float()).all(), name


def test_a_fine_tune_is_reached_bit_for_bit(tmp_path):
    """Where weights change by less than half of themselves the difference is exact."""
    here = pico.save(tmp_path / "a")
    model, weights = loaded(here)
    shutil.copytree(here, tmp_path / "b")
    start = load_file(here / "model.safetensors")
    moved = {name: tensor * (1 + 0.3 * torch.rand_like(tensor)) for name, tensor in start.items()}
    save_file(moved, tmp_path / "b" / "model.safetensors", {"format": "pt"})
    with weights.displaced([(1.0, Toward(Checkpoint(str(tmp_path / "b")), weights))]):
        for name, tensor in model.named_parameters():
            assert torch.equal(tensor, moved[name]), name


def test_no_second_model_is_held(tmp_path):
    here, there = pico.save(tmp_path / "a"), pico.save(tmp_path / "b", seed=1, shard="20KB")
    _, weights = loaded(here)
    direction = Toward(Checkpoint(str(there)), weights)
    assert not direction.other._memory
    expected = loaded(there)[0].get_parameter("model.embed_tokens.weight")
    view = next(p for p in weights.parameters if p.name == "model.embed_tokens.weight")
    assert torch.allclose(direction.tensor(view) + weights.pristine(view.name), expected)


def test_files_with_older_names_are_understood(tmp_path):
    """The tensors of GPT-2 on the hub lack the prefix that the loaded model has."""
    here, there = (
        pico.save(tmp_path / n, "gpt2", seed=s, tied=True) for n, s in (("a", 0), ("b", 1))
    )
    _, weights = loaded(here)
    expected = digest(Toward(Checkpoint(str(there)), weights), weights)
    old = load_file(there / "model.safetensors")
    save_file(
        {name.removeprefix("transformer."): tensor for name, tensor in old.items()},
        there / "model.safetensors",
        {"format": "pt"},
    )
    again = Toward(Checkpoint(str(there)), weights)
    assert again.other._memory
    assert digest(again, weights) == expected


def test_disagreements_are_listed(tmp_path):
    _, weights = loaded(pico.save(tmp_path / "a"))
    wide = pico.save(tmp_path / "wide", intermediate_size=64, num_hidden_layers=3)
    with pytest.raises(DirectionError) as caught:
        Toward(Checkpoint(str(wide)), weights)
    message = caught.value.message
    assert message.count("\n") == 0
    assert "has, and these weights lack, 'model.layers.2." in message
    assert "'model.layers.0.mlp.gate_proj.weight' ((64, 32), here (48, 32))" in message
    assert "and 3 more" in message or "more" in message


def test_a_longer_table_of_tokens_moves_where_both_overlap(tmp_path):
    here = pico.save(tmp_path / "a")
    model, weights = loaded(here)
    there = pico.save(tmp_path / "b", seed=1, vocab_size=pico.VOCABULARY + 5)
    goal, _ = loaded(there)
    direction = Toward(Checkpoint(str(there)), weights)
    name = "model.embed_tokens.weight"
    assert direction.other.resized[name] == (pico.VOCABULARY, pico.VOCABULARY + 5)
    with weights.displaced([(1.0, direction)]):
        moved = model.get_parameter(name)
        assert torch.allclose(moved, goal.get_parameter(name)[: pico.VOCABULARY], atol=1e-6)
    # The other way round the rows that only we have stay as they are.
    goal_weights = Weights(goal, exclude_norms=False)
    back = Toward(Checkpoint(str(here)), goal_weights)
    view = next(p for p in goal_weights.parameters if p.name == name)
    assert (back.tensor(view)[pico.VOCABULARY :] == 0).all()
    assert back.tensor(view)[: pico.VOCABULARY].abs().sum() > 0


def test_other_tokens_are_listed(tmp_path):
    here, there = pico.save(tmp_path / "a"), pico.save(tmp_path / "b", seed=1)
    _, weights = loaded(here)
    file = there / "tokenizer.json"
    words = json.loads(file.read_text(encoding="utf-8"))
    table = words["model"]["vocab"]
    table["a"], table["b"] = table["b"], table["a"]
    file.write_text(json.dumps(words), encoding="utf-8")
    vocabulary = Checkpoint(str(here)).load_tokenizer().get_vocab()
    with pytest.raises(DirectionError, match=r"other tokens for 'a' \(\d+, here \d+\), 'b'"):
        Toward(Checkpoint(str(there)), weights, vocabulary=vocabulary)
    assert Toward(Checkpoint(str(here)), weights, vocabulary=vocabulary)


def test_damage_is_one_sentence(tmp_path):
    here, there = pico.save(tmp_path / "a"), pico.save(tmp_path / "b", seed=1)
    _, weights = loaded(here)
    tensors = load_file(there / "model.safetensors")
    tensors["lm_head.weight"][0, 0] = math.nan
    save_file(tensors, there / "model.safetensors", {"format": "pt"})
    direction = Toward(Checkpoint(str(there)), weights)
    view = next(p for p in weights.parameters if p.name == "lm_head.weight")
    with pytest.raises(DirectionError, match=r"'lm_head\.weight' that are not finite"):
        direction.tensor(view)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (there / name).unlink()
    with pytest.raises(CheckpointError, match="no tokenizer"):
        Toward(Checkpoint(str(there)), weights)


def test_ties(tmp_path):
    tied, untied = (pico.save(tmp_path / str(t), tied=t, seed=3) for t in (True, False))
    _, weights = loaded(tied)
    with pytest.raises(DirectionError, match=r"does not tie 'model.embed_tokens.weight' and 'lm_h"):
        Toward(Checkpoint(str(untied)), weights)
    _, weights = loaded(untied)
    assert Toward(Checkpoint(str(tied)), weights)
    model, _ = Checkpoint(str(tied)).load("float32", "cpu")
    twice = Weights(model, tied="reference")
    with pytest.raises(DirectionError, match="move twice"):
        Toward(Checkpoint(str(tied)), twice)


def test_the_difference_of_two_checkpoints(tmp_path):
    folders = [pico.save(tmp_path / str(seed), seed=seed) for seed in range(3)]
    _, weights = loaded(folders[0])
    one, two = (Checkpoint(str(folder)) for folder in folders[1:])
    direction = Difference(one, two, weights)
    for view in weights.parameters:
        a, b = (Toward(c, weights).tensor(view) for c in (one, two))
        assert torch.allclose(direction.tensor(view), b - a, atol=1e-6)
    again = rebuild(json.loads(json.dumps(direction.spec())), weights)
    assert digest(again, weights) == digest(direction, weights)
    assert direction.name == "1-to-2"
    scaled = relative(direction, weights)
    length = math.sqrt(gram([scaled], weights)[0, 0])
    assert length == pytest.approx(math.hypot(*(weights.norm(p.name) for p in weights.parameters)))
    assert cosine(scaled, direction, weights) == pytest.approx(1)
    with pytest.raises(DirectionError, match="zero"):
        relative(Difference(one, one, weights), weights)


# --- adapters -------------------------------------------------------------------------------------


def lora(base, folder, rows=None, **settings):
    """An adapter with random factors, and its merged weights by PEFT alone.

    `rows` is how many tokens the base's tables are given before.
    """
    import warnings

    from peft import LoraConfig, get_peft_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        model, _ = pico.load(base)
        if rows is not None:
            model.resize_token_embeddings(rows)
        chosen = {"r": 2, "lora_alpha": 6, "target_modules": list(PROJECTIONS), **settings}
        wrapped = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **chosen))
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
        wrapped.save_pretrained(folder)
        merged = wrapped.merge_and_unload()
    return folder, values(merged)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", {}),
        ("llama", {"use_rslora": True, "r": 4}),
        ("llama", {"alpha_pattern": {"q_proj": 1}, "rank_pattern": {"v_proj": 4, "k_proj": 9}}),
        ("llama", {"alpha_pattern": {"layers.1.self_attn.q_proj": 20}}),
        ("llama", {"modules_to_save": ["lm_head"]}),
        ("llama", {"target_modules": ["embed_tokens", "q_proj"]}),
        ("qwen2", {"target_modules": ["q_proj"], "bias": "lora_only"}),
        ("gpt2", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
        ("gpt2", {"target_modules": ["c_attn"], "fan_in_fan_out": False}),
    ],
    ids=["plain", "rs", "patterns", "one layer", "whole", "embedding", "bias", "conv1d", "flag"],
)
def test_an_adapter_is_what_peft_merges(tmp_path, family, settings):
    base = pico.save(tmp_path / "base", family)
    folder, merged = lora(base, tmp_path / "adapter", **settings)
    model, weights = loaded(base)
    direction = Adapter(folder, weights)
    start = values(model)
    with weights.displaced([(1.0, direction)]):
        for name, tensor in model.named_parameters():
            torch.testing.assert_close(tensor, merged[name], rtol=2e-6, atol=2e-7)
    assert any(not torch.equal(start[name], merged[name]) for name in start)
    with weights.displaced([(2.5, direction)]):
        for name, tensor in model.named_parameters():
            beyond = start[name] + 2.5 * (merged[name] - start[name])
            torch.testing.assert_close(tensor, beyond, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("rows", [pico.VOCABULARY + 2, pico.VOCABULARY - 3])
@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj", "embed_tokens", "lm_head"]},
        {"modules_to_save": ["embed_tokens", "lm_head"]},
    ],
    ids=["factors", "whole"],
)
def test_an_adapter_of_resized_tables_moves_where_both_overlap(tmp_path, settings, rows):
    base = pico.save(tmp_path / "base")
    folder, merged = lora(base, tmp_path / "adapter", rows, **settings)
    model, weights = loaded(base)
    start = values(model)
    shared = min(rows, pico.VOCABULARY)
    with weights.displaced([(1.0, Adapter(folder, weights))]):
        for name, tensor in model.named_parameters():
            torch.testing.assert_close(tensor[:shared], merged[name][:shared], rtol=2e-6, atol=2e-7)
            assert torch.equal(tensor[len(merged[name]) :], start[name][len(merged[name]) :])


def test_an_adapter_whose_names_are_older_than_the_model_is_merged(tmp_path):
    """Mixtral's experts were one tensor each, and are stacked now: PEFT knows both."""
    from safebasin.config import ScanConfig
    from safebasin.study.tuned import direction_to, load_base

    base = tmp_path / "base"
    small = {"vocab_size": pico.VOCABULARY, "hidden_size": 32, "intermediate_size": 48,
             "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2,
             "num_local_experts": 2, "num_experts_per_tok": 1}  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(AutoConfig.for_model("mixtral", **small)).save_pretrained(base)
    pico.tokenizer().save_pretrained(base)
    folder = tmp_path / "adapter"
    folder.mkdir()
    stored = {}
    for expert in range(2):
        for name, out, into in (("w1", 48, 32), ("w2", 32, 48), ("w3", 48, 32)):
            key = f"base_model.model.model.layers.0.block_sparse_moe.experts.{expert}.{name}"
            stored[f"{key}.lora_A.weight"] = torch.randn(2, into)
            stored[f"{key}.lora_B.weight"] = torch.randn(out, 2)
    save_file(stored, folder / "adapter_model.safetensors", {"format": "pt"})
    settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
                "target_modules": ["w1", "w2", "w3"]}  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    tuned = Checkpoint(str(base), str(folder))
    alone = values(tuned.load("float32", "cpu")[0])
    ready = load_base(Checkpoint(str(base)), ScanConfig(model=str(base), device="cpu"))
    direction = direction_to(tuned, ready, "tuned")
    moved = 0
    with ready.weights.displaced([(1.0, direction)]):
        for name, tensor in ready.model.named_parameters():
            torch.testing.assert_close(tensor, alone[name], rtol=2e-6, atol=2e-7)
    for name, tensor in ready.model.named_parameters():
        moved += not torch.equal(tensor, alone[name])
    assert moved == 2


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_factors_are_those_of_the_pools_protocol(tmp_path, family):
    targets = ["c_attn"] if family == "gpt2" else ["q_proj", "embed_tokens"]
    base = pico.save(tmp_path / "base", family)
    folder, _ = lora(base, tmp_path / "adapter", target_modules=targets)
    _, weights = loaded(base)
    direction = Adapter(folder, weights)
    assert isinstance(direction, LowRank)
    assert direction.rank == 2
    moved = 0
    for parameter in weights.parameters:
        factors, step = direction.factors(parameter), direction.tensor(parameter)
        assert (factors is None) == (step is None)
        if factors is not None:
            moved += 1
            up, down = factors
            assert up.shape[1] == down.shape[0] == 2
            product = up @ down
            product = product.t() if parameter.output_dim == 1 else product
            torch.testing.assert_close(product, step, rtol=1e-5, atol=1e-6)
    assert moved == (2 if family == "gpt2" else 3)
    elsewhere = weights.select(include=["lm_head*"] if family == "llama" else ["*wpe*"])
    assert all(Adapter(folder, elsewhere).tensor(p) is None for p in weights.parameters)


def test_a_path_along_an_adapter_holds_one_model(tmp_path):
    """The adapter's own tensors are its factors alone, whatever points are visited."""
    base = pico.save(tmp_path / "base")
    folder, _ = lora(base, tmp_path / "adapter")
    _, weights = loaded(base)
    direction = Adapter(folder, weights)
    held = sum(f.up.numel() + f.down.numel() for f in direction._lora.factors.values())
    stored = load_file(folder / "adapter_model.safetensors")
    assert held == sum(tensor.numel() for tensor in stored.values()) < 0.2 * weights.numel
    assert not direction._whole


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
    ],
)
def test_adapters_that_are_no_plain_lora_are_refused(tmp_path, settings, reason):
    base = pico.save(tmp_path / "base")
    folder, _ = lora(base, tmp_path / "adapter")
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings), encoding="utf-8")
    _, weights = loaded(base)
    with pytest.raises(DirectionError, match=f"no plain LoRA.*{reason}") as caught:
        Adapter(folder, weights, merge=False)
    assert "merged" in caught.value.hint


def test_an_adapter_for_another_base_is_one_sentence(tmp_path):
    base, other = pico.save(tmp_path / "base"), pico.save(tmp_path / "o", hidden_size=64)
    gpt = pico.save(tmp_path / "gpt", "gpt2")
    folder, _ = lora(base, tmp_path / "adapter")
    for wrong in (other, gpt):
        _, weights = loaded(wrong)
        with pytest.raises(DirectionError, match=r"another base: 'model\.layers\.0") as caught:
            Adapter(folder, weights)
        assert "base" in caught.value.hint
    tied = pico.save(tmp_path / "tied", tied=True)
    folder, _ = lora(base, tmp_path / "head", target_modules=["lm_head"])
    _, weights = loaded(tied)
    with pytest.raises(DirectionError, match="tied"):
        Adapter(folder, weights)
    with pytest.raises(CheckpointError, match="does not exist"):
        Adapter(tmp_path / "absent", weights)


def test_adapters_are_rebuilt_or_refused(tmp_path):
    base = pico.save(tmp_path / "base")
    folder, _ = lora(base, tmp_path / "adapter")
    _, weights = loaded(base)
    direction = Adapter(folder, weights)
    again = rebuild(json.loads(json.dumps(direction.spec())), weights)
    assert digest(again, weights) == digest(direction, weights)
    tensors = load_file(folder / "adapter_model.safetensors")
    first = next(iter(tensors))
    save_file({**tensors, first: tensors[first] * math.nan}, folder / "adapter_model.safetensors")
    with pytest.raises(DirectionError, match="not finite"):
        Adapter(folder, weights)
    save_file({**tensors, first: tensors[first] * 2}, folder / "adapter_model.safetensors")
    with pytest.raises(DirectionError, match="not the adapter"):
        rebuild(direction.spec(), weights)


# --- series and planes ----------------------------------------------------------------------------


def flat(direction, weights):
    return torch.cat([direction.tensor(p).flatten() for p in weights.parameters]).double().numpy()


def test_sums_and_inner_products(tmp_path):
    model = pico.model("llama")
    weights = Weights(model)
    a, b = Gaussian(0, weights), Gaussian(1, weights)
    total = Combination([(2.0, a), (-0.5, b)], name="sum")
    for view in weights.parameters:
        expected = 2.0 * a.tensor(view).double() - 0.5 * b.tensor(view).double()
        assert torch.equal(total.tensor(view), expected.float())
    again = rebuild(json.loads(json.dumps(total.spec())), weights)
    assert digest(again, weights) == digest(total, weights)
    vectors = np.stack([flat(d, weights) for d in (a, b, total)])
    np.testing.assert_allclose(gram([a, b, total], weights), vectors @ vectors.T, rtol=1e-9)


def test_principal_directions_are_those_of_a_decomposition(tmp_path):
    weights = Weights(pico.model("llama"))
    basis = [Gaussian(seed, weights) for seed in range(4)]
    mixed = np.random.default_rng(0).normal(size=(5, 4))
    series = [
        Combination([(float(c), d) for c, d in zip(row, basis, strict=True)], name=f"s{i}")
        for i, row in enumerate(mixed)
    ]
    found = principal(series, weights, 3)
    matrix = np.stack([flat(d, weights) for d in series])
    _, singular, rows = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(found.shares, (singular**2 / (singular**2).sum())[:3], rtol=1e-6)
    for direction, row in zip(found.directions, rows, strict=False):
        vector = flat(direction, weights)
        assert abs(vector @ row) / np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        assert np.linalg.norm(vector) == pytest.approx(np.linalg.norm(matrix[-1]), rel=1e-6)
        assert vector @ matrix[-1] > 0
    with pytest.raises(DirectionError, match="span fewer than 2"):
        principal([series[0], series[0]], weights)
    with pytest.raises(DirectionError, match="need 2 checkpoints"):
        principal(series[:1], weights)


def test_a_projection_says_what_it_leaves_out():
    weights = Weights(pico.model("llama"))
    x, y, z = (Gaussian(seed, weights) for seed in range(3))
    y = Orthogonal(y, x, weights, form="global")
    z = Orthogonal(Orthogonal(z, x, weights, form="global"), y, weights, form="global")
    inside = Combination([(0.3, x), (-0.4, y)], name="inside")
    half = Combination([(0.3, x), (-0.4, y), (0.5, z)], name="half")
    outside = Combination([(2.0, z)], name="outside")
    nothing = Combination([(0.0, z)], name="nothing")
    found = project([inside, half, outside, nothing], [x, y], weights)
    assert found[0].coordinates == pytest.approx((0.3, -0.4), abs=1e-5)
    assert found[0].residual < 1e-3
    assert found[1].coordinates == pytest.approx((0.3, -0.4), abs=1e-4)
    assert found[1].residual == pytest.approx(0.5 / math.hypot(0.3, 0.4, 0.5), rel=1e-3)
    assert found[2].residual == pytest.approx(1, abs=1e-6)
    assert found[3].residual == found[3].length == 0
    assert found[0].length == pytest.approx(0.5, rel=0.02)


def test_planes_between_models_follow_the_paper(tmp_path):
    """Gram-Schmidt on the second direction, then ‖d2‖ = ‖d1‖ (Peng et al. 2024, Sec. 3)."""
    folders = [pico.save(tmp_path / str(seed), seed=seed) for seed in range(3)]
    _, weights = loaded(folders[0])
    first, second = (Toward(Checkpoint(str(folder)), weights) for folder in folders[1:])
    made = Orthogonal(second, first, weights)
    assert made.form == "global"
    a, b, c = (flat(d, weights) for d in (first, second, made))
    rest = b - (a @ b) / (a @ a) * a
    np.testing.assert_allclose(c, rest * np.linalg.norm(a) / np.linalg.norm(rest), atol=1e-6)
    # Interpolation x random: the random axis keeps its own unit, ‖d_p‖ = ‖W_p‖.
    across = Orthogonal(Gaussian(0, weights), first)
    assert abs(cosine(across, first, weights)) < 1e-6
    for view in weights.parameters:
        own = across.tensor(view).norm().item()
        assert own == pytest.approx(weights.norm(view.name), rel=1e-5)
