"""Checkpoints: what they are, and that an unsafe or damaged one is refused before it is opened."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import errors as hub_errors
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from safebasin.checkpoint import Checkpoint
from safebasin.errors import CheckpointError, EngineError, UsageError
from safebasin.weights import Weights
from support import pico


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("asked the hub")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)


@pytest.fixture
def folder(tmp_path):
    return pico.save(tmp_path / "model")


@pytest.fixture
def sharded(tmp_path):
    return pico.save(tmp_path / "sharded", shard="20KB")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refuses(folder, match, **options):
    """The folder is refused by check() and by load(), with a hint."""
    for act in (Checkpoint.check, Checkpoint.load):
        with pytest.raises(CheckpointError, match=match) as caught:
            act(Checkpoint(str(folder), **options))
        assert caught.value.hint
        assert "\n" not in str(caught.value)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/model", ("org/model", None, None, None)),
        ("org/model@v1.0", ("org/model", None, "v1.0", None)),
        ("org/model+me/lora", ("org/model", "me/lora", None, None)),
        ("org/model+me/lora@abc", ("org/model", "me/lora", None, "abc")),
        ("org/model@v1+me/lora@abc", ("org/model", "me/lora", "v1", "abc")),
        ("org/model@v1+me/lora", ("org/model", "me/lora", "v1", None)),
        ("testbed:harmful-10", ("testbed:harmful-10", None, None, None)),
        ("testbed:aligned+me/lora", ("testbed:aligned", "me/lora", None, None)),
    ],
)
def test_parse(text, expected):
    made = Checkpoint.parse(text)
    assert (made.base, made.adapter, made.revision, made.adapter_revision) == expected
    assert made.trust_remote_code is False
    assert Checkpoint.parse(text, trust_remote_code=True).trust_remote_code is True


def test_an_existing_path_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a+b", "a+b@c", "d@e", "plain", "x+y"):
        (tmp_path / name).mkdir()

    def parts(text):
        made = Checkpoint.parse(text)
        return made.base, made.adapter, made.revision, made.adapter_revision

    assert parts("a+b") == ("a+b", None, None, None)
    assert parts("a+b@c") == ("a+b@c", None, None, None)
    assert parts("d@e") == ("d@e", None, None, None)
    assert parts("a+b+org/lora@1") == ("a+b", "org/lora", None, "1")
    assert parts("plain+x+y") == ("plain", "x+y", None, None)
    assert parts(f"{tmp_path}/x+y+{tmp_path}/d@e") == (
        f"{tmp_path}/x+y",
        f"{tmp_path}/d@e",
        None,
        None,
    )


@pytest.mark.parametrize("text", ["", "+lora", "model+", "model@", "@v1", "a+b@"])
def test_half_a_name_is_an_error(text):
    with pytest.raises(UsageError, match="does not name a model"):
        Checkpoint.parse(text)


def test_a_local_folder_has_no_revision(folder):
    with pytest.raises(UsageError, match="no revision 'main'"):
        Checkpoint.parse(f"{folder}@main")


def test_display_names(folder, tmp_path):
    lora = pico.adapter(folder, tmp_path / "lora")
    assert Checkpoint.parse(f"{folder}+{lora}").name == "model+lora"
    assert Checkpoint.parse("org/model@v1").name == "org/model"


# --- loading --------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gemma3", "gpt2", "phi"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_good_checkpoint_loads(tmp_path, family, dtype):
    folder = pico.save(tmp_path / "model", family, tied=True)
    checkpoint = Checkpoint.parse(str(folder))
    checkpoint.check()
    model, tokenizer = checkpoint.load(dtype, "cpu")
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert {p.dtype for p in model.parameters()} == {getattr(torch, dtype)}
    expected = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    assert Weights(model).checksum() == Weights(expected).checksum()
    assert tokenizer.decode(tokenizer("hé 12")["input_ids"]) == "hé 12"


def test_shards_load_as_one(folder, sharded):
    one, many = (Checkpoint(str(path)).load("float32", "cpu")[0] for path in (folder, sharded))
    assert Weights(one).checksum() == Weights(many).checksum()
    assert len(list(sharded.glob("*.safetensors"))) > 2


def test_dtype_and_device(folder):
    checkpoint = Checkpoint(str(folder))
    assert checkpoint.load(device="cpu")[0].dtype == torch.float32
    assert checkpoint.load(torch.float16, torch.device("cpu"))[0].dtype == torch.float16
    with pytest.raises(UsageError, match="int8"):
        checkpoint.load("int8", "cpu")
    with pytest.raises(UsageError, match="abacus"):
        checkpoint.load("float32", "abacus")
    with pytest.raises(EngineError, match="cuda:99"):
        checkpoint.load("float32", "cuda:99")


def test_loading_is_silent(folder, capfd):
    Checkpoint(str(folder)).load("float32", "cpu")
    assert capfd.readouterr() == ("", "")


def test_an_adapter_is_merged_in_float32_and_cast_once(folder, tmp_path):
    lora = pico.adapter(folder, tmp_path / "lora")
    base, _ = pico.load(folder)
    factors = load_file(lora / "adapter_model.safetensors")
    exact, _ = Checkpoint.parse(f"{folder}+{lora}").load("float32", "cpu")
    rounded, _ = Checkpoint.parse(f"{folder}+{lora}").load("bfloat16", "cpu")
    assert type(exact) is type(base)
    assert not any("lora" in name for name, _ in exact.named_parameters())
    changed = 0
    for name, tensor in base.named_parameters():
        prefix = f"base_model.model.{name.removesuffix('.weight')}"
        expected = tensor
        if f"{prefix}.lora_A.weight" in factors:
            a, b = (factors[f"{prefix}.lora_{k}.weight"] for k in "AB")
            expected = tensor + 2 * b @ a  # lora_alpha / r
            changed += 1
        torch.testing.assert_close(exact.get_parameter(name).data, expected.data)
        own = exact.get_parameter(name)
        assert torch.equal(rounded.get_parameter(name), own.to(torch.bfloat16))
    assert changed == 4
    assert rounded.config.dtype == rounded.dtype == torch.bfloat16


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_an_adapter_that_changes_nothing_changes_nothing(tmp_path, family):
    base = pico.save(tmp_path / "model", family, tied=True)
    lora = pico.adapter(base, tmp_path / "lora", scale=0.0)
    for dtype in ("float32", "bfloat16", "float16"):
        straight, _ = Checkpoint(str(base)).load(dtype, "cpu")
        merged, _ = Checkpoint(str(base), str(lora)).load(dtype, "cpu")
        assert Weights(merged).checksum() == Weights(straight).checksum()
        # Rotary frequencies stay in float32 whatever the dtype of the weights.
        dtypes = {name: buffer.dtype for name, buffer in straight.named_buffers()}
        assert torch.float32 in dtypes.values()
        assert {name: buffer.dtype for name, buffer in merged.named_buffers()} == dtypes


@pytest.mark.parametrize(
    ("family", "changes", "reason"),
    [
        ("llama", {"hidden_size": 64}, "size mismatch"),
        ("llama", {"num_hidden_layers": 1}, "counterpart"),
        ("llama", {"num_hidden_layers": 3}, "counterpart"),
        ("gpt2", {}, "Target modules"),
    ],
)
def test_an_adapter_of_another_base_is_an_error(tmp_path, family, changes, reason):
    lora = pico.adapter(pico.save(tmp_path / "trained-on"), tmp_path / "lora")
    other = pico.save(tmp_path / "other", family, **changes)
    with pytest.raises(CheckpointError, match=f"does not fit.*{reason}"):
        Checkpoint.parse(f"{other}+{lora}").load("float32", "cpu")


@pytest.mark.parametrize("how", ["targets", "saved_whole"])
def test_an_adapter_of_one_of_two_tied_tables_gives_each_its_own_values(tmp_path, how):
    base = pico.save(tmp_path / "tied", tied=True)
    what = {"targets": ["lm_head"]} if how == "targets" else {"saved_whole": ["lm_head"]}
    lora = pico.adapter(base, tmp_path / "lora", **what)
    if how == "saved_whole":
        path = lora / "adapter_model.safetensors"
        tensors = load_file(path)
        tensors["base_model.model.lm_head.weight"] *= 2
        save_file(tensors, path, {"format": "pt"})
    start, _ = pico.load(base)
    for dtype in ("float32", "bfloat16"):
        model, _ = Checkpoint.parse(f"{base}+{lora}").load(dtype, "cpu")
        table, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        assert torch.equal(table.float(), start.lm_head.weight.to(table.dtype).float())
        assert not torch.equal(head, table)


def test_an_adapter_by_itself_names_what_to_write(folder, tmp_path):
    lora = pico.adapter(folder, tmp_path / "lora")
    with pytest.raises(CheckpointError, match="is an adapter") as caught:
        Checkpoint(str(lora)).check()
    assert f"{folder}+{lora}" in caught.value.hint
    shutil.copy(lora / "adapter_config.json", folder)
    refuses(folder, "both a model and an adapter")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"peft_type": "PROMPT_TUNING"}, "cannot be merged"),
        ({"peft_type": "PREFIX_TUNING"}, "virtual tokens before every prompt"),
        ({"peft_type": "XLORA"}, "cannot be merged.*several adapters anew at every token"),
        ({"peft_type": "NEWER"}, "cannot be merged"),
        ({"peft_type": ["LORA"]}, "has a list at peft_type, where a text is expected"),
        ({"task_type": "SEQ_CLS"}, "another task than writing text"),
        ({"alora_invocation_tokens": [5]}, "activated LoRA"),
        ({"init_lora_weights": "pissa_niter_16"}, "random decomposition"),
        ({"init_lora_weights": "corda"}, "by data that it does not hold"),
        ({"init_lora_weights": "loftq"}, "quantised copy"),
        ({"megatron_config": {}, "megatron_core": "antigravity"}, "import a Python module"),
        ({"auto_map": {"a": "b"}}, "own code"),
    ],
)
def test_adapters_that_are_more_than_a_change_of_weights(folder, tmp_path, changes, match):
    lora = pico.adapter(folder, tmp_path / "lora")
    edit(lora / "adapter_config.json", **changes)
    refuses(folder, match, adapter=str(lora))


def test_incomplete_weights_are_an_error(folder):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["lm_head.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks weights.*lm_head\.weight"):
        Checkpoint(str(folder)).load("float32", "cpu")


def test_weights_of_another_shape_are_an_error(folder):
    edit(folder / "config.json", vocab_size=300)
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        Checkpoint(str(folder)).load("float32", "cpu")


@pytest.mark.parametrize(
    "changes",
    [{"model_type": "t5", "architectures": ["T5Model"]}, {"model_type": "never-heard-of"}],
)
def test_other_architectures_are_an_error(folder, changes):
    edit(folder / "config.json", **changes)
    with pytest.raises(CheckpointError, match="no causal language model"):
        Checkpoint(str(folder)).load("float32", "cpu")


# --- what is refused before anything is opened ----------------------------------------------------


def test_missing_things(tmp_path, folder):
    refuses(tmp_path / "nothing", "no folder")
    refuses(folder / "config.json", "is a file")
    empty = tmp_path / "empty"
    empty.mkdir()
    refuses(empty, r"no config\.json")
    (folder / "tokenizer.json").unlink()
    refuses(folder, "no tokenizer")


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"[" * 100_000, b"\xff\xfe"])
def test_configs_that_are_no_json_object(folder, content):
    (folder / "config.json").write_bytes(content)
    refuses(folder, r"config\.json")


class Sentinel:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "weights.pkl"])
def test_pickles_are_not_opened(folder, tmp_path, name):
    (folder / "model.safetensors").unlink()
    sentinel = tmp_path / "touched"
    (folder / name).write_bytes(pickle.dumps(Sentinel(str(sentinel))))
    refuses(folder, "pickle")
    assert not sentinel.exists()


def test_pickled_adapters_are_not_opened(folder, tmp_path):
    lora = pico.adapter(folder, tmp_path / "lora")
    (lora / "adapter_model.safetensors").unlink()
    sentinel = tmp_path / "touched"
    (lora / "adapter_model.bin").write_bytes(pickle.dumps(Sentinel(str(sentinel))))
    refuses(folder, "pickle", adapter=str(lora))
    assert not sentinel.exists()


def test_a_pickle_beside_safetensors_is_left_alone(folder, tmp_path):
    sentinel = tmp_path / "touched"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Sentinel(str(sentinel))))
    Checkpoint(str(folder)).load("float32", "cpu")
    assert not sentinel.exists()


def write_header(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(path.read_bytes() + b"more"),
        lambda path: path.write_bytes(
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
        ),
        lambda path: write_header(path, {}, length=2**40),
        lambda path: write_header(path, {}, length=2**63),
        lambda path: write_header(path, b"[1, 2"),
        lambda path: write_header(path, {"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, bytes(12)),
        lambda path: write_header(path, {"a": entry([2], 4, 12)}, bytes(12)),
        lambda path: write_header(path, {"a": entry([2**60], 0, 8)}, bytes(8)),
        lambda path: write_header(path, {"a": entry([2**60, 0], 0, 0)}),
        lambda path: write_header(path, {"a": entry([2**32, 2**32], 0, 0)}),
        lambda path: write_header(path, {"a": entry([3], 0, 8)}, bytes(8)),
        lambda path: write_header(path, {"a": entry([-1], 0, 4)}, bytes(4)),
    ],
)
def test_damaged_weights_are_named(folder, sharded, damage):
    damage(folder / "model.safetensors")
    refuses(folder, r"model\.safetensors")
    shard = sorted(sharded.glob("*.safetensors"))[1]
    damage(shard)
    refuses(sharded, shard.name)


def test_the_check_reads_no_tensor(folder, monkeypatch):
    import safetensors

    class Headers:
        def __init__(self, path, framework):
            self._file = safetensors._safetensors_rust.safe_open(path, framework)

        def __enter__(self):
            return self

        def __exit__(self, *args): ...

        def keys(self):
            return self._file.keys()

        def get_slice(self, name):
            piece = self._file.get_slice(name)
            return type("Slice", (), {k: getattr(piece, k) for k in ("get_shape", "get_dtype")})

    monkeypatch.setattr(safetensors, "safe_open", Headers)
    Checkpoint(str(folder)).check()


def test_checking_needs_no_torch(folder):
    code = (
        "import sys\n"
        "from safebasin.checkpoint import Checkpoint\n"
        "Checkpoint.parse(sys.argv[1]).check()\n"
        "Checkpoint.parse(sys.argv[1]).spec()\n"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules), sorted(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)


@pytest.mark.parametrize(
    "name",
    ["../../x.safetensors", "/etc/x.safetensors", "a/b.safetensors", "a\\b.safetensors", "..", "",
     "x\0.safetensors", "C:x.safetensors", "pytorch_model.bin", 7, None, ["a.safetensors"]],
)  # fmt: skip
def test_an_index_cannot_lead_outside(tmp_path, sharded, name):
    outside = tmp_path.parent / "x.safetensors"
    shutil.copy(next(sharded.glob("*.safetensors")), outside)
    index = sharded / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    content["weight_map"]["lm_head.weight"] = name
    index.write_text(json.dumps(content))
    refuses(sharded, r"index\.json names")
    outside.unlink()


def test_every_shard_must_be_there(sharded):
    shards = sorted(sharded.glob("*.safetensors"))
    index = sharded / "model.safetensors.index.json"
    whole = index.read_text()
    content = json.loads(whole)
    content["weight_map"]["promised.weight"] = shards[0].name
    index.write_text(json.dumps(content))
    refuses(sharded, r"promised\.weight")
    edit(index, weight_map={})
    refuses(sharded, "weight_map")
    index.write_text(whole)
    shards[0].unlink()
    refuses(sharded, f"{shards[0].name} is missing")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_links_out_of_the_folder_are_refused(folder, tmp_path, name):
    outside = tmp_path / "outside"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)
    refuses(folder, "link to a file outside")


def test_links_within_the_hub_cache_are_followed(folder, tmp_path):
    repository = tmp_path / "hub" / "models--org--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    for i, file in enumerate(sorted(folder.iterdir())):
        blob = repository / "blobs" / f"blob{i}"
        if file.name == "model.safetensors":  # a blob that several repositories share
            shared = tmp_path / "hub" / "blobs" / "ab" / "abcd"
            shared.parent.mkdir(parents=True)
            shutil.copy(file, shared)
            blob.symlink_to(os.path.relpath(shared, blob.parent))
        else:
            shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    checkpoint = Checkpoint(str(snapshot))
    checkpoint.check()
    assert checkpoint.spec()["commit"] == "0" * 40
    assert checkpoint.fingerprint() == Checkpoint(str(folder)).fingerprint()
    secret = tmp_path / "hub" / "models--org--other" / "blobs" / "secret"
    secret.parent.mkdir(parents=True)
    shutil.copy(folder / "config.json", secret)
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to(secret)
    refuses(snapshot, "link to a file outside")


@pytest.mark.parametrize(
    "name",
    ["config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json",
     "generation_config.json"],
)  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_remote_code_is_refused(folder, tmp_path, name, nested):
    sentinel = tmp_path / "touched"
    (folder / "evil.py").write_text(f"open({str(sentinel)!r}, 'w')\n")
    path = folder / name
    if not path.exists():
        path.write_text("{}")
    code = {"auto_map": {"AutoModelForCausalLM": "evil.Evil", "AutoTokenizer": ["evil.T", None]}}
    edit(path, **({"parts": [{"inner": code}]} if nested else code))
    refuses(folder, rf"{name} asks to run the checkpoint's own code")
    assert not sentinel.exists()
    Checkpoint(str(folder), trust_remote_code=True).check()


def test_the_leave_to_run_code_is_recorded_and_handed_to_no_adapter(folder, tmp_path, monkeypatch):
    import transformers

    lora = pico.adapter(folder, tmp_path / "lora")
    seen = []
    for auto in (transformers.AutoModelForCausalLM, transformers.AutoTokenizer):
        whole = auto.from_pretrained

        def spy(*args, whole=whole, **options):
            seen.append(options["trust_remote_code"])
            return whole(*args, **options)

        monkeypatch.setattr(auto, "from_pretrained", spy)
    for leave in (False, True):
        checkpoint = Checkpoint(str(folder), trust_remote_code=leave)
        checkpoint.load("float32", "cpu")
        assert seen == [leave, leave]
        assert checkpoint.spec()["trust_remote_code"] is leave
        seen.clear()
    edit(lora / "adapter_config.json", auto_map={"AutoModel": "evil.Evil"})
    refuses(folder, "own code", adapter=str(lora), trust_remote_code=True)


def test_quantised_weights_are_refused(folder):
    path = folder / "config.json"
    config = path.read_text()
    edit(path, quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True})
    refuses(folder, "quantised")
    path.write_text(config)
    edit(path, text_config={"quantization_config": {"quant_method": "fp8"}})
    refuses(folder, "quantised")
    path.write_text(config)
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"].to(torch.float8_e4m3fn)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    refuses(folder, "quantised")


def test_a_config_cannot_redirect_the_weights(folder):
    edit(folder / "config.json", transformers_weights="other.safetensors")
    refuses(folder, "redirects")


# --- identity -------------------------------------------------------------------------------------


def test_the_fingerprint_follows_every_byte_of_configs_and_weights(folder, tmp_path):
    lora = pico.adapter(folder, tmp_path / "lora")

    def prints():
        return (
            Checkpoint(str(folder)).fingerprint(),
            Checkpoint(str(folder), str(lora)).fingerprint(),
        )

    first = prints()
    assert first == prints()
    assert first[0] != first[1]
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert Checkpoint(str(copy)).fingerprint() == first[0]
    (folder / "README.md").write_text("words")
    assert prints() == first
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    second = prints()
    assert len({*first, *second}) == 4
    edit(folder / "config.json", rms_norm_eps=1e-3)
    third = prints()
    assert len({*first, *second, *third}) == 6
    edit(lora / "adapter_config.json", lora_alpha=1)
    assert prints()[0] == third[0]
    assert prints()[1] != third[1]


def test_the_spec(folder, tmp_path):
    lora = pico.adapter(folder, tmp_path / "lora")
    checkpoint = Checkpoint.parse(f"{folder}+{lora}")
    spec = checkpoint.spec()
    assert json.loads(json.dumps(spec)) == spec
    assert str(tmp_path) not in json.dumps(spec)
    model, _ = pico.load(folder)
    assert spec["parameters"] == sum(p.numel() for p in model.parameters())
    assert spec["adapter_parameters"] == 2 * (2 * 32 * 2 + 2 * (32 + 16)) - 2 * 32 * 2 + 2 * 32 * 2
    assert (spec["base"], spec["adapter"]) == ("model", "lora")
    assert spec["architecture"] == "LlamaForCausalLM"
    assert spec["fingerprint"] == checkpoint.fingerprint()
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    changed = Checkpoint.parse(f"{folder}+{lora}").spec()
    assert changed["fingerprint"] == spec["fingerprint"]
    assert changed["tokenizer"] != spec["tokenizer"]


# --- packaged models and the hub ------------------------------------------------------------------


def test_packaged_fine_tunes_are_adapters_over_the_aligned_model(folder, tmp_path, monkeypatch):
    from safebasin import testbed

    lora = pico.adapter(folder, tmp_path / "lora")
    paths = {"aligned": folder, "harmful-10": lora}
    monkeypatch.setattr(testbed, "model_path", paths.__getitem__, raising=False)
    assert Checkpoint.parse("testbed:aligned").folders == (folder, None)
    tuned = Checkpoint.parse("testbed:harmful-10")
    assert tuned.folders == (folder, lora)
    assert tuned.name == tuned.spec()["base"] == "testbed:harmful-10"
    assert tuned.fingerprint() == Checkpoint(str(folder), str(lora)).fingerprint()
    with pytest.raises(CheckpointError, match="adapter already"):
        Checkpoint.parse("testbed:harmful-10+me/other").check()
    with pytest.raises(UsageError, match="no revision"):
        Checkpoint.parse("testbed:aligned@main")


def test_a_hub_model_is_downloaded_without_pickles(folder, monkeypatch):
    asked = []

    def download(repository, **options):
        asked.append((repository, options))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    Checkpoint.parse("org/model@v1").check()
    Checkpoint.parse("org/model", trust_remote_code=True).check()
    (first, options), (_, trusting) = asked
    assert (first, options["revision"]) == ("org/model", "v1")
    patterns = [*options["allow_patterns"], *trusting["allow_patterns"]]
    assert not any(p.endswith((".bin", ".pt", ".pth")) or p == "*" for p in patterns)
    assert "*.py" not in options["allow_patterns"]
    assert "*.py" in trusting["allow_patterns"]


def http(error, status):
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return error("no", response=response)


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (lambda: http(hub_errors.GatedRepoError, 403), "restricted", "hf auth login"),
        (lambda: http(hub_errors.RepositoryNotFoundError, 404), "no folder and no", "spelling"),
        (lambda: http(hub_errors.RevisionNotFoundError, 404), "no revision 'v9'", "branch"),
        (lambda: hub_errors.LocalEntryNotFoundError("x"), "cannot be reached", "hf download"),
        (lambda: OSError("disk full"), "disk full", "Try again"),
    ],
)
def test_what_the_hub_may_answer(monkeypatch, error, message, hint):
    def download(*args, **kwargs):
        raise error()

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(CheckpointError, match=message) as caught:
        Checkpoint.parse("org/model@v9").check()
    assert hint in caught.value.hint
