"""Where a comparison comes from: what `comparison.json` says of models, prompts and versions."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from safebasin.compare.comparison import Comparison
from safebasin.compare.preparation import prepare
from safebasin.compare.study import compare
from safebasin.report.studies import COMPARISON
from safebasin.run import RunFolder, sealed
from safebasin.run.folder import MANIFEST
from test_compare import planted_config


def stored(found: Comparison) -> dict[str, Any]:
    value: dict[str, Any] = sealed.read(found.folder / COMPARISON)
    return value


def fingerprint(folder: Path) -> str:
    """By hand: SHA-256 over the names and digests of the configs and the weights."""
    files = ["config.json", "generation_config.json", "model.safetensors"]
    digests = [
        (name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
        for name in files
        if (folder / name).exists()
    ]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def test_the_file_names_versions_command_models_prompts_and_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EXAMPLE_TOKEN", "a-secret-of-mine")
    command = ["/somewhere/bin/safebasin", "compare", f"{tmp_path}/base", "a-secret-of-mine"]
    monkeypatch.setattr(sys, "argv", command)
    config = planted_config(tmp_path, steps=2, refine=0)
    before = datetime.now(UTC).replace(microsecond=0)
    found = compare(prepare(config))
    value = stored(found)
    own = value.pop("provenance")
    assert value == json.loads(json.dumps(found.to_json())), "the numbers stay the numbers"
    date = datetime.fromisoformat(own["date"])
    assert date.utcoffset() == timedelta(0)
    assert before <= datetime.fromisoformat(own["measured"]["since"]) <= date
    assert own["versions"]["python"] == platform.python_version()
    for package in ("safebasin", "torch", "transformers"):
        assert own["versions"][package] == version(package)
    assert own["measured"]["versions"] == [own["versions"]]
    assert own["command"] == ["safebasin", "compare", "~/base", "[redacted]"]
    assert own["models"]["base"]["name"] == "base"
    prints = {end: model["fingerprint"] for end, model in own["models"].items()}
    assert prints == {end: fingerprint(tmp_path / end) for end in ("base", "tuned")}
    assert prints["base"] != prints["tuned"]
    assert own["prompts"]["path"]["prompts"] == 3
    assert len(own["prompts"]["path"]["sha256"]) == 64
    assert own["sample"] == {"limit": 3, "seed": 0}
    assert own["sampling"] == {"method": "greedy", "max_new_tokens": 8}
    text = json.dumps(own)
    assert str(tmp_path) not in text
    assert platform.node() not in text


def test_a_resumed_comparison_names_every_version_that_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = planted_config(tmp_path, steps=2, refine=0)
    first = stored(compare(prepare(config)))["provenance"]
    monkeypatch.setattr(
        "safebasin.run.provenance.versions", lambda: {"python": "3.99.0", "safebasin": "9.0"}
    )
    again = stored(compare(prepare(config)))["provenance"]
    assert again["versions"] == {"python": "3.99.0", "safebasin": "9.0"}
    assert again["measured"]["since"] == first["measured"]["since"]
    assert again["measured"]["versions"] == [first["versions"], again["versions"]]
    assert again["models"] == first["models"]
    third = stored(compare(prepare(config)))["provenance"]
    assert third["measured"] == again["measured"]


def test_the_date_of_measuring_is_that_of_the_first_sitting(tmp_path: Path) -> None:
    found = compare(prepare(planted_config(tmp_path, steps=2, refine=0)))
    manifest = RunFolder.read(found.folder / "path").manifest
    assert manifest.sessions[0]["started"] == stored(found)["provenance"]["measured"]["since"]
    assert (found.folder / "path" / MANIFEST).is_file()
