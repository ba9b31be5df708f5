"""GGUF files that are damaged, or made to hurt: one sentence each, soon, and nothing is run."""

from __future__ import annotations

import contextlib
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.gguf import header as headers
from safebasin.checkpoint.gguf.header import read_header
from safebasin.engines.template import Template
from safebasin.errors import CheckpointError, SafebasinError, TemplateError
from support import pico, tiny_gguf

NUMBER, TEXT, LIST = 4, 8, 9


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    return tiny_gguf.write(pico.model("llama"), path).read_bytes()


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def head(*entries: bytes, tensors: int = 0, table: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, len(entries)) + b"".join(entries) + table


ARCHITECTURE = text("general.architecture") + struct.pack("<I", TEXT) + text("llama")


def entry(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


def listed(kind: int, count: int, rest: bytes = b"") -> bytes:
    return text("x") + struct.pack("<IIQ", LIST, kind, count) + rest


DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "too short"),
    "another format": (b"PK\x03\x04" + bytes(60), "does not begin with GGUF"),
    "the first version": (head(ARCHITECTURE, version=1), "version 1"),
    "the other byte order": (b"GGUF\x00\x00\x00\x03" + bytes(40), "big-endian"),
    "many entries": (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60), "promises 1152921504606846976"),
    "many tensors": (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "9223372036854775808 tensors"),
    "a long key": (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "text of 4611686018427387904"),
    "a long list": (head(ARCHITECTURE, listed(0, 2**50)), "list of 1125899906842624"),
    "a list that ends early": (head(ARCHITECTURE, listed(NUMBER, 1000)), "cut short"),
    "a list of lists": (head(ARCHITECTURE, listed(LIST, 1, listed(LIST, 1))), "type 9"),
    "a value of no type": (head(ARCHITECTURE, text("x") + struct.pack("<I", 77)), "type 77"),
    "a key twice": (head(ARCHITECTURE, ARCHITECTURE), "twice"),
    "no architecture": (head(text("x") + struct.pack("<II", NUMBER, 1)), "no architecture"),
    "no text": (head(text("x") + struct.pack("<IQ", TEXT, 2) + b"\xff\xfe"), "not UTF-8"),
    "no tensor": (head(ARCHITECTURE), "holds no tensor"),
    "a huge tensor": (
        head(ARCHITECTURE, tensors=1, table=entry("a", (2**40, 2**20), 0, 0)), "ends before 'a'",
    ),
    "a tensor far away": (
        head(ARCHITECTURE, tensors=1, table=entry("a", (4,), 0, 2**63)), "ends before 'a'",
    ),
    "tensors over each other": (
        head(ARCHITECTURE, tensors=2, table=entry("a", (8,), 0, 0) + entry("b", (8,), 0, 16))
        + bytes(200),
        "'b' lies over another",
    ),
    "a tensor twice": (
        head(ARCHITECTURE, tensors=2, table=entry("a", (4,), 0, 0) * 2) + bytes(99), "cannot be",
    ),
    "nine dimensions": (
        head(ARCHITECTURE, tensors=1, table=entry("a", (1,) * 9, 0, 0)) + bytes(99), "cannot be",
    ),
    "an unknown type": (
        head(ARCHITECTURE, tensors=1, table=entry("a", (4,), 999, 0)) + bytes(99), "type 999",
    ),
    "half a block": (
        head(ARCHITECTURE, tensors=1, table=entry("a", (16,), 2, 0)) + bytes(99), "the shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_is_one_sentence(name: str, tmp_path: Path) -> None:
    content, says = DAMAGED[name]
    path = tmp_path / "m.gguf"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=says) as caught:
        Checkpoint.parse(str(path)).check()
    assert str(path) in caught.value.message
    assert "\n" not in str(caught.value)


