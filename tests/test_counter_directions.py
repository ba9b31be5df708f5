"""Directions drawn by a counter: their norms, bits and specs, and a landscape along them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from safebasin.cli.views.scan import law_lines
from safebasin.config import Normalise, ScanConfig
from safebasin.directions import (
    CounterGaussian,
    Direction,
    Gaussian,
    Orthogonal,
    Resident,
    cosine,
    digest,
    random_direction,
    rebuild,
)
from safebasin.directions.counter_noise import noise_key, whole_numbers
from safebasin.errors import DirectionError, RunMismatch, UsageError
from safebasin.run import RunFolder, strictjson
from safebasin.run.manifest import Manifest
from safebasin.run.verify import verify
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.weights import Parameter, Weights
from safebasin.weights.displacement import Tied
from support import pico
from test_stacked_matrices import mixture

DTYPES = [torch.float32, torch.bfloat16, torch.float16]
GOLDEN = "a4f18ccc99da846ba3c3108ed29e6c4f049bffed3967afe1f158b2e40ac704ed"
GOLDEN_ROWS = "6bf73d695b4c84ae72a89878804bb8f0c240dda8ce5936ac8989054264b64217"


class Whole:
    """A direction that is only to be had as whole tensors, as any other kind is."""

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.name = direction.name

    def spec(self) -> dict[str, Any]:
        return self.direction.spec()

    def tensor(self, parameter: Parameter) -> Tensor | None:
        return self.direction.tensor(parameter)


def plain() -> nn.Module:
    """Weights that need no random numbers."""
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            values = torch.arange(parameter.numel(), dtype=torch.float32) - 3
            parameter.copy_((values / 8).reshape(parameter.shape))
    return model


def drawn(direction: Direction, parameter: Parameter) -> np.ndarray:
    tensor = direction.tensor(parameter)
    assert tensor is not None
    assert tensor.dtype == torch.float32
    return tensor.double().numpy()


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("normalise", ["tensor", "row"])
def test_noise_is_scaled_to_the_weights(family: str, normalise: Normalise) -> None:
    model = pico.model(family)
    weights = Weights(model)
    direction = CounterGaussian(5, weights, normalise)
    for p in weights.parameters:
        z = whole_numbers(noise_key(5, p.name, p.shape), 0, int(np.prod(p.shape))) * 2.0**-20
        noise = z.double().numpy().reshape(p.shape)
        own = model.get_parameter(p.name).detach().double().numpy()
        other = None
        if normalise == "row" and len(p.shape) == 2:
            other = 1 - p.output_dim
        scale = np.linalg.norm(own, axis=other, keepdims=True) / np.linalg.norm(
            noise, axis=other, keepdims=True
        )
        expected = (noise * scale.astype(np.float32)).astype(np.float32)
        found = drawn(direction, p)
        # NumPy's norms add in another order: the factor may differ by one rounding.
        np.testing.assert_allclose(found, expected, rtol=3e-7)


@pytest.mark.parametrize("normalise", ["tensor", "row"])
def test_what_has_no_norm_does_not_move(normalise: Normalise) -> None:
    model = plain()
    with torch.no_grad():
        model[0].weight[2] = 0
        model[1].weight.zero_()
    weights = Weights(model)
    direction = CounterGaussian(0, weights, normalise)
    first, second = (next(p for p in weights.parameters if p.name == f"{i}.weight") for i in (0, 1))
    assert not drawn(direction, second).any()
    assert np.isfinite(drawn(direction, first)).all()
    assert (not drawn(direction, first)[2].any()) == (normalise == "row")
    only = Weights(model, include=["0.*"])
    assert CounterGaussian(0, only, normalise).tensor(second) is None
    assert CounterGaussian(0, only, normalise).term(second, 1.0) is None


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tied", ["once", "reference"])
@pytest.mark.parametrize("family", ["qwen2", "gpt2"])
def test_weights_move_as_by_whole_tensors_and_come_back(
    dtype: torch.dtype, tied: Tied, family: str
) -> None:
    model = pico.model(family, tied=True, dtype=dtype)
    weights = Weights(model, tied=tied)
    before = weights.checksum()
    first, second = CounterGaussian(0, weights, name="a"), CounterGaussian(1, weights, "row")
    terms = [(-0.35, second), (0.1, first)]
    with weights.displaced(terms):
        found = weights.checksum()
    assert weights.checksum() == before != found
    with weights.displaced([(c, Whole(d)) for c, d in terms]):
        assert weights.checksum() == found
    with weights.displaced([terms[0], (0.1, Whole(first))]):  # some in pieces, some whole
        assert weights.checksum() == found
    assert weights.checksum() == before


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
def test_experts_move_in_place_as_by_whole_tensors(kind: str) -> None:
    model = mixture(kind)
    weights = Weights(model)
    first, second = CounterGaussian(0, weights, name="a"), CounterGaussian(1, weights, "row")
    for terms in ([(0.1, first)], [(0.1, first), (-0.35, second)]):
        with weights.displaced(terms):
            found = weights.checksum()
        with weights.displaced([(c, Whole(d)) for c, d in terms]):
            assert weights.checksum() == found


@pytest.mark.parametrize("normalise", ["tensor", "row"])
def test_large_tensors_are_drawn_in_pieces(normalise: Normalise) -> None:
    model = nn.Linear(1031, 2048)  # more than two pieces, and rows that begin in any block
    weights = Weights(model)
    direction = CounterGaussian(3, weights, normalise)
    whole = direction.tensor(weights.parameters[0])
    pieces = direction.pieces(weights.parameters[0])
    assert (pieces is None) == (normalise == "row")
    if pieces is not None:
        assert torch.equal(torch.cat(list(pieces)).reshape(2048, 1031), whole)
    before = weights.checksum()
    expected = model.weight.detach() + whole * 0.25
    with weights.displaced([(0.25, direction)]):
        assert torch.equal(model.weight, expected)
    assert weights.checksum() == before


def test_too_large_a_displacement_is_an_error_and_is_undone() -> None:
    model = plain().half()
    weights = Weights(model)
    before = weights.checksum()
    with (
        pytest.raises(DirectionError, match="too large"),
        weights.displaced([(1e6, CounterGaussian(0, weights))]),
    ):
        pass
    assert weights.checksum() == before


def test_golden_digests() -> None:
    weights = Weights(plain())
    direction = CounterGaussian(123, weights)
    assert digest(direction, weights) == GOLDEN
    assert digest(CounterGaussian(123, weights, "row"), weights) == GOLDEN_ROWS
    assert digest(Resident(direction, weights), weights) == GOLDEN
    others = [
        CounterGaussian(124, weights),
        Gaussian(123, weights),
        Whole(direction),
        Resident(direction, weights, dtype=torch.bfloat16),
    ]
    assert len({GOLDEN, GOLDEN_ROWS, *(digest(other, weights) for other in others)}) == 6
    with torch.no_grad():
        model = plain()
        model[1].bias[0] = 7
    other = Weights(model)
    assert digest(CounterGaussian(123, other), other) != GOLDEN


def test_specs_rebuild_either_law() -> None:
    weights = Weights(plain())
    old = {"kind": "gaussian", "name": "gaussian-4", "seed": 4, "normalise": "row"}
    stream = rebuild(old, weights)
    assert type(stream) is Gaussian
    assert stream.spec() == old
    for seed in (-3, 2**70):
        direction = CounterGaussian(seed, weights, "row", name="n")
        spec = json.loads(json.dumps(direction.spec()))
        assert spec == {**old, "name": "n", "seed": seed, "law": "counter"}
        again = rebuild(spec, weights)
        assert type(again) is CounterGaussian
        assert digest(again, weights) == digest(direction, weights)
    with pytest.raises(DirectionError, match="no law 'other'"):
        rebuild({**old, "law": "other"}, weights)


def test_two_can_be_made_orthogonal() -> None:
    weights = Weights(pico.model("llama"))
    first, second = (random_direction(seed, weights, law="counter") for seed in (0, 1))
    third = Orthogonal(second, first)
    assert third.form == "tensor"
    assert abs(cosine(first, second, weights)) < 0.05
    assert abs(cosine(first, third, weights)) < 1e-7
    assert abs(cosine(first, Gaussian(0, weights), weights)) < 0.05
    assert digest(rebuild(third.spec(), weights), weights) == digest(third, weights)


def settings(tmp_path: Path, **changes: Any) -> ScanConfig:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo two\n", encoding="utf-8")
    model = tmp_path / "model"
    if not model.exists():
        pico.save(model)
    config = ScanConfig(
        model=str(model), prompts=str(prompts), steps=2, seeds=(0,), max_new_tokens=4,
        prompts_kind="harmful", device="cpu", judges=("llm-landscape",),
        out=str(tmp_path / "run"),
    )  # fmt: skip
    return replace(config, **changes)


def test_runs_of_either_law_resume_and_verify(tmp_path: Path) -> None:
    for law in ("stream", "counter"):
        config = settings(tmp_path, law=law, out=str(tmp_path / law))
        first = scan(prepare(config))
        point = sorted((first.folder / "points").iterdir())[-1]
        answers = point.read_bytes()
        point.unlink()
        stored = json.loads((first.folder / "manifest.json").read_text())
        if law == "stream":  # what an earlier version wrote knows no laws
            manifest = Manifest.from_json(stored)
            known = {name: value for name, value in manifest.config.items() if name != "law"}
            earlier = replace(manifest, config=known).to_json()
            (first.folder / "manifest.json").write_bytes(strictjson.dumps(earlier).encode())
        again = scan(prepare(ScanConfig.read(first.folder / "manifest.json")))
        assert again.complete
        assert point.read_bytes() == answers
        assert verify(first.folder).problems == ()
        [spec] = RunFolder.read(first.folder).manifest.identity["directions"]
        assert spec.get("law", "stream") == law
    with pytest.raises(RunMismatch):
        scan(prepare(settings(tmp_path, law="counter", out=str(tmp_path / "stream"))))


def test_the_settings_and_the_plan_tell_the_law(tmp_path: Path) -> None:
    config = settings(tmp_path)
    assert config.law == "stream"
    assert ScanConfig.from_json(replace(config, law="counter").to_json()).law == "counter"
    with pytest.raises(UsageError, match="'law' is wrong"):
        ScanConfig.from_json({**config.to_json(), "law": "dice"})
    assert law_lines(config, "cpu") == []
    assert "--law counter" in law_lines(config, "cuda")[0]
    assert "by a counter" in law_lines(replace(config, law="counter"), "cpu")[0]


def test_a_landscape_is_the_same_by_either_law(tmp_path: Path) -> None:
    found = {}
    for law in ("stream", "counter"):
        config = ScanConfig(
            model="testbed:aligned", seeds=(0, 1, 2, 3), radius=0.25, steps=2, limit=8,
            max_new_tokens=24, judges=("llm-landscape",), device="cpu", workers=1, law=law,
            out=str(tmp_path / law),
        )  # fmt: skip
        found[law] = scan(prepare(config)).summary
    stream, counter = (summary.visage for summary in found.values())
    assert stream.low < counter.value < stream.high
    assert counter.low < stream.value < counter.high
    assert stream.each != counter.each
