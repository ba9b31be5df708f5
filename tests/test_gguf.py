"""GGUF files as models: the same logits, tokens and rendered chat as what they were made from."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.gguf.settings import ARCHITECTURES
from safebasin.checkpoint.gguf.tokenizers import SPLITS
from safebasin.engines.template import Template
from safebasin.errors import CheckpointError
from support import pico, tiny_gguf

IDS = torch.arange(6, 60)[None]
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
OWN: dict[str, dict[str, Any]] = {
    "qwen3_moe": {**_EXPERTS, "head_dim": 8, "norm_topk_prob": True, "mlp_only_layers": []},
    "qwen2_moe": {**_EXPERTS, "shared_expert_intermediate_size": 24},
    "starcoder2": {"use_bias": True},
}
CHAT = [{"role": "user", "content": "How?\n\n1. At  2024\n"}]


def made(family: str, **changes: Any) -> Any:
    """A random model whose norms and biases are no ones and zeros."""
    if family in OWN:
        settings = {**pico._COMMON, "tie_word_embeddings": False, **OWN[family], **changes}
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**settings))
    else:
        model = pico.model(family, **changes)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "ln_" in name or name.endswith("bias"):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def loaded(path: Path) -> Any:
    return Checkpoint.parse(str(path)).load()[0]


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("llama", {}),
        ("llama", {"tied": True}),
        ("llama", {"attention_bias": False, "rope_parameters": {"rope_theta": 5e5}}),
        ("mistral", {}),
        ("qwen2", {}),
        ("qwen3", {}),
        ("qwen3", {"head_dim": 16, "rms_norm_eps": 1e-5}),
        ("gemma2", {"tied": True, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
        ("gemma3", {"tied": True}),
        ("phi3", {"sliding_window": 16}),
        ("gpt2", {"tied": True}),
        ("starcoder2", {}),
        ("qwen2_moe", {}),
        ("qwen3_moe", {}),
    ],
)
def test_the_logits_are_those_of_the_model_that_was_written(
    family: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    model = made(family, **changes)
    more = {}
    if "attn_logit_softcapping" in changes:
        more = {"gemma2.attn_logit_softcapping": 2.0, "gemma2.final_logit_softcapping": 3.0}
    if "sliding_window" in changes:
        more = {"phi3.attention.sliding_window": 16}
    found = loaded(tiny_gguf.write(model, tmp_path / "m.gguf", metadata=more))
    assert (logits(found) - logits(model)).abs().max() < 1e-5
    assert logits(model).std() > 0.1
    assert [n for n, _ in found.named_parameters()] == [n for n, _ in model.named_parameters()]


def test_every_architecture_that_is_read_is_held_against_what_was_written() -> None:
    tried = {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "gpt2", "starcoder2",
             "qwen2moe", "qwen3moe"}  # fmt: skip
    assert tried == set(ARCHITECTURES)


@pytest.mark.parametrize(
    ("family", "rope", "keys"),
    [
        ("llama", {"rope_type": "linear", "factor": 4.0}, {"type": "linear", "factor": 4.0}),
        (
            "qwen2",
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16},
            {"type": "yarn", "factor": 4.0, "original_context_length": 16},
        ),
    ],
)
def test_what_stretches_the_rotary_embedding_is_carried_over(
    family: str, rope: dict[str, Any], keys: dict[str, Any], tmp_path: Path
) -> None:
    plain = made(family)
    model = made(family, rope_parameters={"rope_theta": 10000.0, **rope})
    more = {f"{family}.rope.scaling.{key}": value for key, value in keys.items()}
    found = loaded(tiny_gguf.write(model, tmp_path / "m.gguf", metadata=more))
    assert (logits(found) - logits(model)).abs().max() < 1e-5
    assert (logits(plain) - logits(model)).abs().max() > 1e-3


def test_gemma3_stretches_its_whole_layers_only(tmp_path: Path) -> None:
    whole = {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}
    local = {"rope_type": "default", "rope_theta": 10000.0}
    model = made(
        "gemma3", tied=True, layer_types=["sliding_attention", "full_attention"],
        rope_parameters={"full_attention": whole, "sliding_attention": local},
    )  # fmt: skip
    more = {"gemma3.rope.scaling.type": "linear", "gemma3.rope.scaling.factor": 8.0}
    path = tiny_gguf.write(model, tmp_path / "m.gguf", metadata=more)
    rope = Checkpoint.parse(str(path)).config().rope_parameters
    assert rope["full_attention"] == whole
    assert rope["sliding_attention"] == local


def factors(factor: float) -> np.ndarray[Any, Any]:
    """Llama 3.1's rule for a head of 16, as its paper's code has it."""
    found = []
    for i in range(8):
        wave = 2 * math.pi * 500000.0 ** (2 * i / 16)
        smooth = (8192 / wave - 1) / 3
        found.append(
            1.0 if wave < 2048 else factor if wave > 8192
            else 1 / ((1 - smooth) / factor + smooth)
        )  # fmt: skip
    return np.array(found, dtype=np.float32)


def test_the_factors_of_llama_3_are_read_back(tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    }  # fmt: skip
    model = made("llama", hidden_size=64, head_dim=16, rope_parameters=rope)
    extra = {"rope_freqs.weight": factors(32.0)}
    path = tiny_gguf.write(model, tmp_path / "m.gguf", extra=extra)
    assert Checkpoint.parse(str(path)).config().rope_parameters == rope
    assert (logits(loaded(path)) - logits(model)).abs().max() < 1e-5
    odd = {"rope_freqs.weight": factors(32.0) * 1.5}
    path = tiny_gguf.write(model, tmp_path / "odd.gguf", extra=odd)
    with pytest.raises(CheckpointError, match=r"does not carry over: rope_freqs\.weight"):
        loaded(path)


def test_biases_of_a_llama_are_seen(tmp_path: Path) -> None:
    model = made("llama", attention_bias=True, mlp_bias=True)
    found = loaded(tiny_gguf.write(model, tmp_path / "m.gguf"))
    assert (logits(found) - logits(model)).abs().max() < 1e-5


def test_quantised_weights_are_what_gguf_makes_of_them(tmp_path: Path) -> None:
    model = made("qwen2", hidden_size=64, intermediate_size=96)
    path = tiny_gguf.write(model, tmp_path / "m.gguf", kind=tiny_gguf.q8)
    found = dict(loaded(path).named_parameters())
    kinds = gguf.GGMLQuantizationType
    for name, parameter in model.named_parameters():
        values = parameter.detach().numpy()
        if values.ndim > 1:
            values = gguf.dequantize(gguf.quantize(values, kinds.Q8_0), kinds.Q8_0)
        assert np.array_equal(found[name].numpy(), values), name
    spec = Checkpoint.parse(str(path)).spec()
    matrices = sum(p.ndim > 1 for p in model.parameters())
    rest = len(list(model.parameters())) - matrices
    assert spec["quantisation"] == {
        "format": "GGUF", "file": "m.gguf", "file_type": "ALL_F32",
        "tensors": {"Q8_0": matrices, "F32": rest},
    }  # fmt: skip
    assert spec["architecture"] == "Qwen2ForCausalLM"
    assert spec["parameters"] == sum(p.numel() for p in model.parameters())


def test_a_tensor_without_a_place_is_named(tmp_path: Path) -> None:
    extra = {"blk.1.attn_sinks.weight": np.ones(4, dtype=np.float32)}
    path = tiny_gguf.write(made("llama"), tmp_path / "m.gguf", extra=extra)
    with pytest.raises(CheckpointError, match=r"blk\.1\.attn_sinks\.weight"):
        loaded(path)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    model = made("llama")
    del model.model.layers[1].mlp.up_proj
    with pytest.raises(CheckpointError, match=r"lacks weights.*layers\.1\.mlp\.up_proj"):
        loaded(tiny_gguf.write(model, tmp_path / "m.gguf"))


def test_tokens_and_chat_are_those_of_the_tokenizer(tmp_path: Path) -> None:
    model = made("llama")
    folder = tiny_gguf.save(model, tmp_path / "folder")
    path = tiny_gguf.write(model, tmp_path / "m.gguf")
    ours, theirs = (Checkpoint.parse(str(one)).load_tokenizer() for one in (path, folder))
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.apply_chat_template(CHAT, tokenize=False) == theirs.apply_chat_template(
        CHAT, tokenize=False
    )
    for text in ("the  1234 the\n\n1.", "<|user|>hi</s>", " the", "日本"):
        assert ours(text)["input_ids"] == theirs(text)["input_ids"]
        assert ours.decode(ours(text)["input_ids"]) == text
    for token in ("bos_token_id", "eos_token_id", "pad_token_id"):
        assert getattr(ours, token) == getattr(theirs, token)


def test_whole_tokens_of_other_alphabets_stay_whole(tmp_path: Path) -> None:
    tokens = [t for t, _ in sorted(tiny_gguf.tokenizer().get_vocab().items(), key=lambda i: i[1])]
    tokens[3], tokens[4] = "<｜User｜>", "<think of it>"
    kinds = [3] * 4 + [4] + [1] * (len(tokens) - 5)
    path = tiny_gguf.write(
        made("llama"), tmp_path / "m.gguf",
        metadata={"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds},
    )  # fmt: skip
    tokenizer = Checkpoint.parse(str(path)).load_tokenizer()
    assert tokenizer.tokenize("a<｜User｜>b<think of it>") == ["a", tokens[3], "b", tokens[4]]
    assert tokenizer.decode([3, 4], skip_special_tokens=True) == "<think of it>"
    assert len(tokenizer) == len(tokens)


def test_a_sentencepiece_table_is_read_with_its_scores(tmp_path: Path) -> None:
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256))]
    words = ["▁", "t", "h", "e", "th", "the", "▁the", "▁t"]
    tokens = [*pieces, *words]
    scores = [0.0] * 259 + [-9.0, -9.0, -9.0, -9.0, -1.0, -2.0, -3.0, -4.0]
    path = tiny_gguf.write(
        made("llama", vocab_size=len(tokens)), tmp_path / "m.gguf",
        without=("tokenizer.ggml.merges", "tokenizer.ggml.pre"),
        metadata={
            "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": scores,
            "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * len(words),
        },
    )  # fmt: skip
    tokenizer = Checkpoint.parse(str(path)).load_tokenizer()
    assert tokenizer.tokenize("the the\n") == ["▁the", "▁the", "<0x0A>"]
    assert tokenizer("the")["input_ids"] == [1, 265]
    assert tokenizer("the</s>", add_special_tokens=False)["input_ids"] == [265, 2]


@pytest.mark.parametrize(
    ("pre", "text", "tokens"),
    [
        # Expected by the rule itself: what the published tokenizer.json of such a model has.
        ("gpt-2", "a\n\n12", ["a", "Ċ", "Ċ", "12"]),
        ("smollm", "a\n\n12", ["a", "ĊĊ", "1", "2"]),
        ("qwen2", "a\n\n12", ["a", "ĊĊ", "1", "2"]),
        ("llama-bpe", "a\n\n12", ["a", "ĊĊ", "12"]),
        ("tekken", "a\n\n12", ["a", "ĊĊ", "1", "2"]),
    ],
)
def test_text_is_split_as_the_file_says(
    pre: str, text: str, tokens: list[str], tmp_path: Path
) -> None:
    path = tiny_gguf.write(made("llama"), tmp_path / "m.gguf", pre=pre)
    assert Checkpoint.parse(str(path)).load_tokenizer().tokenize(text) == tokens


def test_an_unknown_way_of_splitting_is_refused_and_a_missing_one_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tiny_gguf.write(made("llama"), tmp_path / "m.gguf", pre="deepseek-v9")
    with pytest.raises(CheckpointError, match="not known here: 'deepseek-v9'"):
        Checkpoint.parse(str(path)).check()
    path = tiny_gguf.write(made("llama"), tmp_path / "n.gguf", pre=None)
    Checkpoint.parse(str(path)).check()
    assert "n.gguf does not say how its tokenizer splits text" in caplog.text
    assert "smollm" in SPLITS


def test_every_token_that_ends_a_turn_ends_an_answer(tmp_path: Path) -> None:
    tokens = [t for t, _ in sorted(tiny_gguf.tokenizer().get_vocab().items(), key=lambda i: i[1])]
    tokens[3], tokens[4] = "<|eot_id|>", "<|eom_id|>"
    path = tiny_gguf.write(
        made("llama"), tmp_path / "m.gguf",
        metadata={"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.eot_token_id": 5},
    )  # fmt: skip
    checkpoint = Checkpoint.parse(str(path))
    assert checkpoint.end_tokens() == (pico.EOS, 3, 4, 5)
    assert checkpoint.load()[0].generation_config.eos_token_id == [pico.EOS, 3, 4, 5]


def test_a_folder_with_one_file_is_that_file(tmp_path: Path) -> None:
    model = made("llama")
    folder = tmp_path / "tiny"
    folder.mkdir()
    path = tiny_gguf.write(model, folder / "q8.gguf")
    (folder / "config.json").write_text(json.dumps({"auto_map": {"AutoConfig": "x.Y"}}))
    (folder / "mmproj-tiny.gguf").write_bytes(b"no model")
    one, other = Checkpoint.parse(str(folder)), Checkpoint.parse(str(path))
    assert one.fingerprint() == other.fingerprint()
    assert other.name == "q8.gguf"
    tiny_gguf.write(model, folder / "q4.gguf")
    with pytest.raises(CheckpointError, match=r"holds 2 GGUF files: q4\.gguf, q8\.gguf") as caught:
        Checkpoint.parse(str(folder)).check()
    assert caught.value.hint == f"Name one, as in {folder}/q4.gguf."
    named = Checkpoint.parse(f"{folder}:q4.gguf")
    named.check()
    assert named.name == "q4.gguf"


def test_the_model_that_is_loaded_is_a_plain_one(tmp_path: Path) -> None:
    model, tokenizer = Checkpoint.parse(
        str(tiny_gguf.write(made("llama"), tmp_path / "m.gguf", kind=tiny_gguf.q8))
    ).load()
    model.save_pretrained(tmp_path / "saved")
    tokenizer.save_pretrained(tmp_path / "saved")
    again = loaded(tmp_path / "saved")
    assert torch.equal(logits(again), logits(model))
    assert "quantization_config" not in json.loads((tmp_path / "saved/config.json").read_text())


def test_a_prompt_is_encoded_alike(tmp_path: Path) -> None:
    model = made("llama")
    path = tiny_gguf.write(model, tmp_path / "m.gguf")
    folder = tiny_gguf.save(model, tmp_path / "folder")
    texts = [
        Template.of(Checkpoint.parse(str(one)).load_tokenizer()).render("Hm?")
        for one in (path, folder)
    ]
    assert texts[0] == texts[1]
    assert "<|user|>Hm?<|assistant|>" in texts[0]


SMALL = ["--seeds", "1", "--steps", "2", "--limit", "2", "--max-new-tokens", "4"]


def test_the_plan_the_manifest_and_the_card_say_how_the_weights_are_stored(
    tmp_path: Path, command: Any
) -> None:
    model = made("llama", hidden_size=64, intermediate_size=96)
    path = str(tiny_gguf.write(model, tmp_path / "tiny.gguf", kind=tiny_gguf.q8))
    run = tmp_path / "run"
    code, out, _ = command("scan", path, *SMALL, "--out", run, "--dry-run")
    assert code == 0
    stored = "GGUF ALL_F32 (Q8_0 in 16, F32 in 5 tensors)"
    assert f"stored   as {stored}; measured are the numbers they mean" in out
    assert command("scan", path, *SMALL, "--out", run)[0] == 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["identity"]["model"]["quantisation"]["tensors"] == {"Q8_0": 16, "F32": 5}
    assert str(tmp_path) not in json.dumps(manifest["identity"])
    assert "- **Weights stored as**: GGUF" in command("card", run)[1]


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_model_is_compared_with_its_quantised_file(
    family: str, tmp_path: Path, command: Any
) -> None:
    model = made(family, hidden_size=64, intermediate_size=96)
    if family == "mistral":
        model.config.sliding_window = None
    folder = tiny_gguf.save(model, tmp_path / "model")
    path = tiny_gguf.write(model, tmp_path / "tiny.gguf", kind=tiny_gguf.q8)
    given = ["--limit", "2", "--steps", "2", "--max-new-tokens", "4", "--out", tmp_path / "c"]
    _, out, _ = command("compare", folder, path, *given)
    assert "the tuned model is stored as GGUF ALL_F32" in out
    squared = changed = 0.0
    kinds = gguf.GGMLQuantizationType
    for parameter in model.parameters():
        values = parameter.detach().numpy()
        squared += float((values.astype(np.float64) ** 2).sum())
        if values.ndim > 1:
            there = gguf.dequantize(gguf.quantize(values, kinds.Q8_0), kinds.Q8_0)
            changed += float(((there - values).astype(np.float64) ** 2).sum())
    assert f"distance      {100 * math.sqrt(changed / squared):.2g} % of the weights' norm" in out


def test_an_adapter_is_merged_into_the_numbers_of_a_file(tmp_path: Path, command: Any) -> None:
    model = made("llama", hidden_size=64, intermediate_size=96)
    path = tiny_gguf.write(model, tmp_path / "tiny.gguf", kind=tiny_gguf.q8)
    pico.adapter(tiny_gguf.save(model, tmp_path / "model"), tmp_path / "adapter")
    source = f"{path}+{tmp_path / 'adapter'}"
    code, _, err = command("merge", source, tmp_path / "merged")
    assert code == 0, err
    assert torch.equal(logits(loaded(tmp_path / "merged")), logits(loaded(Path(source))))
    record = json.loads((tmp_path / "merged/merge.json").read_text())
    assert record["base"]["quantisation"]["format"] == "GGUF"
    assert record["base"]["name"] == "tiny.gguf"


def test_reading_takes_little_memory_and_leaves_nothing_behind(tmp_path: Path) -> None:
    model = made("llama", hidden_size=512, intermediate_size=2048, num_hidden_layers=4)
    path = tiny_gguf.write(model, tmp_path / "tiny.gguf", kind=tiny_gguf.q8)
    numbers = 4 * sum(p.numel() for p in model.parameters())
    code = f"""
import resource
from transformers import LlamaForCausalLM, modeling_gguf_pytorch_utils
from safebasin.checkpoint import Checkpoint
checkpoint = Checkpoint.parse({str(path)!r})
checkpoint.check()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
checkpoint.load()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    here = tmp_path / "here"
    here.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(here)},
    )
    assert int(done.stdout) * 1024 < 2.9 * numbers
    assert list(here.iterdir()) == []