def test_a_file_that_is_cut_or_changed_anywhere_loads_or_is_refused(
    whole: bytes, tmp_path: Path
) -> None:
    chance = random.Random(4)
    path = tmp_path / "m.gguf"
    refused = 0
    start = time.perf_counter()
    for number in range(150):
        content = bytearray(whole)
        if number % 3 == 0:
            del content[chance.randrange(len(content)) :]
        for _ in range(chance.choice((0, 1, 8))):
            content[chance.randrange(min(len(content), 9000)) if content else 0 :][:1] = b"\xff"
            if content:
                content[chance.randrange(min(len(content), 9000))] = chance.randrange(256)
        path.write_bytes(content)
        with contextlib.suppress(SafebasinError):
            read_header(path)
            continue
        refused += 1
    assert refused > 60
    assert time.perf_counter() - start < 30


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"llama.block_count": 2**31 - 1}, "2147483647"),
        ({"llama.block_count": 3}, "says that it has 3 layers, and holds 2"),
        ({"llama.block_count": "two"}, "block_count the value two"),
        ({"llama.embedding_length": 2**20}, "no embedding of the width 1048576"),
        ({"llama.attention.head_count": 0}, "head_count the value 0"),
        ({"llama.attention.head_count": [4, 4]}, r"head_count the value \[4, 4\]"),
        ({"llama.attention.head_count_kv": 64}, "head_count"),
        ({"llama.context_length": 2**31}, "context_length the value 2147483648"),
        ({"llama.rope.freq_base": float("nan")}, "freq_base the value nan"),
        ({"llama.rope.dimension_count": 4}, r"does not carry over: llama\.rope\.dimension_count"),
        ({"llama.rope.scaling.type": "longrope"}, r"rope\.scaling\.type \(longrope\)"),
        ({"llama.logit_scale": 0.5}, r"llama\.logit_scale \(0\.5\)"),
        ({"split.count": 3}, "one of 3 files"),
        ({"tokenizer.ggml.tokens": [1, 2]}, "no table of tokens"),
        ({"tokenizer.ggml.tokens": ["a"] * 999}, "999 tokens and 262 rows"),
        ({"tokenizer.ggml.token_type": [1]}, "no token_type for each"),
        ({"tokenizer.ggml.eos_token_id": 9999}, "eos_token_id the value 9999"),
        ({"tokenizer.ggml.merges": ["no merge"]}, "cannot be read"),
        ({"tokenizer.ggml.model": "rot13"}, "cannot be read"),
        ({"tokenizer.chat_template": 7}, "chat template that is no text"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    path = tiny_gguf.write(pico.model("llama"), tmp_path / "m.gguf", metadata=changes)
    with pytest.raises(CheckpointError, match=says) as caught:
        Checkpoint.parse(str(path)).load()
    assert "\n" not in str(caught.value)


def test_another_architecture_is_named(tmp_path: Path) -> None:
    path = tiny_gguf.write(pico.model("gemma", tied=True), tmp_path / "m.gguf")
    with pytest.raises(CheckpointError, match="architecture 'gemma', which is not read from GGUF"):
        Checkpoint.parse(str(path)).check()


def test_a_hostile_template_goes_through_the_sandbox(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os."
    template += f"system('touch {mark}') }}}}"
    path = tiny_gguf.write(
        pico.model("llama"), tmp_path / "m.gguf", metadata={"tokenizer.chat_template": template}
    )
    tokenizer = Checkpoint.parse(str(path)).load_tokenizer()
    with pytest.raises(TemplateError):
        Template.of(tokenizer)
    assert not mark.exists()


def _link(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _device(path: Path, outside: Path) -> None:
    path.symlink_to("/dev/zero")


def _pipe(path: Path, outside: Path) -> None:
    os.mkfifo(path)


def _folder(path: Path, outside: Path) -> None:
    path.mkdir()


def _nowhere(path: Path, outside: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("made", [_link, _device, _pipe, _nowhere])
@pytest.mark.parametrize("by_folder", [False, True])
def test_no_link_device_or_pipe_is_opened(
    made: Callable[[Path, Path], None], by_folder: bool, whole: bytes, tmp_path: Path
) -> None:
    outside = tmp_path / "elsewhere.gguf"
    outside.write_bytes(whole)
    folder = tmp_path / "folder"
    folder.mkdir()
    made(folder / "m.gguf", outside)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.parse(str(folder if by_folder else folder / "m.gguf")).check()
    assert "\n" not in str(caught.value)


def test_a_missing_file_or_package_is_said(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"There is no file 'nothing\.gguf'"):
        Checkpoint.parse("nothing.gguf").check()
    path = tmp_path / "m.gguf"
    path.write_bytes(whole)
    monkeypatch.setattr(headers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match="read with the package gguf") as caught:
        Checkpoint.parse(str(path)).check()
    assert caught.value.hint == "Run `pip install 'safebasin[gguf]'`."
