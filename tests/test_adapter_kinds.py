"""Whatever PEFT writes is what PEFT's own unmerged model computes, or is refused for its reason."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    BOFTConfig,
    C3AConfig,
    FourierFTConfig,
    HRAConfig,
    IA3Config,
    LNTuningConfig,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    MissConfig,
    OFTConfig,
    TrainableTokensConfig,
    VBLoRAConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapter_tables import separates_tables, untie_tables
from safebasin.checkpoint.merging import merge
from safebasin.directions import Adapter
from safebasin.engines.vllm.session import require_as_stored
from safebasin.errors import CheckpointError, DirectionError, EngineError
from safebasin.weights import Weights
from support import pico

IDS = torch.tensor([[1, 4, 40, 50, 60, 70, 5]])
MORE, FEWER = pico.VOCABULARY + 2, pico.VOCABULARY - 3
MIXTURES: dict[str, dict[str, Any]] = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {
        "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8,
    },
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8},
}  # fmt: skip


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("bases")
    made = {
        "llama": pico.save(home / "llama"),
        "qwen2": pico.save(home / "qwen2", "qwen2", tied=True),
        "gpt2": pico.save(home / "gpt2", "gpt2", tied=True),
        "gemma": pico.save(home / "gemma", "gemma", tied=True),
    }
    for kind, settings in MIXTURES.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            config = AutoConfig.for_model(kind, **{**pico._COMMON, **settings})
            AutoModelForCausalLM.from_config(config).save_pretrained(home / kind)
        pico.tokenizer().save_pretrained(home / kind)
        made[kind] = home / kind
    return made


def trained(base: Path, folder: Path, config: Any, rows: int | None = None) -> torch.Tensor:
    """Save an adapter with random weights; returns the logits of PEFT's own unmerged model."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        if rows is not None:
            model.resize_token_embeddings(rows)
        wrapped = get_peft_model(model, config)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        wrapped.save_pretrained(folder)
        found: torch.Tensor = wrapped.eval()(IDS).logits
    return found


def require_peft(base: Path, folder: Path, expected: torch.Tensor) -> None:
    """Both readings give PEFT's logits: the merged model, and the base moved by 1."""
    with torch.no_grad():
        merged, _ = Checkpoint(str(base), str(folder)).load("float32", "cpu")
        model, _ = Checkpoint(str(base)).load("float32", "cpu")
        before = model(IDS).logits
        both = min(expected.shape[-1], before.shape[-1])
        assert (expected[..., :both] - before[..., :both]).abs().max() > 0.03
        known = merged(IDS).logits.shape[-1]
        assert known in (expected.shape[-1], before.shape[-1])
        assert_close(merged(IDS).logits[..., :both], expected[..., :both])
        if separates_tables(Checkpoint(str(base), str(folder)), model):
            untie_tables(model)
        weights = Weights(model, exclude_norms=False)
        with weights.displaced([(1.0, Adapter(folder, weights))]):
            assert_close(model(IDS).logits[..., :both], expected[..., :both])


def assert_close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


def lora(**settings: Any) -> LoraConfig:
    chosen = {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"], **settings}
    return LoraConfig(task_type="CAUSAL_LM", **chosen)


@pytest.mark.parametrize(
    ("family", "settings", "rows"),
    [
        ("llama", {"use_dora": True}, None),
        ("llama", {"init_lora_weights": "pissa"}, None),
        ("llama", {"init_lora_weights": "olora"}, None),
        ("llama", {"trainable_token_indices": [40, 50]}, None),
        ("llama", {"target_modules": ["embed_tokens", "q_proj", "lm_head"]}, MORE),
        ("llama", {"target_modules": ["embed_tokens", "q_proj"]}, MORE),
        ("llama", {"target_modules": ["embed_tokens", "q_proj"]}, FEWER),
        ("llama", {"modules_to_save": ["embed_tokens", "lm_head"]}, MORE),
        ("llama", {"trainable_token_indices": {"embed_tokens": [40, MORE - 1]}}, MORE),
        ("llama", {}, MORE),
        ("qwen2", {"bias": "all"}, None),
        ("qwen2", {"target_modules": ["embed_tokens", "q_proj"]}, None),
        ("qwen2", {"target_modules": ["embed_tokens", "q_proj"]}, MORE),
        ("qwen2", {"target_modules": ["q_proj", "lm_head"]}, FEWER),
        ("qwen2", {"modules_to_save": ["lm_head"]}, None),
        ("qwen2", {"modules_to_save": ["embed_tokens"]}, MORE),
        ("qwen2", {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True}, None),
        ("qwen2", {"trainable_token_indices": {"embed_tokens": [40, MORE - 1]}}, MORE),
        ("gemma", {"target_modules": ["embed_tokens"], "ensure_weight_tying": True}, None),
        ("gemma", {}, MORE),
        ("gpt2", {"target_modules": ["c_attn", "c_proj"], "lora_bias": True}, None),
        ("gpt2", {"target_modules": ["c_attn", "wte"]}, None),
        ("mixtral", {"target_modules": "all-linear"}, None),
        (
            "mixtral",
            {
                "target_modules": ["q_proj"],
                "target_parameters": ["experts.gate_up_proj", "experts.down_proj"],
            },
            None,
        ),
        ("qwen3_moe", {"target_modules": [], "target_parameters": ["experts.down_proj"]}, None),
        ("gpt_oss", {"target_modules": [], "target_parameters": ["experts.gate_up_proj"]}, None),
    ],
)
def test_every_lora_is_what_peft_computes(
    tmp_path: Path, bases: dict[str, Path], family: str, settings: Any, rows: int | None
) -> None:
    expected = trained(bases[family], tmp_path / "adapter", lora(**settings), rows)
    require_peft(bases[family], tmp_path / "adapter", expected)


_ON = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "down_proj"]}
_OTHERS = {
    "IA3": lambda: IA3Config(feedforward_modules=["down_proj"], **_ON),
    "LoHa": lambda: LoHaConfig(r=2, **_ON),
    "LoKr": lambda: LoKrConfig(r=2, decompose_both=True, decompose_factor=4, **_ON),
    "OFT": lambda: OFTConfig(oft_block_size=8, **_ON),
    "BOFT": lambda: BOFTConfig(boft_block_size=4, **_ON),
    "VeRA": lambda: VeraConfig(r=2, **_ON),
    "HRA": lambda: HRAConfig(r=2, **_ON),
    "FourierFT": lambda: FourierFTConfig(n_frequency=10, **_ON),
    "VBLoRA": lambda: VBLoRAConfig(r=2, num_vectors=16, vector_length=8, **_ON),
    "MiSS": lambda: MissConfig(r=2, **_ON),
    "C3A": lambda: C3AConfig(block_size=8, **_ON),
    "LN": lambda: LNTuningConfig(task_type="CAUSAL_LM", target_modules=["input_layernorm"]),
    "tokens": lambda: TrainableTokensConfig(
        task_type="CAUSAL_LM", target_modules=["embed_tokens"], token_indices=[40, 50]
    ),
}


