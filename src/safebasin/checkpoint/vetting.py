"""Checks on a checkpoint folder before anything in it is loaded.

A checkpoint is somebody else's data. These checks read JSON and the headers of safetensors files;
they read no tensor and run no code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from safebasin.checkpoint import codes
from safebasin.checkpoint.adapter_kinds import refuse_unmergeable, several_adapters
from safebasin.checkpoint.completeness import CONSTANTS
from safebasin.checkpoint.gguf.folders import WEIGHTS, described
from safebasin.checkpoint.implementations import kernel_entry
from safebasin.checkpoint.json_files import read_object, require_plain
from safebasin.errors import CheckpointError
from safebasin.terminal import printable

CONFIG_FILES = ("config.json", "generation_config.json")
VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tekken.json",
)
TOKENIZER_FILES = (
    *VOCABULARIES,
    "merges.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
_PROCESSOR_FILES = (
    "processor_config.json",
    "preprocessor_config.json",
    "image_processor.json",
    "video_preprocessor_config.json",
    "feature_extractor_config.json",
)
_PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle"}
_FLOATS = {"F64", "F32", "F16", "BF16"}
_LARGEST_DIMENSION = 2**40
_LARGEST_HEADER = 32 * 2**20
"""Bytes of the names and places of the tensors in a file: some 200,000 tensors."""


@dataclass(frozen=True)
class Contents:
    """What a vetted folder holds: its config, its weight files, and their number of elements.

    `quantisation` says how the weights are stored where they are not plain numbers.
    """

    config: dict[str, Any]
    weights: tuple[Path, ...]
    elements: int
    quantisation: dict[str, Any] | None = None


def vet_model(folder: Path, *, trust_remote_code: bool = False) -> Contents:
    """Check the folder of a model.

    Raises CheckpointError, naming the file, where the folder is incomplete or damaged, holds
    pickles only, asks for its own code without leave, is quantised in a way that is not read, or
    points outside itself.
    """
    if (gguf := described(folder)) is not None:
        config = read_json(folder, "config.json") or {}
        return Contents(config, (folder / WEIGHTS,), gguf.elements, gguf.quantisation)
    _require_folder(folder)
    if not (folder / "config.json").exists():
        if (folder / "adapter_config.json").exists():
            base = (read_json(folder, "adapter_config.json") or {}).get("base_model_name_or_path")
            raise CheckpointError(
                f"'{folder}' is an adapter, not a model.",
                f"Name its base model too, as in {base or 'BASE'}+{folder}.",
            )
        raise several_adapters(folder) or CheckpointError(
            f"'{folder}' has no config.json.", "Give the folder of a model."
        )
    if (folder / "adapter_config.json").exists():
        raise CheckpointError(
            f"'{folder}' holds both a model and an adapter.",
            "Move the adapter_*.* files to a folder of their own and name it as BASE+ADAPTER.",
        )
    config = read_json(folder, "config.json") or {}
    if not trust_remote_code:
        refuse_code(folder)
    stored = codes.storage(folder, config)
    if config.get("transformers_weights") is not None:
        raise CheckpointError(
            f"{folder / 'config.json'} redirects the loading of weights ('transformers_weights').",
            "Remove that entry and name the weights model.safetensors.",
        )
    for name in (*CONFIG_FILES, *TOKENIZER_FILES, *_PROCESSOR_FILES):
        inside(folder, name)
    for name in ("generation_config.json", "tokenizer_config.json", "chat_template.json"):
        read_json(folder, name)  # what is in them is checked before the loader takes it
    if not any((folder / name).exists() for name in VOCABULARIES):
        raise CheckpointError(f"'{folder}' has no tokenizer.", "Save the tokenizer beside it.")
    weights, expected = _model_weights(folder)
    every: list[tuple[str, tuple[int, ...], str]] = []
    found: dict[str, set[str]] = {}
    for path in weights:
        header = list(read_header(path, coded=stored is not None))
        found[path.name] = {name for name, _, _ in header}
        every += header
    for tensor, shard in expected.items():
        if tensor not in found[shard]:
            raise CheckpointError(
                f"{folder / shard} lacks the tensor '{tensor}' that the index promises.",
                "Download the checkpoint again.",
            )
    if stored is None:
        return Contents(config, weights, sum(prod(shape) for _, shape, _ in every))
    if not any(_is_code(name, kind) for name, _, kind in every):
        raise CheckpointError(
            f"{folder / 'config.json'} says that the weights are quantised ({stored['read_as']}), "
            "and they are plain numbers.",
            "Remove 'quantization_config' from it if they were turned back into numbers.",
        )
    record = codes.record(stored, Counter(kind for _, _, kind in every))
    return Contents(config, weights, codes.elements(every, stored), record)


def vet_adapter(folder: Path) -> Contents:
    """Check the folder of a PEFT adapter; raises CheckpointError as `vet_model` does."""
    _require_folder(folder)
    config = read_json(folder, "adapter_config.json")
    if config is None:
        raise several_adapters(folder) or CheckpointError(
            f"'{folder}' has no adapter_config.json.", "Give the folder of a PEFT adapter."
        )
    refuse_unmergeable(folder, config)
    if _names_code(config):
        raise CheckpointError(
            f"{folder / 'adapter_config.json'} asks to run its own code ('auto_map').",
            "Remove that entry; an adapter needs no code.",
        )
    name = "adapter_model.safetensors"
    path = inside(folder, name)
    if not path.exists():
        raise _no_safetensors(folder, name)
    header = list(read_header(path))
    return Contents(config, (path,), sum(prod(shape) for _, shape, _ in header))


def read_json(folder: Path, name: str) -> dict[str, Any] | None:
    """The JSON object in a file of the folder, or None where there is no such file."""
    path = inside(folder, name)
    if not path.exists():
        return None
    return read_object(path)


def read_header(path: Path, *, coded: bool = False) -> Iterator[tuple[str, tuple[int, ...], str]]:
    """Name, shape and dtype (as in `BF16`) of each tensor; no tensor is read.

    Raises CheckpointError where the file is no valid safetensors file, or holds codes of quantised
    weights and not `coded`, which is whether its config says what they mean.
    """
    from safetensors import SafetensorError, safe_open

    _require_header(path)
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 - the file is not iterable
                piece = file.get_slice(name)
                shape, dtype = tuple(piece.get_shape()), piece.get_dtype()
                if any(size > _LARGEST_DIMENSION for size in shape):
                    raise CheckpointError(
                        f"{path} gives '{name}' the shape {shape}, which cannot be.",
                        "Do not use this checkpoint unless you know how that came about.",
                    )
                if not coded and _is_code(name, dtype):
                    raise CheckpointError(
                        f"{path} holds quantised weights ('{name}' is {dtype}).",
                        "Give the checkpoint in float32, bfloat16 or float16: quantised weights "
                        "cannot be displaced.",
                    )
                yield name, shape, dtype
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is no valid safetensors file: {error}.",
            "Download it again if it was cut short, or save the checkpoint again.",
        ) from error


def _require_header(path: Path) -> None:
    """Raise CheckpointError where the header alone would take minutes to read."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            rest = path.stat().st_size - 8
    except OSError:
        return  # as the reader will say
    if _LARGEST_HEADER < size <= rest:
        raise CheckpointError(
            f"{path} has a header of {size / 2**20:.0f} MB, and that of the largest models has a "
            f"few; at most {_LARGEST_HEADER // 2**20} MB are read.",
            "Do not use this checkpoint unless you know how that came about.",
        )


