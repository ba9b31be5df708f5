"""A scan of one interval of blocks: nothing else moves, and the noise is as long as in all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from safebasin.checkpoint import Checkpoint
from safebasin.config import ScanConfig
from safebasin.directions import Gaussian, cosine
from safebasin.errors import RunMismatch, UsageError
from safebasin.finetune import study as finetuning
from safebasin.finetune.settings import FinetuneConfig
from safebasin.protocol import peng2024
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from support import pico


@pytest.fixture
def config(tmp_path: Path) -> ScanConfig:
    (tmp_path / "prompts.txt").write_text("one\ntwo two\n", encoding="utf-8")
    return ScanConfig(
        model=str(pico.save(tmp_path / "model", num_hidden_layers=4)),
        prompts=str(tmp_path / "prompts.txt"),
        prompts_kind="harmful",
        steps=2,
        seeds=(0,),
        max_new_tokens=2,
        device="cpu",
        blocks="1-2",
        out=str(tmp_path / "run"),
    )


def test_the_other_blocks_stay_bit_for_bit_and_the_noise_is_as_long_as_in_all(
    config: ScanConfig,
) -> None:
    engine = prepare(config).engine
    weights, direction = engine.weights, engine.directions["gaussian-0"]
    before = {p.name: weights.pristine(p.name).clone() for p in weights.parameters}
    drawn: dict[str, Any] = {}
    for p in weights.parameters:
        step = Gaussian(0, weights).tensor(p)
        assert step is not None
        drawn[p.name] = step.double().numpy()
    length = np.sqrt(sum((one**2).sum() for one in drawn.values()))
    within = {p.name for p in weights.parameters if p.layer in (1, 2)}
    assert within
    assert within < drawn.keys()
    factor = length / np.sqrt(sum((drawn[name] ** 2).sum() for name in within))
    with weights.displaced([(0.25, direction)]):
        moved = {name: engine.model.get_parameter(name).detach().clone() for name in before}
    made = 0.0
    for name, own in before.items():
        if name in within:
            expected = own.double().numpy() + 0.25 * factor * drawn[name]
            np.testing.assert_allclose(moved[name].numpy(), expected, rtol=1e-5, atol=1e-7)
            step = direction.tensor(next(p for p in weights.parameters if p.name == name))
            assert step is not None
            made += float((step.double() ** 2).sum())
        else:
            assert torch.equal(moved[name], own)
    assert np.sqrt(made) == pytest.approx(length, rel=1e-6)
    assert all(torch.equal(engine.model.get_parameter(n), own) for n, own in before.items())


def test_it_goes_on_in_its_own_folder_alone_and_says_which_blocks(config: ScanConfig) -> None:
    first, again = scan(prepare(config)), scan(prepare(config))
    assert first.to_json() == again.to_json()
    assert "Only blocks 1 to 2 are displaced" in first.notes[0]
    [described] = json.loads((first.folder / "manifest.json").read_text())["identity"]["directions"]
    assert (described["kind"], described["first"], described["last"]) == ("restricted", 1, 2)
    assert described["direction"]["kind"] == "gaussian"
    for other in (replace(config, blocks="1"), replace(config, blocks=None)):
        with pytest.raises(RunMismatch):
            scan(prepare(other))


def test_both_axes_of_a_plane_are_restricted_and_orthogonal(config: ScanConfig) -> None:
    engine = prepare(replace(config, axes=2, seeds=(0, 1))).engine
    one, two = (engine.directions[name] for name in ("gaussian-0", "gaussian-1"))
    assert abs(cosine(one, two, engine.weights)) < 1e-6
    outside = [p for p in engine.weights.parameters if p.layer not in (1, 2)]
    assert all(d.tensor(p) is None for d in (one, two) for p in outside)


def test_a_saved_direction_is_restricted_wherever_its_file_lies(
    config: ScanConfig, tmp_path: Path
) -> None:
    weights = prepare(config).engine.weights
    own = {p.name: torch.ones(p.shape) for p in weights.parameters}
    described = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        save_file(own, tmp_path / place / "ones.safetensors")
        given = replace(
            config, seeds=None, directions=(str(tmp_path / place / "ones.safetensors"),)
        )
        [one] = prepare(given).identity["directions"]
        described.append(one)
    assert described[0] == described[1]
    assert (described[0]["kind"], described[0]["name"]) == ("restricted", "ones")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"blocks": "3-9"}, "no block 4, 5, 6 and 3 more"),
        ({"blocks": None, "layers": "0,9"}, "no block 9"),
    ],
)
def test_blocks_that_the_config_rules_out_are_refused_before_weights_are_read(
    config: ScanConfig, changes: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Checkpoint, "load", None)
    with pytest.raises(UsageError, match=said) as caught:
        prepare(replace(config, **changes))
    assert "Its blocks: 0 to 3." in caught.value.hint
    assert not Path(config.out or "").exists()


def test_so_are_frozen_ones(config: ScanConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint, "load", None)
    asked = FinetuneConfig(config.model, "explicit-10", "testbed:harmful", freeze_blocks="4")
    with pytest.raises(UsageError, match="no block 4"):
        finetuning.finetune(asked)


def test_what_is_no_interval_is_refused_at_once(config: ScanConfig) -> None:
    for text in ("3-2", "0,2", "a", "", "-1", "9999999"):
        with pytest.raises(UsageError, match="no interval of blocks"):
            replace(config, blocks=text)
    with pytest.raises(UsageError, match="does not name blocks"):
        replace(config, layers="b")


def test_a_config_whose_parts_have_blocks_of_their_own_says_nothing(
    config: ScanConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint.parse(config.model)
    known, _ = checkpoint._vet()
    checkpoint.require_blocks(None, "0-3")
    known.config["vision_config"] = {}
    monkeypatch.setattr(Checkpoint, "_vet", lambda self: (known, None))
    checkpoint.require_blocks("9")


def test_the_paper_displaces_all_blocks() -> None:
    assert peng2024.SETTINGS["blocks"] is None


def test_on_the_command_line(config: ScanConfig, command: Any) -> None:
    own = ("scan", config.model, "--prompts", config.prompts, "--prompts-kind", "harmful",
           "--seeds", "1", "--steps", "2", "--device", "cpu", "--out", config.out)  # fmt: skip
    code, out, err = command(*own, "--blocks", "0-1", "--dry-run", "--no-probe")
    assert code == 0, err
    assert "in blocks 0-1 alone" in out
    code, _, err = command(*own, "--blocks", "4")
    assert code == 2
    assert "The model has no block 4." in err
