"""Directions are drawn for the manifest, and not for a plan that needs no digest of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from safebasin.checkpoint import Checkpoint, checkpoint, hashing
from safebasin.conditions.preparation import prepare as prepare_conditions
from safebasin.conditions.settings import ConditionsConfig
from safebasin.config import ScanConfig
from safebasin.directions.gaussian import Gaussian
from safebasin.engines.fast.engine import FastEngine
from safebasin.errors import RunMismatch
from safebasin.run.identity import Identity, Late
from safebasin.run.names import default_folder
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.study import engine
from safebasin.weights import Weights
from support import pico

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the directions that digests were taken of."""
    names: list[str] = []
    taken = engine.digest

    def digest(direction: Any, weights: Weights) -> str:
        names.append(direction.name)
        return taken(direction, weights)

    monkeypatch.setattr(engine, "digest", digest)
    return names


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ScanConfig:
    monkeypatch.chdir(tmp_path)
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo two\n", encoding="utf-8")
    return ScanConfig(
        model=str(pico.save(tmp_path / "model")), prompts=str(prompts), prompts_kind="harmful",
        seeds=(0, 1), steps=2, max_new_tokens=3, device="cpu", workers=1,
    )  # fmt: skip


def changed(config: ScanConfig, **settings: Any) -> ScanConfig:
    return ScanConfig.from_json({**config.to_json(), **settings})


def test_a_plan_with_a_folder_draws_nothing(config: ScanConfig, drawn: list[str]) -> None:
    prepared = prepare(changed(config, out="there"))
    prepared.plan()
    assert prepared.folder == Path("there")
    assert drawn == []
    first, again = prepared.manifest(), prepared.manifest()
    assert drawn == ["gaussian-0", "gaussian-1"]
    assert first == again
    weights = Weights(Checkpoint.parse(config.model).load("float32", "cpu")[0])
    for seed, described in enumerate(first.identity["directions"]):
        own, total = Gaussian(seed, weights), hashlib.sha256()
        for view in sorted(weights.views(), key=lambda view: view.name):
            tensor = own.tensor(view)
            assert tensor is not None
            total.update(f"{view.name}\0{tuple(tensor.shape)}\0".encode())
            total.update(tensor.to(torch.float32).numpy().tobytes())
        assert described["digest"] == total.hexdigest()


def test_a_name_by_the_identity_is_found_once_the_plan_is_made(
    config: ScanConfig, drawn: list[str]
) -> None:
    prepared = prepare(config)
    assert prepared.plan(probe=False).answers_missing == 2 * 5
    assert drawn == []
    whole = {name: prepared.identity[name] for name in prepared.identity}
    assert prepared.folder == default_folder("model", whole)
    assert drawn == ["gaussian-0", "gaussian-1"]
    scan(prepared)
    # Now a run of this model is there, and which one it is takes the digests.
    resumed = prepare(config)
    assert resumed.plan(probe=False).answers_missing == 0
    assert resumed.folder == prepared.folder
    assert drawn == 2 * ["gaussian-0", "gaussian-1"]


def test_the_weights_are_hashed_once_a_plan_is_made(
    config: ScanConfig, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Checkpoint.parse(config.model).fingerprint()
    read: list[Path] = []
    taken = checkpoint.digest

    def digest(files: Sequence[Path], gives_up: Event | None = None) -> str:
        read.extend(files)
        return taken(files, gives_up)

    monkeypatch.setattr(checkpoint, "digest", digest)
    prepared = prepare(config)
    prepared.plan()
    assert read == []
    assert prepared.identity["model"]["fingerprint"] == expected
    assert [path.name for path in read].count("model.safetensors") == 1
    assert list(prepared.identity) == list(prepared.determining)
    assert next(iter(prepared.identity)) == "model"


def test_a_dry_run_says_where_the_run_would_lie(config: ScanConfig, command: Command) -> None:
    asked = [
        "scan", config.model, "--prompts", config.prompts, "--prompts-kind", "harmful", "--seeds",
        "2", "--steps", "2", "--max-new-tokens", "3", "--device", "cpu", "--dry-run", "--no-probe",
    ]  # fmt: skip
    code, out, _ = command(*asked)
    assert code == 0
    *_, run, end = out.splitlines()
    assert run == f"run      {prepare(config).folder}"
    assert end == "nothing written (dry run)"


def test_another_direction_in_the_folder_is_refused_before_anything_is_asked(
    config: ScanConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = changed(config, out="there")
    scan(prepare(own))
    monkeypatch.setattr(engine, "digest", lambda direction, weights: "0" * 64)
    prepared = prepare(own)
    monkeypatch.setattr(FastEngine, "answers", lambda *given: pytest.fail("asked"))
    message = r"^The run folder there was measured with other settings:\n  directions\[0\]\.digest"
    with pytest.raises(RunMismatch, match=message):
        scan(prepared)


def test_conditions_with_a_folder_draw_nothing(config: ScanConfig, drawn: list[str]) -> None:
    asked = ConditionsConfig(scan=changed(config, out="there"), systems=("template", "empty"))
    prepared = prepare_conditions(asked)
    prepared.plan(probe=False)
    assert drawn == []
    described = [one.identity["directions"] for one in prepared.conditions]
    assert described[0] == described[1]
    assert drawn == ["gaussian-0", "gaussian-1"]


def test_what_is_late_is_computed_once_and_only_where_it_is_read() -> None:
    computed: list[int] = []

    def compute() -> list[int]:
        computed.append(1)
        return [7]

    identity = Identity({"a": 1, "b": Late(compute), "c": {"d": 2}})
    longer = identity.mapped(lambda value: [value]) | {"e": 5}
    assert list(longer) == ["a", "b", "c", "e"]
    assert (longer["a"], longer["c"]) == ([1], [{"d": 2}])
    assert computed == []
    assert longer == {"a": [1], "b": [7], "c": [{"d": 2}], "e": 5}
    assert identity == {"a": 1, "b": [7], "c": {"d": 2}}
    assert computed == [1]


def test_a_fingerprint_is_given_up_where_the_model_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "PIECE", 64)
    one = Checkpoint.parse(str(pico.save(tmp_path / "model")))
    expected = Checkpoint.parse(one.base).fingerprint()
    with one.hashed_meanwhile():
        pass
    assert one.fingerprint() == expected
    broken = Checkpoint.parse(one.base)
    with pytest.raises(ValueError, match="unreadable"), broken.hashed_meanwhile():
        raise ValueError("unreadable")
    assert broken._gives_up.is_set()
    broken._hashed.exception(timeout=60)  # it has ended, by its end or given up