def _is_code(name: str, dtype: str) -> bool:
    """Whether a tensor is no number of the model: no float, no mask, no count and no constant."""
    if dtype in _FLOATS or CONSTANTS.search(name):
        return False
    return name.endswith(".weight") or dtype not in ("BOOL", "I64")


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.is_file() else "does not exist"
        raise CheckpointError(
            f"'{folder}' {what}.", "Give the folder of a checkpoint, or the id of one on the hub."
        )
    for path in folder.iterdir():
        require_plain(path)


def _model_weights(folder: Path) -> tuple[tuple[Path, ...], dict[str, str]]:
    """The weight files in the order the loader would find them, and what an index promises."""
    single = inside(folder, "model.safetensors")
    if single.exists():
        return (single,), {}
    index = read_json(folder, "model.safetensors.index.json")
    if index is None:
        raise _no_safetensors(folder, "model.safetensors")
    where = folder / "model.safetensors.index.json"
    expected = index.get("weight_map")
    if not isinstance(expected, dict) or not expected:
        raise CheckpointError(
            f"{where} has no weight_map.", "Save the checkpoint again with save_pretrained."
        )
    for shard in expected.values():
        if not (isinstance(shard, str) and _is_plain(shard) and shard.endswith(".safetensors")):
            raise CheckpointError(
                f"{where} names {shard!r}, which is no safetensors file of this folder.",
                "Do not use this checkpoint unless you know how that came about.",
            )
    paths = []
    for shard in sorted(set(expected.values())):
        path = inside(folder, shard)
        if not path.exists():
            raise CheckpointError(f"{path} is missing.", "Download the checkpoint again.")
        paths.append(path)
    return tuple(paths), expected


