"""Folders of models, adapters and runs that try to run code, to escape, to hang or to confuse.

Each is made from a number: the same one gives the same folder.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from safebasin import testbed
from support import bad_json
from support.run_samples import measured

MODEL = Path(testbed.model_path("aligned"))
ADAPTER = Path(testbed.model_path("benign"))
WEIGHTS = "model.safetensors"
Change = Callable[[Path, random.Random, Path], None]


class Canary:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def field(folder: Path, chance: random.Random, _: Path) -> None:
    """A field of a JSON file is what nobody wrote there."""
    names = [path for path in sorted(folder.glob("*.json")) if path.name != "tokenizer.json"]
    path = chance.choice(names)
    whole = json.loads(path.read_text())
    place = chance.choice([one for one in bad_json.places(whole) if one != ("digest",)])
    text = bad_json.changed(whole, place, chance.choice([*bad_json.VALUES.values(), None]))
    path.write_text(bad_json.sealed(text) if "digest" in whole else text)


def no_json(folder: Path, chance: random.Random, _: Path) -> None:
    path = chance.choice(sorted(folder.glob("*.json")))
    path.write_bytes(chance.choice(list(bad_json.FILES.values())))


def pickled(folder: Path, chance: random.Random, canary: Path) -> None:
    """A pickle by any name, beside the weights or in their place."""
    data = pickle.dumps(Canary(canary))
    names = ["pytorch_model.bin", "adapter_model.bin", "training_args.bin", "tokenizer.pkl"]
    (folder / chance.choice(names)).write_bytes(data)
    if chance.random() < 0.5:
        for path in folder.glob("*.safetensors"):
            path.write_bytes(data) if chance.random() < 0.5 else path.unlink()


def code(folder: Path, chance: random.Random, canary: Path) -> None:
    """Python beside the files, and settings that name it."""
    (folder / "own.py").write_text(f"open({str(canary)!r}, 'w')\n")
    names = {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M", "AutoTokenizer": "own.T"}
    path = chance.choice(sorted(folder.glob("*config.json")))
    edit(path, auto_map=names, tokenizer_class="OwnTokenizer", custom_generate="own")


def linked(folder: Path, chance: random.Random, _: Path) -> None:
    path = chance.choice(sorted(one for one in folder.iterdir() if one.is_file()))
    path.unlink()
    path.symlink_to(chance.choice(["/etc/passwd", "/dev/zero", "/proc/self/mem", "..", path.name]))


def piped(folder: Path, chance: random.Random, _: Path) -> None:
    path = chance.choice(sorted(one for one in folder.iterdir() if one.is_file()))
    path.unlink()
    os.mkfifo(path)


def header(folder: Path, chance: random.Random, _: Path) -> None:
    """A header that is huge, cut short, or says what is not so."""
    path = next(iter(sorted(folder.glob("*.safetensors"))))
    entry = {"dtype": "F32", "shape": [2**40, 2**40], "offsets": [0, 4]}
    many = {f"t{n}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(50_000)}
    texts = [b"{" * 5_000_000, json.dumps({"a": entry}).encode(), b"\xff" * 64, b"{}",
             json.dumps(many).encode(), bad_json.DEEP.encode()]  # fmt: skip
    text = chance.choice(texts)
    size = chance.choice([len(text), len(text), 2**63, 0, len(text) + 9])
    path.write_bytes(struct.pack("<Q", size) + text)


def shortened(folder: Path, chance: random.Random, _: Path) -> None:
    path = next(iter(sorted(folder.glob("*.safetensors"))))
    data = path.read_bytes()
    path.write_bytes(data[: chance.randrange(len(data))])


def tensors(folder: Path, chance: random.Random, _: Path) -> None:
    """A tensor of another dtype or shape, that is no number, renamed or missing."""
    path = next(iter(sorted(folder.glob("*.safetensors"))))
    try:
        found = load_file(path)
    except (TypeError, KeyError):  # bfloat16, which NumPy lacks
        import torch
        from safetensors.torch import load_file as load

        found = {name: one.to(torch.float32).numpy() for name, one in load(path).items()}
    name = chance.choice(sorted(found))
    match chance.randrange(6):
        case 0:
            found[name] = found[name].astype(np.int8)
        case 1:
            found[name] = np.full_like(found[name], np.nan, dtype=np.float32)
        case 2:
            found[name] = found[name].reshape(-1)[:1].copy()
        case 3:
            found[f"other.{name}"] = found.pop(name)
        case 4:
            del found[name]
        case _:
            found[name] = np.full_like(found[name], np.inf, dtype=np.float32)
    save_file(found, path)


def indexed(folder: Path, chance: random.Random, canary: Path) -> None:
    """An index that names what is not in the folder."""
    (folder / WEIGHTS).unlink(missing_ok=True)
    names = ["../../etc/passwd", "/etc/passwd", "a\0b", "..", "", str(canary), "x" * 5000,
             "own.safetensors", 5, None, ["a"]]  # fmt: skip
    value = {"weight_map": {"model.norm.weight": chance.choice(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(value))


def template(folder: Path, chance: random.Random, canary: Path) -> None:
    escape = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    shell = "{{ cycler.__init__.__globals__.os.popen('touch " + str(canary) + "').read() }}"
    texts = [escape, shell, "{% for", "{{ 1 // 0 }}", "{{ messages[7].content.x.y }}", "\0",
             "{% include '/etc/passwd' %}", "{{ raise_exception('no') }}"]  # fmt: skip
    edit(folder / "tokenizer_config.json", chat_template=chance.choice(texts))


MODELS: tuple[Change, ...] = (
    field, no_json, pickled, code, linked, piped, header, shortened, tensors, indexed, template
)  # fmt: skip
ADAPTERS: tuple[Change, ...] = (
    field, no_json, pickled, code, linked, piped, header, shortened, tensors
)  # fmt: skip
RUNS: tuple[Change, ...] = (field, field, no_json, linked, piped)


def make(number: int, root: Path, canary: Path) -> tuple[str, str, Path]:
    """The folder of a number: what it is, what was done to it, and where it lies."""
    chance = random.Random(number)
    kind = ("model", "adapter", "run")[number % 3]
    if kind == "run":
        folder, changes = measured(root / "run"), RUNS
    else:
        source, changes = (MODEL, MODELS) if kind == "model" else (ADAPTER, ADAPTERS)
        folder = Path(shutil.copytree(source, root / kind))
    # In turn, so that a few numbers already hold each kind of fault.
    change = changes[number // 3 % len(changes)]
    change(folder, chance, canary)
    return kind, change.__name__, folder
