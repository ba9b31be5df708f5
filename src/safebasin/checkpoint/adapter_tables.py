"""Tables of tokens that were given other rows before an adapter was trained, and tied tables."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

from safebasin.checkpoint.parts import Parts
from safebasin.checkpoint.vetting import read_header, vet_model
from safebasin.errors import CheckpointError

LOG = logging.getLogger(__name__)

_BASE = ("base_layer.", "original_module.", "token_adapter.base_layer.")
"""Under which names an adapter holds a table as its base had it."""

_TRAINED = ("modules_to_save.", "modules_to_save.default.")
_PREFIX = "base_model.model."
_FILE = "adapter_model.safetensors"


def adapter_rows(folder: Path, tables: Sequence[str]) -> int | None:
    """How many tokens an adapter has rows for; None where it holds none of the tables.

    `tables` are the names of the model's tables. Raises CheckpointError where two of them differ.
    """
    shapes = {name: shape for name, shape, _ in read_header(folder / _FILE)}
    found = {shapes[key][dim] for key, dim in _keys_of(shapes, tables)}
    if len(found) > 1:
        raise CheckpointError(
            f"The adapter '{folder}' has tables of {' and '.join(map(str, sorted(found)))} tokens.",
            "Save the adapter again with the model that it was trained with.",
        )
    return next(iter(found), None)


def _keys_of(
    shapes: Mapping[str, tuple[int, ...]], tables: Sequence[str]
) -> Iterator[tuple[str, int]]:
    """The adapter's tensors that have one row a token, and the dimension that counts them."""
    for table in tables:
        module = _PREFIX + table.removesuffix("weight")
        for part, dim in (
            *((f"{part}weight", 0) for part in ("", *_BASE, *_TRAINED)),
            ("lora_embedding_A", 1),
            ("lora_embedding_A.default", 1),
            ("lora_B.weight", 0),
            ("lora_B.default.weight", 0),
        ):
            if len(shapes.get(module + part, ())) > dim:
                yield module + part, dim


@contextmanager
def fitted_tables(model: Any, folder: Path) -> Iterator[Path]:
    """Give the model's tables the rows that an adapter was trained with.

    Rows that are added get the values that the adapter brings along. Where it brings none of a
    table, what its new tokens mean is not to be had: the model then keeps its rows, and the folder
    is a copy of the adapter in which its tables are cut to them.
    """
    tables = table_names(model)
    names = [name for group in tables for name in group]
    rows, own = adapter_rows(folder, names), len(model.get_input_embeddings().weight)
    if rows is None or rows == own or resize_to_adapter(model, folder):
        yield folder
        return
    LOG.warning(
        "the adapter '%s' was trained with %d tokens and its base has %d; it does not hold what "
        "the base was given for those that were added, and they are left out", folder, rows, own,
    )  # fmt: skip
    with TemporaryDirectory() as work:
        _cut(folder, Path(work), names, own)
        yield Path(work)


def resize_to_adapter(model: Any, folder: Path) -> bool:
    """Resize the model's tables to an adapter's, with the values that it brings of new rows.

    Whether that could be done; where it could not, the model is as it was.
    """
    import torch
    from safetensors import safe_open

    tables = table_names(model)
    rows = adapter_rows(folder, [name for names in tables for name in names])
    own = len(model.get_input_embeddings().weight)
    if rows is None or rows == own:
        return False
    with safe_open(folder / _FILE, framework="pt") as file, torch.no_grad():
        stored = set(file.keys())
        places = [_place(names, stored) for names in tables]
        if rows > own and None in places:
            return False
        model.resize_token_embeddings(rows, mean_resizing=False)
        for names, place in zip(tables, places, strict=True):
            if place is not None:
                model.get_parameter(names[0]).copy_(file.get_tensor(place))
    return True


def _place(names: Sequence[str], stored: Collection[str]) -> str | None:
    """Where an adapter holds the values that a table (of one or more tied names) had in its base.

    Those of a table that it replaces under each of its names do not matter.
    """
    modules = [_PREFIX + name.removesuffix("weight") for name in names]
    own = [
        key for module in modules for part in _BASE if (key := f"{module}{part}weight") in stored
    ]
    if own:
        return own[0]
    plain = [f"{module}weight" for module in modules]
    trained = [
        next((key for part in _TRAINED if (key := f"{module}{part}weight") in stored), None)
        for module in modules
    ]
    if not any(trained):
        # A table that was resized and not trained, or one that was trained under every name.
        return next((key for key in plain if key in stored), None)
    return next((key for key in trained if key), None) if all(trained) else None


