"""Patterns of an adapter's settings: none, quick, or one that would never end."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from safebasin import testbed
from safebasin.checkpoint import Checkpoint, adapter_patterns
from safebasin.checkpoint.adapter_patterns import require_quick
from safebasin.directions.lora import read_lora
from safebasin.errors import CheckpointError

NAMES = [f"model.layers.{i}.{m}" for i in range(30) for m in ("self_attn.q_proj", "mlp.up_proj")]
ENDLESS = r"(\w+\.?)+!"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_patterns, "SECONDS", 0.5)


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": r"([\w.]+)+!"},
        {"target_modules": r"((model|layers|self_attn|mlp|\w+|\.)*)*!"},
        {"exclude_modules": r"(?:.*.*)*.*.*.*.*.*.*.*.*zz"},
        {"rank_pattern": {ENDLESS: 8}},
        {"alpha_pattern": {"q_proj": 8, ENDLESS: 8}},
        {"layers_pattern": [r"([\w.]+|\w+)*!"]},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_an_endless_pattern_is_one_sentence(settings: dict[str, Any], soon: None) -> None:
    field = next(iter(settings))
    before = time.monotonic()
    with pytest.raises(CheckpointError, match=f"a pattern at {field} that was not matched"):
        require_quick(Path("adapter"), settings, NAMES)
    assert time.monotonic() - before < 10


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"target_modules": ["q_proj", "("], "rank_pattern": None},
        {"target_modules": "all-linear"},
        # As Unsloth and PEFT write them.
        {"target_modules": r".*\.(?:self_attn|mlp)\.(?:q_proj|up_proj)"},
        {
            "target_modules": r"(?:.*?(?:language|text).*?(?:attn|mlp).*?(?:q_proj|k_proj).*?)|"
            r"(?:\bmodel\.layers\.[\d]{1,}\.(?:mlp|self_attn)\.(?:(?:q_proj|up_proj)))"
        },
        {"rank_pattern": {"layers.1.mlp.up_proj": 4}, "layers_pattern": "layers"},
    ],
    ids=str,
)
def test_patterns_as_they_are_written_are_taken(settings: dict[str, Any]) -> None:
    require_quick(Path("adapter"), settings, NAMES)


def test_what_is_no_pattern_is_one_sentence_at_both_doors(tmp_path: Path) -> None:
    folder = shutil.copytree(testbed.model_path("benign"), tmp_path / "adapter")
    file = folder / "adapter_config.json"
    own = json.loads(file.read_text())
    file.write_text(json.dumps({**own, "target_modules": "["}))
    with pytest.raises(CheckpointError, match="at target_modules that is no regular expression"):
        Checkpoint.parse(f"{testbed.model_path('aligned')}+{folder}").load(device="cpu")
    file.write_text(json.dumps({**own, "rank_pattern": {"(": 4}}))
    with pytest.raises(CheckpointError, match="at rank_pattern that is no regular expression"):
        read_lora(folder)
