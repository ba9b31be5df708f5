"""What a checkpoint's files may not do: name code on a hub, or choose how we compute."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, CLIPVisionConfig, LlamaConfig
from transformers.utils import import_utils

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.implementations import choose, kernel_entry
from safebasin.errors import CheckpointError
from support import pico


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("asked for an address")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pico.save(tmp_path / "model")


def edit(path: Path, **changes: Any) -> None:
    own = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**own, **changes}))


ENTRIES = [
    {"attn_implementation": "org/kernel"},
    {"_attn_implementation": "org/kernel@revision:function"},
    {"_attn_implementation_internal": "org/kernel"},
    {"experts_implementation": "org/kernel:function"},
    {"_experts_implementation": "org/kernel"},
    {"attn_implementation": {"": "sdpa", "text_config": "org/kernel"}},
    {"attn_implementation": "paged|org/kernel"},
    {"attn_implementation": "msa|org/kernel@v0"},
    {"text_config": {"_attn_implementation": "org/kernel"}},
    {"vision_config": {"inner": [{"attn_implementation": "org/kernel"}]}},
]


@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_kernel_of_a_hub_is_refused(folder: Path, entry: dict[str, Any]) -> None:
    edit(folder / "config.json", **entry)
    for act in (Checkpoint.check, Checkpoint.load, Checkpoint.config):
        with pytest.raises(CheckpointError, match=r"config\.json asks to run code from a hub"):
            act(Checkpoint(str(folder)))


@pytest.mark.parametrize(
    "name",
    ["generation_config.json", "tokenizer_config.json", "processor_config.json",
     "preprocessor_config.json", "video_preprocessor_config.json"],
)  # fmt: skip
def test_a_kernel_is_refused_in_every_file_of_settings(folder: Path, name: str) -> None:
    edit(folder / name, part={"attn_implementation": "org/kernel"})
    with pytest.raises(CheckpointError, match=f"{name} asks to run code from a hub"):
        Checkpoint(str(folder)).check()


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize(
    ("asked", "used"),
    [
        ("flash_attention_2", "sdpa"),
        ("flash_attention_3", "sdpa"),
        ("flex_attention", "sdpa"),
        ("paged_attention", "sdpa"),
        (7, "sdpa"),
        ("eager", "eager"),
        ("sdpa", "sdpa"),
    ],
)
def test_we_choose_what_computes_attention(
    folder: Path, trust: bool, asked: object, used: str
) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation=used)
    edit(folder / "config.json", _attn_implementation=asked, experts_implementation="sonicmoe")
    model, _ = Checkpoint(str(folder), trust_remote_code=trust).load("float32", "cpu")
    assert model.config._attn_implementation == used
    ids = torch.tensor([[3, 4, 5, 6]])
    assert torch.equal(model(ids).logits, plain(ids).logits)


def test_with_leave_to_run_code_a_kernel_is_still_not_fetched(folder: Path) -> None:
    edit(folder / "config.json", _attn_implementation="org/kernel")
    model, _ = Checkpoint(str(folder), trust_remote_code=True).load("float32", "cpu")
    assert model.config._attn_implementation == "sdpa"


def test_every_part_of_a_configuration_is_chosen_for() -> None:
    config = AutoConfig.for_model("llava", text_config=LlamaConfig(num_hidden_layers=1),
                                  vision_config=CLIPVisionConfig())  # fmt: skip
    config._attn_implementation = {
        "": "sdpa",
        "text_config": "org/kernel",
        "vision_config": "eager",
    }
    choose(config)
    assert config._attn_implementation == "sdpa"
    assert config.text_config._attn_implementation is None
    assert config.vision_config._attn_implementation == "eager"


def test_names_of_kernels_are_told_from_other_entries() -> None:
    assert kernel_entry({"_name_or_path": "org/model", "attn_implementation": "sdpa"}) is None
    assert kernel_entry({"attn_implementation": None, "a": ["x/y"]}) is None
    assert kernel_entry([{"_attn_implementation": "a/b"}]) == "_attn_implementation"


@pytest.mark.parametrize("name", ["AutoModelForCausalLM", "RagTokenizer", "pipeline"])
def test_a_tokenizer_class_that_is_no_tokenizer_is_one_sentence(folder: Path, name: str) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class=name)
    with pytest.raises(CheckpointError, match="tokenizer of 'model' cannot be loaded"):
        Checkpoint(str(folder)).load("float32", "cpu")


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package `kernels`, new enough for transformers, that leaves a file when it is imported."""
    mark, root = tmp_path / "fetched", tmp_path / "packages"
    (root / "kernels").mkdir(parents=True)
    (root / "kernels" / "__init__.py").write_text(
        f"import pathlib\npathlib.Path({str(mark)!r}).touch()\nget_kernel = None\n"
    )
    (root / "kernels.dist-info").mkdir()
    (root / "kernels.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: kernels\nVersion: {import_utils.KERNELS_MIN_VERSION}\n"
    )
    monkeypatch.syspath_prepend(str(root))
    import_utils.is_kernels_available.cache_clear()
    yield mark
    monkeypatch.undo()
    sys.modules.pop("kernels", None)
    import_utils.is_kernels_available.cache_clear()


def test_kernels_are_not_fetched_by_a_models_type_alone(folder: Path, kernels: Path) -> None:
    from transformers.models.rwkv import modeling_rwkv

    assert import_utils.is_kernels_available()
    Checkpoint(str(folder)).load(device="cpu")
    with pytest.raises(ImportError, match="kernels is not installed"):
        modeling_rwkv.load_wkv_cuda_kernel(8)
    assert not import_utils.is_flash_attn_kernel_fallback_available(2)
    assert not kernels.exists()
    import kernels as package  # what else wants the package has it

    assert package.get_kernel is None


def test_with_remote_code_allowed_kernels_are_left_to_transformers(
    folder: Path, kernels: Path
) -> None:
    Checkpoint(str(folder), trust_remote_code=True).load(device="cpu")
    assert import_utils.is_kernels_available()


def test_kernels_that_cannot_be_left_out_are_one_sentence(
    folder: Path, kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = import_utils.KERNELS_MIN_VERSION
    monkeypatch.setattr(import_utils, "_is_package_available", lambda *_, **__: (True, version))
    with pytest.raises(CheckpointError, match="package kernels is installed"):
        Checkpoint(str(folder)).load(device="cpu")
