"""A merged folder holds what PEFT computes, comes with its texts, and is whole or does not load."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.adapters import adapter_digest
from safebasin.checkpoint.merging import MERGE, merge, merge_source
from safebasin.directions import Adapter
from safebasin.errors import CheckpointError, RunError, UsageError
from safebasin.weights import Weights
from support import pico

IDS = torch.tensor([[1, 4, 40, 50, 60, 70, 5]])
TEXTS = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def trained(base: Path, folder: Path, config: Any) -> torch.Tensor:
    """Save an adapter with random weights; returns the logits of PEFT's own unmerged model."""
    from peft import get_peft_model

    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.manual_seed(5)
        model, _ = pico.load(base)
        wrapped = get_peft_model(model, config)
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        wrapped.save_pretrained(folder)
        wrapped.eval()
        return wrapped(IDS).logits


def lora(**settings: Any) -> Any:
    from peft import LoraConfig

    chosen = {"r": 2, "lora_alpha": 6, "target_modules": ["q_proj", "down_proj"], **settings}
    return LoraConfig(task_type="CAUSAL_LM", **chosen)


def other_kind(name: str) -> Any:
    import peft

    targets = {"target_modules": ["q_proj", "down_proj"]}
    match name:
        case "IA3":
            return peft.IA3Config(
                task_type="CAUSAL_LM", feedforward_modules=["down_proj"], **targets
            )
        case "LoHa":
            return peft.LoHaConfig(task_type="CAUSAL_LM", r=2, **targets)
    return peft.LoKrConfig(task_type="CAUSAL_LM", r=2, **targets)


def reloaded(folder: Path) -> torch.Tensor:
    """The logits of a folder by transformers alone."""
    model, _ = pico.load(folder)
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("llama", {}),
        ("llama", {"use_rslora": True, "r": 4}),
        ("llama", {"use_dora": True}),
        ("llama", {"alpha_pattern": {"q_proj": 1}, "rank_pattern": {"down_proj": 4}}),
        ("llama", {"modules_to_save": ["lm_head", "embed_tokens"]}),
        ("llama", {"target_modules": ["embed_tokens", "q_proj"]}),
        ("llama", {"trainable_token_indices": [40, 50]}),
        ("qwen2", {"target_modules": ["q_proj"], "bias": "lora_only"}),
        ("gpt2", {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}),
    ],
    ids=["plain", "rs", "dora", "patterns", "whole", "embedding", "tokens", "bias", "conv1d"],
)
def test_a_merged_folder_is_what_peft_computes(tmp_path: Path, family: str, settings: Any) -> None:
    base = pico.save(tmp_path / "base", family)
    expected = trained(base, tmp_path / "adapter", lora(**settings))
    before = reloaded(base)
    merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / "merged")
    found = reloaded(merged.folder)
    assert (expected - before).abs().max() > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)
    assert not merged.untied
    assert not [*merged.folder.glob("*.bin"), *merged.folder.glob("adapter*")]


@pytest.mark.parametrize("name", ["IA3", "LoHa", "LoKr"])
def test_other_kinds_of_adapters_are_merged(tmp_path: Path, name: str) -> None:
    base = pico.save(tmp_path / "base")
    expected = trained(base, tmp_path / "adapter", other_kind(name))
    merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / "merged")
    torch.testing.assert_close(reloaded(merged.folder), expected, rtol=1e-5, atol=2e-5)


