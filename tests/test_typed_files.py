"""Every field that is read from a file of a model or a run is checked where it is read."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from safebasin import testbed
from safebasin.checkpoint import Checkpoint
from safebasin.checkpoint.json_files import read_object
from safebasin.checkpoint.vetting import vet_model
from safebasin.errors import CheckpointError, RunError
from safebasin.run import RunFolder
from safebasin.run.study_file import read_study_file
from safebasin.run.study_shapes import StoredDivergence
from safebasin.run.typed import what_is_wrong
from support import bad_json
from support.run_samples import measured

MODEL = Path(testbed.model_path("aligned"))
ESTIMATE = {"value": 0.1, "low": 0.0, "high": 0.2, "level": 0.95, "at_least": False, "note": ""}
PAIR = {"n": 4, "before": ESTIMATE, "after": ESTIMATE, "rise": ESTIMATE, "mcnemar_p": 1.0}
COMPARISON: dict[str, Any] = {
    "base": "a", "tuned": "b", "prompts": "c (4)", "judge": "refusal", "tolerance": 0.1,
    "verdict": "PASS", "reasons": [], "checks": [
        {"name": "rise of ASR", "value": 0.0, "limit": 0.05, "side": "at most", "passed": True,
         "note": "", "state": "pass", "low": None, "high": 0.1, "unit": "points"},
    ],
    "asr": PAIR, "complied": None, "over_refusal": PAIR, "incoherent": None, "capability": None,
    "effective_length": ESTIMATE, "margin": None, "divergence": None, "landscape": None,
    "distances": [{"where": "all", "relative": 0.1, "weights": 5}],
}  # fmt: skip


def refusal(read: Callable[[Path], object], path: Path) -> str | None:
    """What is wrong with a file, a sentence that begins with its name; None where it is read."""
    try:
        read(path)
    except (CheckpointError, RunError) as error:
        return str(error)
    return None


def refusals(
    read: Callable[[Path], object], path: Path, whole: object, *, sealed: bool, step: int = 1
) -> list[str]:
    """What is said of each change of each field of a file, every `step`th alone."""
    said = []
    changes = itertools.product(bad_json.places(whole), (*bad_json.VALUES.values(), None))
    for place, text in itertools.islice(changes, 0, None, step):
        if place == ("digest",):
            continue
        data = bad_json.changed(whole, place, text)
        path.write_text(bad_json.sealed(data) if sealed else data)
        found = refusal(read, path)
        if found is not None:
            said.append(found)
    assert all(one.startswith(f"{path} ") and "\n" not in one for one in said)
    assert max(map(len, said)) < len(str(path)) + 250
    return said


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer_config.json"])
def test_a_field_of_a_model_is_read_or_is_one_sentence_that_names_it(
    name: str, tmp_path: Path
) -> None:
    whole = json.loads((MODEL / name).read_text())
    assert len(refusals(read_object, tmp_path / name, whole, sealed=False)) > 100


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        ("config.json", "vocab_size", "many", "has 'many' at vocab_size, where a whole number"),
        ("config.json", "num_hidden_layers", 2**40, "at num_hidden_layers, where a whole number"),
        ("config.json", "rope_parameters", [1], "has a list at rope_parameters, where an object"),
        ("config.json", "model_type", "x" * 2000, "where a text of at most 1000 characters"),
        ("config.json", "eos_token_id", [2, None], "has a list at eos_token_id, where the id"),
        ("generation_config.json", "eos_token_id", 2.5, "has 2.5 at eos_token_id, where the id"),
        ("generation_config.json", "do_sample", "no", "has 'no' at do_sample, where true or false"),
        ("tokenizer_config.json", "model_max_length", "1", "at model_max_length, where a number"),
        ("tokenizer_config.json", "bos_token", 1, "has 1 at bos_token, where a token's text"),
        ("tokenizer_config.json", "chat_template", [1], "at chat_template, where a template"),
    ],
)
def test_what_is_expected_is_said(
    name: str, field: str, value: object, said: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(MODEL, tmp_path / "model"))
    found = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(found | {field: value}))
    with pytest.raises(CheckpointError) as caught:
        vet_model(folder)
    assert f"{folder / name} {said}" in caught.value.message or (
        str(folder / name) in caught.value.message and said in caught.value.message
    )
    assert "ownload" not in caught.value.hint


def test_a_number_that_is_too_large_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"rope": {"theta": ' + "9" * 5000 + "}}")
    with pytest.raises(CheckpointError, match=r"a number is too large at rope\.theta"):
        read_object(path)


@pytest.mark.parametrize("what", sorted(bad_json.FILES))
def test_a_file_that_is_no_object_of_json_is_refused(what: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(bad_json.FILES[what])
    if what == "an empty object":
        assert read_object(path) == {}
        return
    with pytest.raises(CheckpointError) as caught:
        read_object(path)
    assert str(path) in caught.value.message
    run = measured(tmp_path / "run")
    (run / "manifest.json").write_bytes(bad_json.FILES[what])
    with pytest.raises(RunError, match=r"manifest\.json (is not strict JSON|lacks|was)"):
        RunFolder.read(run)


def test_what_architectures_write_beside_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"time_step_limit": [0.0, Infinity], "intermediate_size": [1, 2], "own": {}}')
    assert read_object(path)["intermediate_size"] == [1, 2]


def test_pipes_and_sockets_in_a_model_are_refused_unread(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MODEL, tmp_path / "model"))
    os.mkfifo(folder / "added_tokens.json")
    with pytest.raises(CheckpointError, match="is a pipe, a device or a socket"):
        vet_model(folder)
    (folder / "added_tokens.json").unlink()
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=r"config\.json is (a pipe|a link)"):
        vet_model(folder)
    (folder / "config.json").unlink()
    here = os.open(".", os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(folder)  # the path of a socket may not be long
        try:
            bound.bind("config.json")
        finally:
            os.fchdir(here)
            os.close(here)
        with pytest.raises(CheckpointError, match="is a pipe, a device or a socket"):
            vet_model(folder)


def test_a_name_that_no_path_can_have_is_a_sentence() -> None:
    for name in ("x" * 300, "y" * 5000, "a/" * 3000, "nul\0nul", "b@" + "c" * 5000):
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.parse(name).check()
        assert len(str(caught.value)) < 500


def test_a_field_of_a_manifest_is_read_or_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    run = measured(tmp_path / "run")
    path = run / "manifest.json"
    whole = json.loads(path.read_text())

    def read(_: Path) -> None:
        manifest = RunFolder.read(run).manifest
        assert all(isinstance(session, dict) for session in manifest.sessions)

    assert len(refusals(read, path, whole, sealed=True, step=2)) > 100


def test_a_field_of_a_comparison_is_read_or_is_one_sentence_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(bad_json.sealed(json.dumps(COMPARISON)))
    assert read_study_file(path) == COMPARISON
    assert len(refusals(read_study_file, path, COMPARISON, sealed=True, step=5)) > 100
    path.write_text(bad_json.sealed(bad_json.changed(COMPARISON, ("asr", "rise", "low"), '"no"')))
    with pytest.raises(RunError, match=r"has 'no' at asr\.rise\.low, where a number is expected"):
        read_study_file(path)


def test_a_derived_file_of_a_run_is_checked_where_it_is_read(tmp_path: Path) -> None:
    run = measured(tmp_path / "run")
    (run / "landscape.json").write_text('{"headline": ["refusal"]}')
    with pytest.raises(RunError, match="has a list at headline, where a text"):
        RunFolder.read(run).read_json("landscape.json")
    (run / "reference.json").write_text('{"answers": [{"prompt_id": 1}]}')
    with pytest.raises(RunError, match=r"has 1 at answers\.0\.prompt_id, where a text"):
        RunFolder.read(run).read_json("reference.json")


def test_a_run_that_names_no_model_is_a_sentence(tmp_path: Path) -> None:
    run = RunFolder.read(measured(tmp_path / "run"))
    with pytest.raises(RunError, match="does not name the model of the run"):
        _ = run.model_name


def test_names_outside_unicode_are_names() -> None:
    from safebasin.run.file_shapes import JudgeFile

    assert what_is_wrong(JudgeFile, {"schema_version": 1, "name": "\ud800", "spec": {}}) is None


def test_a_link_to_itself_is_a_sentence(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(MODEL, tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        vet_model(folder)


def test_a_header_larger_than_any_models_is_refused_unread(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    with (folder / "model.safetensors").open("wb") as file:
        file.write((60 * 2**20).to_bytes(8, "little"))
        file.truncate(60 * 2**20 + 8)
    with pytest.raises(CheckpointError, match="a header of 60 MB"):
        vet_model(folder)


@pytest.mark.parametrize(
    ("name", "value", "wrong"),
    [
        ("sequential.json", {"judge": "refusal", "cells": [{"point": {"u": "x"}}]}, "cells"),
        ("sequential.json", {"answers": -1}, "answers"),
        ("sequential.json", {"cells": 5}, "cells"),
    ],
)
def test_a_sequential_map_is_typed(
    tmp_path: Path, name: str, value: dict[str, Any], wrong: str
) -> None:
    run = measured(tmp_path / "run")
    (run / name).write_text(json.dumps(value))
    with pytest.raises(RunError, match=rf"{name} is damaged: it .*{wrong}"):
        RunFolder.read(run).read_json(name)


@pytest.mark.parametrize(
    "value",
    [
        {"measured": {}},
        {"measured": [{"identity": [], "prompts": []}]},
        {
            "measured": [
                {"identity": {}, "prompts": [{"id": 5, "tokens": 1, "first": 0, "mean": 0}]}
            ]
        },
        {"measured": [{"identity": {}, "prompts": [{"id": "a", "tokens": "b"}]}]},
    ],
    ids=str,
)
def test_a_stored_divergence_is_typed(value: dict[str, Any]) -> None:
    assert what_is_wrong(StoredDivergence, value) is not None
    whole = {"id": "a", "tokens": 1, "first": None, "mean": 0.5}
    good = {"measured": [{"identity": {"model": {}}, "prompts": [whole]}], "schema_version": 1}
    assert what_is_wrong(StoredDivergence, good) is None