def _no_safetensors(folder: Path, wanted: str) -> CheckpointError:
    pickles = sorted(p.name for p in folder.iterdir() if is_pickle(p.name))
    if pickles:
        return CheckpointError(
            f"'{folder}' holds its weights as a pickle only ({pickles[0]}), which can run code.",
            "Convert it to safetensors where you trust it: load it there and call "
            "save_pretrained(folder).",
        )
    return CheckpointError(
        f"'{folder}' has no {wanted}.",
        "Give a folder that holds the weights; complete a download that was cut short.",
    )


def is_pickle(name: str) -> bool:
    """Whether a file of that name is a pickle by its ending."""
    return Path(name).suffix.lower() in _PICKLES


def _is_plain(name: str) -> bool:
    """Whether a name is a single path component on every system."""
    return (
        name not in ("", ".", "..")
        and "\0" not in name
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
    )


def inside(folder: Path, name: str) -> Path:
    """The path of a file in the folder; raises CheckpointError where a link leads elsewhere.

    The hub's cache links each file into the blobs of its repository, and these into blobs that
    repositories share; both are inside.
    """
    path = folder / name
    roots = [folder.resolve()]
    if folder.resolve().parent.name == "snapshots":
        repository = folder.resolve().parent.parent
        roots += [(repository / "blobs").resolve(), (repository.parent / "blobs").resolve()]
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # which of them, is by the version of Python
        raise CheckpointError(
            f"{path} is a link that leads back to itself.", "Copy the file into the folder."
        ) from None
    if not any(target.is_relative_to(root) for root in roots):
        raise CheckpointError(
            f"{path} is a link to a file outside the checkpoint.", "Copy the file into the folder."
        )
    return path


def refuse_code(folder: Path) -> None:
    """Raise CheckpointError where a file of settings asks to run code of the checkpoint's own."""
    for name in (*CONFIG_FILES, "tokenizer_config.json", *_PROCESSOR_FILES):
        found = read_json(folder, name)
        if _names_code(found):
            raise CheckpointError(
                f"{folder / name} asks to run the checkpoint's own code ('auto_map').",
                "Read that code, and allow it with --trust-remote-code if you trust its author.",
            )
        if (entry := kernel_entry(found)) is not None:
            raise CheckpointError(
                f"{folder / name} asks to run code from a hub ('{printable(entry)}').",
                "Remove that entry; it changes how a model is computed, not what it is.",
            )


def _names_code(value: Any) -> bool:
    """Whether a JSON value has a filled `auto_map` at any depth."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if item.get("auto_map"):
                return True
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)
    return False
