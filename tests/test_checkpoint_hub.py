"""Models from a hub: the real client against a small hub on loopback, and what is refused there."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from safebasin import hub as our_hub
from safebasin.checkpoint import Checkpoint
from safebasin.errors import CheckpointError
from support import pico, tiny_gguf
from support.fake_hub import COMMIT, Hub, Repository, as_json
from support.loopback import Reply, allow_loopback

CONNECT = socket.socket.connect


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = pico.save(tmp_path_factory.mktemp("pico") / "model")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> Iterator[Hub]:
    allow_loopback(monkeypatch, CONNECT)
    extra = {"pytorch_model.bin": b"pickle", "modeling.py": b"print()", "onnx/model.onnx": b"o"}
    hub = Hub(models={"org/model": Repository({COMMIT: files | extra})})
    with hub.running(monkeypatch, tmp_path / "cache"):
        yield hub


def fetched(hub: Hub) -> set[str]:
    return {path.rsplit("/", 1)[1] for path in hub.asked("/resolve/")}


def test_a_model_is_fetched_at_a_commit_without_pickles_and_code(hub: Hub) -> None:
    checkpoint = Checkpoint.parse("org/model")
    checkpoint.check()
    assert checkpoint.spec()["commit"] == COMMIT
    assert "model.safetensors" in fetched(hub)
    assert not {"pytorch_model.bin", "modeling.py", "model.onnx"} & fetched(hub)
    model, _ = checkpoint.load(device="cpu")
    assert sum(p.numel() for p in model.parameters()) == checkpoint.spec()["parameters"]


def test_what_is_kept_is_used_without_a_hub(hub: Hub) -> None:
    Checkpoint.parse("org/model").check()
    hub.broken[""] = Reply(503, {})
    Checkpoint.parse("org/model").check()
    hub.calls.clear()
    Checkpoint.parse(f"org/model@{COMMIT}").check()
    assert hub.asked("models") == []


def test_a_pickle_is_refused_before_anything_is_fetched(hub: Hub, files: dict[str, bytes]) -> None:
    rest = {name: data for name, data in files.items() if not name.endswith(".safetensors")}
    hub.models["org/old"] = Repository({COMMIT: {**rest, "pytorch_model.bin": b"pickle"}})
    with pytest.raises(CheckpointError, match=r"pickle only \(pytorch_model.bin\)"):
        Checkpoint.parse("org/old").check()
    hub.models["org/empty"] = Repository({COMMIT: rest})
    with pytest.raises(CheckpointError, match="no weights in safetensors"):
        Checkpoint.parse("org/empty").check()
    assert fetched(hub) == set()


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_is_refused_before_any_weight_is_fetched(
    hub: Hub, files: dict[str, bytes], name: str
) -> None:
    asking = json.loads(files[name]) | {"auto_map": {"AutoModelForCausalLM": "modeling.Model"}}
    hub.models["org/code"] = Repository({COMMIT: files | {name: as_json(asking)}})
    with pytest.raises(CheckpointError, match="auto_map"):
        Checkpoint.parse("org/code").check()
    assert name in fetched(hub)
    assert "model.safetensors" not in fetched(hub)


def test_a_gate_names_its_page_before_anything_is_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.models["org/model"].gated = True
    hub.models["org/model"].readers = ("hf_reader",)
    with pytest.raises(CheckpointError, match="restricted by its owner") as caught:
        Checkpoint.parse("org/model").check()
    assert "https://huggingface.co/org/model" in caught.value.hint
    assert hub.asked("models") == ["/api/models/org/model/auth-check"]
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    Checkpoint.parse("org/model").check()
    # What was fetched with leave is read without it.
    monkeypatch.delenv("HF_TOKEN")
    Checkpoint.parse("org/model").check()


def test_a_token_that_is_refused_is_not_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_expired_canary")
    refused("org/model", "refuses the token", "unset HF_TOKEN")


def test_what_is_not_there(hub: Hub) -> None:
    refused("org/modle", "no public hub model named 'org/modle'", "spelling")
    refused("org/model@v9", "has no revision 'v9'", "branch")


def test_a_hub_that_is_down_or_silent(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.broken[""] = Reply(500, {"error": "down"})
    refused("org/model", "the hub cannot be reached", "hf download org/model")
    monkeypatch.setattr(our_hub, "PATIENCE", 0.2)
    hub.broken[""] = Reply(200, {}, delay=1.0)
    refused("org/model", "the hub cannot be reached", "hf download org/model")


def test_a_download_that_breaks_off_goes_on_later(hub: Hub) -> None:
    hub.cut = "/resolve/" + COMMIT + "/model.safetensors"
    refused("org/model", "could not be downloaded", "Try again")
    hub.cut = None
    Checkpoint.parse("org/model").check()


def refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(CheckpointError, match=message) as caught:
        Checkpoint.parse(name).check()
    assert "\n" not in str(caught.value)
    assert hint in caught.value.hint
    assert "canary" not in str(caught.value) + caught.value.hint


def test_a_gguf_file_is_fetched_alone(hub: Hub, files: dict[str, bytes], tmp_path: Path) -> None:
    made = pico.model("llama")
    whole = tiny_gguf.write(made, tmp_path / "q8.gguf").read_bytes()
    two = {"q8.gguf": whole, "q4.gguf": b"no GGUF", "config.json": b'{"auto_map": {"A": "b.C"}}'}
    hub.models["org/gguf"] = Repository({COMMIT: two})
    with pytest.raises(CheckpointError, match=r"holds 2 GGUF files: q4\.gguf, q8\.gguf") as caught:
        Checkpoint.parse("org/gguf").check()
    assert caught.value.hint == "Name one, as in org/gguf:q4.gguf."
    with pytest.raises(CheckpointError, match=r"has no file 'q2\.gguf'"):
        Checkpoint.parse("org/gguf:q2.gguf").check()
    checkpoint = Checkpoint.parse("org/gguf:q8.gguf")
    assert checkpoint.spec()["commit"] == COMMIT
    assert checkpoint.name == "org/gguf:q8.gguf"
    assert fetched(hub) == {"q8.gguf"}
    hub.models["org/one"] = Repository({COMMIT: {"q8.gguf": whole, "mmproj-x.gguf": b"p"}})
    assert Checkpoint.parse("org/one").fingerprint() == checkpoint.fingerprint()
    hub.models["org/both"] = Repository({COMMIT: files | {"q8.gguf": whole}})
    assert "quantisation" not in Checkpoint.parse("org/both").spec()
    hub.broken[""] = Reply(503, {})
    Checkpoint.parse("org/gguf:q8.gguf").check()
    Checkpoint.parse(f"org/gguf:q8.gguf@{COMMIT}").check()