@pytest.mark.parametrize("name", _OTHERS)
def test_every_other_kind_is_what_peft_computes(
    tmp_path: Path, bases: dict[str, Path], name: str
) -> None:
    expected = trained(bases["llama"], tmp_path / "adapter", _OTHERS[name]())
    require_peft(bases["llama"], tmp_path / "adapter", expected)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_layers_that_an_adapter_repeats_are_repeated(
    tmp_path: Path, bases: dict[str, Path], dtype: str
) -> None:
    base, folder = bases["llama"], tmp_path / "adapter"
    expected = trained(base, folder, lora(layer_replication=[[0, 2], [1, 2]]))
    merged = merge(Checkpoint(str(base), str(folder)), tmp_path / "out", dtype)
    model, _ = pico.load(merged.folder)
    assert model.config.num_hidden_layers == len(model.model.layers) == 3
    with torch.no_grad():
        close = {"rtol": 1e-5, "atol": 2e-5} if dtype == "float32" else {"rtol": 0.1, "atol": 0.1}
        torch.testing.assert_close(model(IDS).logits.float(), expected, **close)
    weights = Weights(pico.load(base)[0], exclude_norms=False)
    with pytest.raises(DirectionError, match=r"repeats layers of its base.*no line leads there"):
        Adapter(folder, weights)


@pytest.mark.parametrize("tied", [False, True])
def test_a_merged_folder_keeps_the_rows_of_added_tokens(tmp_path: Path, tied: bool) -> None:
    base = pico.save(tmp_path / "base", "qwen2", tied=tied)
    whole = {"modules_to_save": ["embed_tokens", "lm_head"]}
    expected = trained(base, tmp_path / "adapter", lora(**whole), MORE)
    for dtype in ("float32", "float16"):
        merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / dtype, dtype)
        model, _ = pico.load(merged.folder)
        assert model.config.vocab_size == len(model.get_output_embeddings().weight) == MORE
        with torch.no_grad():
            found = model(IDS).logits.float()
        close = 2e-5 if dtype == "float32" else 0.05
        torch.testing.assert_close(found, expected, rtol=close, atol=close)


@pytest.mark.parametrize("template", [None, "{{ bos_token }}<new>{{ messages[0]['content'] }}"])
def test_tokens_that_an_adapter_adds_are_those_that_its_model_is_asked_with(
    tmp_path: Path, bases: dict[str, Path], template: str | None
) -> None:
    base, folder = bases["llama"], tmp_path / "adapter"
    trained(base, folder, lora(modules_to_save=["embed_tokens", "lm_head"]), MORE)
    source = Checkpoint(str(base), str(folder))
    before = source.spec()
    tokenizer = pico.tokenizer()
    tokenizer.add_tokens(["<new>"], special_tokens=True)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    source = Checkpoint(str(base), str(folder))
    assert {*source.spec()} == {*before, "adapter_tokenizer"}
    merged = merge(source, tmp_path / "out")
    for found in (source.load("float32", "cpu")[1], pico.load(merged.folder)[1]):
        assert found.encode("<new>", add_special_tokens=False) == [pico.VOCABULARY]
        assert found.chat_template == (template or pico.CHAT_TEMPLATE)
    assert "its own tokenizer comes along" in merged.notes[-1]