def test_the_values_are_those_of_the_direction_and_of_a_few_lines(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    trained(base, tmp_path / "adapter", lora())
    merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / "merged")
    stored = load_file(merged.folder / "model.safetensors")
    start = load_file(base / "model.safetensors")
    factors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    model, _ = pico.load(base)
    weights = Weights(model, exclude_norms=False)
    with weights.displaced([(1.0, Adapter(tmp_path / "adapter", weights))]):
        for name, tensor in model.named_parameters():
            a, b = (
                factors.get(f"base_model.model.{name.removesuffix('weight')}lora_{k}.weight")
                for k in "AB"
            )
            exact, larger = start[name].double(), start[name].double().abs()
            if a is not None and b is not None:
                exact = exact + 3 * (b.double() @ a.double())  # lora_alpha / r
                # What is summed may be larger than the sum, and so is its rounding.
                larger = larger + 3 * (b.double().abs() @ a.double().abs())
            unit = 2.0**-24 * larger  # of one float32 rounding
            # Two products with their sum, the scaling, and the sum with the base.
            assert ((stored[name].double() - exact).abs() <= 4 * unit).all(), name
            # The direction is rounded twice: the step, and its sum with the base.
            assert ((tensor.double() - exact).abs() <= 2 * unit).all(), name
            assert torch.equal(stored[name], start[name]) == (a is None), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_sum_is_cast_once_to_the_dtype_of_the_base(tmp_path: Path, dtype: Any) -> None:
    base = pico.save(tmp_path / "base", dtype=dtype)
    adapter = pico.adapter(base, tmp_path / "adapter")
    source = Checkpoint(str(base), str(adapter))
    merged = merge(source, tmp_path / "merged")
    exact = load_file(merge(source, tmp_path / "exact", "float32").folder / "model.safetensors")
    stored = load_file(merged.folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    for name, tensor in exact.items():
        assert tensor.dtype == torch.float32
        assert torch.equal(stored[name], tensor.to(dtype)), name
    config = json.loads((merged.folder / "config.json").read_text())
    assert config["dtype"] == merged.dtype == str(dtype).removeprefix("torch.")


def test_the_dtype_of_a_config_without_one_is_that_of_the_weights(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base", dtype=torch.bfloat16)
    edit(base / "config.json", dtype=None)
    assert Checkpoint(str(base)).stored_dtype() == "bfloat16"


@pytest.mark.parametrize(
    "settings",
    [
        {"modules_to_save": ["lm_head"]},
        {"target_modules": ["lm_head", "q_proj"]},
        {"target_modules": ["embed_tokens", "q_proj"]},
    ],
    ids=["head whole", "head", "table"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tied_tables_are_untied_where_one_changes(
    tmp_path: Path, settings: Any, dtype: str
) -> None:
    base = pico.save(tmp_path / "base", tied=True)
    expected = trained(base, tmp_path / "adapter", lora(**settings))
    merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / "out", dtype)
    assert merged.untied
    assert "tied" in merged.notes[0]
    assert {"lm_head.weight", "model.embed_tokens.weight"} <= set(
        load_file(merged.folder / "model.safetensors")
    )
    close = {"rtol": 1e-5, "atol": 2e-5} if dtype == "float32" else {"rtol": 0.1, "atol": 0.1}
    torch.testing.assert_close(reloaded(merged.folder).float(), expected, **close)


def test_tied_tables_stay_tied_where_none_changes(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base", "gemma3", tied=True)
    adapter = pico.adapter(base, tmp_path / "adapter")
    for dtype in ("float32", "bfloat16"):
        merged = merge(Checkpoint(str(base), str(adapter)), tmp_path / dtype, dtype)
        assert not merged.untied
        assert set(load_file(merged.folder / "model.safetensors")) == set(
            load_file(base / "model.safetensors")
        )


def test_rows_of_tokens_change_in_both_of_two_tied_tables(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base", tied=True)
    expected = trained(base, tmp_path / "adapter", lora(trainable_token_indices=[40, 50]))
    merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / "out")
    assert not merged.untied
    torch.testing.assert_close(reloaded(merged.folder), expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["embed_tokens", "q_proj"], "ensure_weight_tying": True},
        {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
        {"target_modules": ["lm_head"], "trainable_token_indices": {"embed_tokens": [40, 50]}},
        {"trainable_token_indices": {"embed_tokens": [40], "lm_head": [50, 60]}},
    ],
    ids=["factors", "whole", "rows inside factors", "other rows"],
)
def test_an_adapter_of_both_tied_tables_at_once_is_what_peft_computes(
    tmp_path: Path, settings: Any
) -> None:
    base = pico.save(tmp_path / "base", tied=True)
    expected = trained(base, tmp_path / "adapter", lora(**settings))
    merged = merge(Checkpoint(str(base), str(tmp_path / "adapter")), tmp_path / "out")
    torch.testing.assert_close(reloaded(merged.folder), expected, rtol=1e-5, atol=2e-5)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_texts_come_along_byte_for_byte_and_the_record_says_from_what(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    # Published settings that transformers loads and refuses to save.
    edit(base / "generation_config.json", temperature=0.6, top_p=0.9, do_sample=False)
    adapter = pico.adapter(base, tmp_path / "adapter")
    out = tmp_path / "some" / "where"
    merged = merge(Checkpoint(str(base), str(adapter)), out, command=["safebasin", "merge", "x"])
    for name in TEXTS:
        assert (out / name).read_bytes() == (base / name).read_bytes(), name
    record = json.loads((out / MERGE).read_text())
    assert record["base"]["fingerprint"] == Checkpoint(str(base)).fingerprint()
    assert record["adapter"]["sha256"] == adapter_digest(adapter)
    assert record["fingerprint"] == merged.fingerprint == Checkpoint(str(out)).fingerprint()
    assert (record["adapter"]["kind"], record["adapter"]["r"]) == ("LORA", 2)
    assert record["versions"]["peft"]
    assert record["command"] == ["safebasin", "merge", "x"]
    assert str(tmp_path) not in json.dumps({**record, "adapter": None})
    assert {path.name for path in out.iterdir()} == {
        *TEXTS, MERGE, "config.json", "model.safetensors",
    }  # fmt: skip


def test_end_tokens_that_only_the_loaded_model_has_are_kept(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    source = Checkpoint(str(base), str(pico.adapter(base, tmp_path / "adapter")))
    model, _ = source.load("float32", "cpu")
    model.generation_config.eos_token_id = [pico.EOS, 5]
    merged = merge(source, tmp_path / "merged", loaded=model)
    before, after = (
        json.loads((folder / "generation_config.json").read_text())
        for folder in (base, merged.folder)
    )
    assert after == {**before, "eos_token_id": [pico.EOS, 5]}
    assert "end tokens" in merged.notes[0]


def test_settings_that_leave_the_end_to_the_config_stay_as_they_are(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    (base / "generation_config.json").write_text('{"max_new_tokens": 7}', encoding="utf-8")
    source = Checkpoint(str(base), str(pico.adapter(base, tmp_path / "adapter")))
    merged = merge(source, tmp_path / "merged")
    kept = (merged.folder / "generation_config.json").read_text(encoding="utf-8")
    assert (kept, merged.notes) == ('{"max_new_tokens": 7}', ())


def test_what_differs_between_base_and_adapter_is_noted(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    adapter = pico.adapter(base, tmp_path / "adapter")
    pico.tokenizer().save_pretrained(adapter)
    source = Checkpoint(str(base), str(adapter))
    assert merge(source, tmp_path / "same").notes == ()
    edit(adapter / "adapter_config.json", base_model_name_or_path="org/other")
    (adapter / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    words = json.loads((adapter / "tokenizer.json").read_text(encoding="utf-8"))
    words["added_tokens"].append({**words["added_tokens"][0], "id": 999, "content": "<new>"})
    (adapter / "tokenizer.json").write_text(json.dumps(words), encoding="utf-8")
    about, template, tokens = merge(source, tmp_path / "other").notes
    assert "'org/other'" in about
    assert "another chat template" in template
    assert "other tokens" in tokens


def test_an_adapter_alone_is_merged_into_the_folder_that_it_records(
    tmp_path: Path, monkeypatch: Any
) -> None:
    base = pico.save(tmp_path / "base")
    adapter = pico.adapter(base, tmp_path / "adapter")
    assert merge_source(str(adapter)).folders == (base, adapter)
    edit(adapter / "adapter_config.json", base_model_name_or_path="../base")
    monkeypatch.chdir(tmp_path)
    assert merge_source("adapter").folders[0].samefile(base)
    edit(adapter / "adapter_config.json", base_model_name_or_path="testbed:aligned")
    assert merge_source(str(adapter)).base == "testbed:aligned"
    edit(adapter / "adapter_config.json", base_model_name_or_path="org/model")
    with pytest.raises(CheckpointError, match="trained on 'org/model'") as caught:
        merge_source(str(adapter))
    assert f"org/model+{adapter}" in caught.value.hint
    edit(adapter / "adapter_config.json", base_model_name_or_path=None)
    with pytest.raises(CheckpointError, match="records no base"):
        merge_source(str(adapter))
    with pytest.raises(UsageError, match="no adapter to merge"):
        merge_source(str(base))


def test_a_merge_that_fails_leaves_nothing(tmp_path: Path) -> None:
    base = pico.save(tmp_path / "base")
    adapter = pico.adapter(base, tmp_path / "adapter")
    source = Checkpoint(str(base), str(adapter))
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match=r"taken' is not empty\."):
        merge(source, taken)
    with pytest.raises(RunError, match=r"notes\.txt' is a file"):
        merge(source, taken / "notes.txt")
    assert [path.name for path in taken.iterdir()] == ["notes.txt"]
    with pytest.raises(UsageError, match="Unknown dtype 'int4'"):
        merge(source, tmp_path / "out", "int4")
    other = pico.save(tmp_path / "other", hidden_size=64)
    with pytest.raises(CheckpointError, match="does not fit the base"):
        merge(Checkpoint(str(other), str(adapter)), tmp_path / "out")
    weights = load_file(adapter / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = math.nan
    save_file(weights, adapter / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"NaN|finite"):
        merge(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(CheckpointError):
        merge(source, empty)
    assert not list(empty.iterdir())


KILLED = """
import os, sys
from pathlib import Path
from safebasin.checkpoint.new_folder import new_folder, put_in_place

moves = int(sys.argv[2])
rename = Path.rename
def until(self, target):
    global moves
    if not moves:
        os._exit(9)
    moves -= 1
    return rename(self, target)
Path.rename = until
with new_folder(Path(sys.argv[1]), 0) as work:
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        (work / name).write_text("{}")
    put_in_place(work, Path(sys.argv[1]))
"""


@pytest.mark.parametrize("moves", [0, 2, 3])
def test_what_a_killed_merge_leaves_does_not_load(tmp_path: Path, moves: int) -> None:
    out = tmp_path / "merged"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), str(moves)], check=False)
    whole = moves == 3
    assert done.returncode == (0 if whole else 9)
    assert (out / "config.json").exists() == whole
    if whole:
        assert {p.name for p in out.iterdir()} == {
            "config.json", "model.safetensors", "tokenizer.json",
        }  # fmt: skip
        return
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        Checkpoint(str(out)).check()
    base = pico.save(tmp_path / "base")
    source = Checkpoint(str(base), str(pico.adapter(base, tmp_path / "adapter")))
    if moves:
        with pytest.raises(RunError, match="not empty"):
            merge(source, out)
    else:
        merge(source, out)
        assert reloaded(out).isfinite().all()
        assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_on_the_command_line(tmp_path: Path, command: Any) -> None:
    base = pico.save(tmp_path / "base")
    adapter = pico.adapter(base, tmp_path / "adapter")
    out = tmp_path / "merged"
    code, text, err = command("merge", f"{base}+{adapter}", out)
    assert code == 0, err
    assert "adapter, LoRA of rank 2" in text
    assert "float32, summed in float32 and cast once" in text
    code, text, _ = command("merge", adapter, tmp_path / "again", "--dtype", "float16", "--json")
    assert code == 0
    assert json.loads(text)["dtype"] == "float16"
    code, _, err = command("merge", f"{base}+{adapter}", out)
    assert (code, err.count("Traceback")) == (1, 0)
    assert "is not empty" in err
    code, _, err = command("merge", base, tmp_path / "third")
    assert code == 2
    assert "no adapter to merge" in err
