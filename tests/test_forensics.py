"""Weight forensics of a fine-tune, held against NumPy, matrix by matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from safebasin.attribution.random import random_like
from safebasin.attribution.settings import AttributeConfig
from safebasin.attribution.study import attribute
from safebasin.checkpoint import Checkpoint
from safebasin.compare.forensics import DRAWN, forensics, located_in
from safebasin.directions import Held
from safebasin.errors import DirectionError, RunError
from safebasin.weights import Weights
from safebasin.weights.masks import Mask
from safebasin.weights.subspaces import HeldSubspace
from support import pico

ASKED: dict[str, Any] = {
    "model": "testbed:aligned", "safety": "testbed:refusing", "utility": "testbed:benign",
    "rows": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(pico.model("llama"))


@pytest.fixture(scope="module")
def change(weights: Weights) -> Held:
    """Rank one in o_proj of block 1, anything in its down_proj, nothing elsewhere."""
    generator = torch.Generator().manual_seed(0)
    shapes = {p.name: p.shape for p in weights.parameters}
    out, down = (f"model.layers.1.{n}.weight" for n in ("self_attn.o_proj", "mlp.down_proj"))
    u, v = (torch.randn(n, 1, generator=generator) for n in shapes[out])
    return Held("change", {out: u @ v.T, down: torch.randn(shapes[down], generator=generator)})


def test_each_block_by_its_singular_values(weights: Weights, change: Held) -> None:
    everything = Mask({p.name: torch.ones(p.shape, dtype=torch.bool) for p in weights.parameters})
    found = {one.where: one for one in forensics(change, weights, everything).blocks}
    assert found["layer 0"].changed == 0
    assert (found["layer 0"].norm, found["layer 0"].effective_rank) == (0.0, None)
    steps = [one for p in weights.parameters if (one := change.tensor(p)) is not None]
    ranks = []
    for step in steps:
        values = np.linalg.svd(step.double().numpy(), compute_uv=False)
        share = values[values > 1e-12 * values[0]] / values.sum()
        ranks.append(np.exp(-(share * np.log(share)).sum()))
    assert ranks[0] == pytest.approx(1, abs=1e-5)
    block = found["layer 1"]
    assert (block.changed, block.tensors) == (2, 7)
    assert block.effective_rank == pytest.approx(np.mean(ranks), rel=1e-6)
    whole = np.sqrt(sum(float(step.double().square().sum()) for step in steps))
    assert block.norm == pytest.approx(whole)


def test_the_share_in_a_set_and_in_random_ones(weights: Weights, change: Held) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    [parameter] = [p for p in weights.parameters if p.name == name]
    step = change.tensor(parameter)
    assert step is not None
    mask = Mask({name: step.abs() > step.abs().quantile(0.9)}, name="largest")
    inside = forensics(change, weights, mask).inside
    squares = step.double().numpy() ** 2
    assert inside.share == pytest.approx(squares[mask.tensors[name].numpy()].sum() / squares.sum())
    for seed, share in enumerate(inside.random):
        drawn = random_like(mask, seed).tensors[name].numpy()
        assert share == pytest.approx(squares[drawn].sum() / squares.sum())
    assert len(inside.random) == DRAWN
    assert inside.share > 2 * max(inside.random)


def test_the_share_in_a_subspace(weights: Weights, change: Held) -> None:
    name = "model.layers.1.self_attn.o_proj.weight"
    [parameter] = [p for p in weights.parameters if p.name == name]
    step = change.tensor(parameter)
    assert step is not None
    u = torch.linalg.qr(torch.cat([step[:, :1], torch.eye(len(step), 1)], 1))[0]
    inside = forensics(change, weights, HeldSubspace("own", "output", {name: u})).inside
    assert inside.share == pytest.approx(1, abs=1e-5)
    assert max(inside.random) < 0.6
    assert 0 < (inside.spoken or 0) < 1
    other = {p.name: torch.eye(p.shape[0], 1) for p in weights.parameters if p.layer == 0}
    assert forensics(change, weights, HeldSubspace("no", "output", other)).inside.share is None


def test_what_an_attribution_s_folder_holds(tmp_path: Path, weights: Weights, change: Held) -> None:
    for method, kind in (("wanda", Mask), ("actsvd:1", HeldSubspace)):
        out = tmp_path / method.replace(":", "-")
        attribute(AttributeConfig(method, **ASKED, out=str(out)))
        located = located_in(out)
        assert isinstance(located, kind)
        assert isinstance(located_in(out, Checkpoint.parse(ASKED["model"])), kind)
        with pytest.raises(RunError, match="is of testbed:aligned, not of testbed:base"):
            located_in(out, Checkpoint.parse("testbed:base"))
        with pytest.raises(DirectionError, match=r"speaks of no weight|is of shape"):
            forensics(change, Weights(pico.model("gpt2")), located)
    attribute(AttributeConfig("angular-gap", **ASKED, out=str(tmp_path / "gap")))
    with pytest.raises(RunError, match="located no weights and no subspace"):
        located_in(tmp_path / "gap")
    with pytest.raises(RunError, match="is no record"):
        located_in(tmp_path / "nothing")