def _cut(folder: Path, work: Path, tables: Sequence[str], rows: int) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / _FILE)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for key, dim in _keys_of(shapes, tables):
        tensors[key] = tensors[key].narrow(dim, 0, rows).contiguous()
    save_file(tensors, work / _FILE, {"format": "pt"})
    copyfile(folder / "adapter_config.json", work / "adapter_config.json")


def table_names(model: Any) -> list[tuple[str, ...]]:
    """The names of each table of tokens, tied ones together."""
    from safebasin.weights.parameters import parameter_groups

    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    own = {id(module.weight) for module in modules if module is not None}
    return [names for names, tensor in parameter_groups(model) if id(tensor) in own]


def separates_tables(checkpoint: Parts, model: Any) -> bool:
    """Whether a checkpoint has other values in two tables that `model` ties.

    It has where its adapter changes one of them, and where it is a whole model that stores both.
    What an adapter makes of both at once is seen when it is merged.
    """
    folder, adapter = checkpoint.folders
    groups = [names for names in table_names(model) if len(names) > 1]
    if not groups:
        return False
    if adapter is not None:
        return any(_changes_one(adapter, model, names) for names in groups)
    config = checkpoint.config().get_text_config()
    if config.tie_word_embeddings:
        return False
    where = {n: path for path in vet_model(
        folder, trust_remote_code=checkpoint.trust_remote_code
    ).weights for n, _, _ in read_header(path)}  # fmt: skip
    return any(not _stored_equal(where, names) for names in groups)


def _changes_one(folder: Path, model: Any, names: Sequence[str]) -> bool:
    """Whether an adapter's tensors change a table otherwise than all its names alike."""
    import torch
    from safetensors import safe_open

    rows_only = 0
    whole = []
    base = model.get_parameter(names[0]).detach().to("cpu", torch.float32)
    with safe_open(folder / _FILE, framework="pt") as file:
        for name in names:
            module = _PREFIX + name.removesuffix("weight")
            own = {key.removeprefix(module) for key in file.keys() if key.startswith(module)}  # noqa: SIM118
            changed = [part for part in own if part != "weight" and not part.startswith(_BASE)]
            if any("token_adapter" not in part for part in changed):
                return True
            rows_only += bool(changed)
            # A module that is saved whole, or a table that was resized and is as it was.
            whole.append(file.get_tensor(f"{module}weight").float() if "weight" in own else base)
    shared = min(map(len, whole))
    return rows_only > 1 or any(not torch.equal(whole[0][:shared], w[:shared]) for w in whole[1:])


def _stored_equal(where: Mapping[str, Path], names: Sequence[str]) -> bool:
    import torch
    from safetensors import safe_open

    values = []
    for name in names:
        if name in where:
            with safe_open(where[name], framework="pt") as file:
                values.append(file.get_tensor(name))
    return all(torch.equal(values[0], other) for other in values[1:])


def untie_tables(model: Any) -> list[tuple[str, ...]]:
    """Give each of the tied parameters values of its own; returns their names, group by group."""
    groups = separate(model)
    if groups:
        set_tied(model, False)
    return groups


def separate(model: Any) -> list[tuple[str, ...]]:
    """The same, leaving the config as it is."""
    from torch.nn import Parameter

    from safebasin.weights.parameters import tied_names

    groups = tied_names(model)
    for names in groups:
        for name in names[1:]:
            tensor = model.get_parameter(name)
            own = Parameter(tensor.detach().clone(), requires_grad=tensor.requires_grad)
            _replace(model, name, own)
    return groups


def share_equal(model: Any, groups: Sequence[Sequence[str]]) -> None:
    """Tie the parameters of the groups again, where all of them have kept equal values."""
    import torch

    def equal(names: Sequence[str]) -> bool:
        first = model.get_parameter(names[0])
        return all(torch.equal(model.get_parameter(name), first) for name in names[1:])

    if not groups:
        return
    whole = all(equal(names) for names in groups)
    for names in groups if whole else ():
        for name in names[1:]:
            _replace(model, name, model.get_parameter(names[0]))
    set_tied(model, whole)


def _replace(model: Any, name: str, parameter: Any) -> None:
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, parameter)


def set_tied(model: Any, tied: bool) -> None:
    for config in (model.config, model.config.get_text_config()):
        config.tie_word_embeddings = tied