def test_a_tokenizer_with_more_tokens_than_rows_is_not_asked_with(
    tmp_path: Path, bases: dict[str, Path]
) -> None:
    folder = tmp_path / "adapter"
    trained(bases["llama"], folder, lora())
    tokenizer = pico.tokenizer()
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder)
    _, found = Checkpoint(str(bases["llama"]), str(folder)).load("float32", "cpu")
    assert "<new>" not in found.get_vocab()


def test_rows_that_nobody_stored_are_left_out_with_a_warning(
    tmp_path: Path, bases: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "adapter"
    trained(bases["llama"], folder, lora(target_modules=["embed_tokens"]), MORE)
    model, _ = Checkpoint(str(bases["llama"]), str(folder)).load("float32", "cpu")
    assert len(model.get_input_embeddings().weight) == pico.VOCABULARY
    assert f"trained with {MORE} tokens and its base has {pico.VOCABULARY}" in caplog.text


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_biases_that_no_layer_of_the_base_has_are_refused(
    tmp_path: Path, bases: dict[str, Path], family: str
) -> None:
    folder = tmp_path / "adapter"
    trained(bases[family], folder, lora(lora_bias=True))
    checkpoint = Checkpoint(str(bases[family]), str(folder))
    weights = Weights(pico.load(bases[family])[0], exclude_norms=False)
    for read in (lambda: checkpoint.load("float32", "cpu"), lambda: Adapter(folder, weights)):
        with pytest.raises(CheckpointError, match=r"adds biases to layers that have none.*down_"):
            read()


def test_a_tied_pair_that_an_adapter_parts_is_named(tmp_path: Path, bases: dict[str, Path]) -> None:
    folder = tmp_path / "adapter"
    trained(bases["qwen2"], folder, lora(target_modules=["lm_head"]))
    weights = Weights(pico.load(bases["qwen2"])[0], exclude_norms=False)
    with pytest.raises(DirectionError, match="changes tied weights") as caught:
        Adapter(folder, weights)
    assert "untied=True" in caught.value.hint
    model, _ = Checkpoint(str(bases["qwen2"])).load("float32", "cpu", untied=True)
    assert Adapter(folder, Weights(model)).rank == 2


@pytest.mark.parametrize(
    ("family", "settings", "rows", "what"),
    [
        ("qwen2", {"target_modules": ["lm_head"]}, None, "tie_word_embeddings"),
        ("qwen2", {}, MORE, "vocab_size"),
        ("llama", {"layer_replication": [[0, 2], [0, 1]]}, None, "num_hidden_layers"),
    ],
)
def test_vllm_is_not_given_a_model_that_its_config_does_not_describe(
    tmp_path: Path,
    bases: dict[str, Path],
    family: str,
    settings: Any,
    rows: int | None,
    what: str,
) -> None:
    base, folder = bases[family], tmp_path / "adapter"
    require_as_stored(Checkpoint(str(base)).load("float32", "cpu")[0])
    trained(base, folder, lora(**settings), rows)
    model, _ = Checkpoint(str(base), str(folder)).load("float32", "cpu")
    with pytest.raises(EngineError, match=what):
        require_as_stored(model)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")


def test_settings_of_a_newer_peft(
    tmp_path: Path, bases: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "adapter"
    expected = trained(bases["llama"], folder, lora())
    edit(folder, future_config=None, use_future=False, base_model_name_or_path=None)
    require_peft(bases["llama"], folder, expected)
    assert not caplog.text
    edit(folder, future_size=16)
    require_peft(bases["llama"], folder, expected)
    assert "future_size; they are left out" in caplog.text
    edit(folder, use_future=True, peft_version="9.9.0")
    weights = Weights(pico.load(bases["llama"])[0])
    checkpoint = Checkpoint(str(bases["llama"]), str(folder))
    for read in (lambda: checkpoint.load("float32", "cpu"), lambda: Adapter(folder, weights)):
        with pytest.raises(CheckpointError, match=r"does not know: .*use_future") as caught:
            read()
        assert "9.9.0" in caught.value.hint


def test_a_folder_of_several_adapters_names_them(tmp_path: Path, bases: dict[str, Path]) -> None:
    for name in ("first", "second"):
        trained(bases["llama"], tmp_path / "both" / name, lora())
    with pytest.raises(CheckpointError, match=r"holds 2 adapters .*: first, second") as caught:
        Checkpoint(str(bases["llama"]), str(tmp_path / "both")).check()
    assert str(tmp_path / "both" / "first") in caught.value.hint


def test_tables_of_two_lengths_are_an_error(tmp_path: Path, bases: dict[str, Path]) -> None:
    folder = tmp_path / "adapter"
    trained(bases["llama"], folder, lora(modules_to_save=["embed_tokens", "lm_head"]))
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    key = "base_model.model.lm_head.weight"
    save_file({**tensors, key: tensors[key][:-1].clone()}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match="tables of 261 and 262 tokens"):
        Checkpoint(str(bases["llama"]), str(folder)).load("float32", "cpu")
