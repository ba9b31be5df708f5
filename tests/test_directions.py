"""Directions: the same everywhere, scaled to the weights, orthogonal on request."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from safebasin.checkpoint import Checkpoint
from safebasin.directions import (
    CounterGaussian,
    Direction,
    Gaussian,
    Given,
    Orthogonal,
    Resident,
    Toward,
    base,
    cosine,
    digest,
    orthogonal,
    rebuild,
)
from safebasin.directions.resident import bytes_to_hold
from safebasin.errors import DirectionError
from safebasin.weights import Weights, sums
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import inner, row_inner
from support import pico

GOLDEN = "82fa086b4e4c04a24ef70c9dc602603bfbb8a88588a3bc2b15d481cff3ca9f84"
GOLDEN_ROWS = "377d183c833a53589f2b9ddcafa4b7bb331f24af444ecd0b3454c4b3f5890686"


def plain() -> nn.Module:
    """Weights that need no random numbers: the same on every machine and version."""
    model = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            values = torch.arange(parameter.numel(), dtype=torch.float32) - 3
            parameter.copy_((values / 8).reshape(parameter.shape))
    return model


def rows(tensor, parameter):
    return tensor.double().movedim(parameter.output_dim, 0).flatten(1)


def two_norm(tensor):
    return tensor.double().square().sum().sqrt().item()


def all_equal(a: Direction, b: Direction, weights: Weights) -> bool:
    return all(torch.equal(a.tensor(v), b.tensor(v)) for v in weights.views())


# --- random directions ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_norm_law_holds_for_tensors(family, dtype):
    model = pico.model(family, dtype=dtype)
    weights = Weights(model)
    direction = Gaussian(0, weights)
    for p in weights.parameters:
        tensor = direction.tensor(p)
        assert tensor.dtype == torch.float32
        assert tuple(tensor.shape) == p.shape
        assert two_norm(tensor) == pytest.approx(two_norm(model.get_parameter(p.name)), rel=1e-6)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_norm_law_holds_for_rows(family):
    model = pico.model(family)
    weights = Weights(model)
    direction = Gaussian(0, weights, "row")
    for p in weights.parameters:
        tensor, own = direction.tensor(p), model.get_parameter(p.name)
        if len(p.shape) == 1:
            assert two_norm(tensor) == pytest.approx(two_norm(own), rel=1e-6)
        else:
            torch.testing.assert_close(
                rows(tensor, p).norm(dim=1), rows(own, p).norm(dim=1), rtol=1e-6, atol=0
            )
    # A row of GPT-2's transposed matrices is a column of the stored tensor.
    if family == "gpt2":
        fc = next(p for p in weights.parameters if p.name.endswith("0.mlp.c_fc.weight"))
        own = model.get_parameter(fc.name)
        torch.testing.assert_close(direction.tensor(fc).norm(dim=0), own.norm(dim=0))
        assert not torch.allclose(direction.tensor(fc).norm(dim=1), own.norm(dim=1))


@pytest.mark.parametrize("normalise", ["tensor", "row"])
def test_what_has_no_norm_does_not_move(normalise):
    model = plain()
    with torch.no_grad():
        model[0].weight[2] = 0
        model[1].weight.zero_()
    weights = Weights(model)
    direction = Gaussian(0, weights, normalise)
    first, second = (next(p for p in weights.parameters if p.name == f"{i}.weight") for i in (0, 1))
    assert torch.equal(direction.tensor(second), torch.zeros(second.shape))
    assert direction.tensor(first).isfinite().all()
    assert bool((direction.tensor(first)[2] == 0).all()) == (normalise == "row")


def test_excluded_parameters_have_no_direction():
    weights = Weights(pico.model("llama"), exclude=["lm_head*"])
    direction = Gaussian(0, weights)
    every = Weights(pico.model("llama"), exclude_norms=False).parameters
    assert {p.name for p in every if direction.tensor(p) is not None} == {
        p.name for p in weights.parameters
    }
    assert direction.tensor(next(p for p in every if p.name == "lm_head.weight")) is None


@pytest.mark.parametrize("ahead", [0, 1 << 10, base.AHEAD_BYTES])
def test_a_digest_is_over_the_tensors_in_order_however_many_are_drawn_at_once(ahead, monkeypatch):
    monkeypatch.setattr(base, "AHEAD_BYTES", ahead)
    weights = Weights(pico.model("llama", tied=True))
    direction, total = Gaussian(5, weights), hashlib.sha256()
    for view in sorted(weights.views(), key=lambda view: view.name):
        tensor = Gaussian(5, weights).tensor(view)
        total.update(f"{view.name}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.numpy().tobytes())
    assert digest(direction, weights) == total.hexdigest()
    assert digest(direction, weights) == total.hexdigest()  # by the factors that it keeps


def test_a_mistake_in_a_tensor_drawn_ahead_is_raised():
    class Broken(Gaussian):
        def tensor(self, parameter):
            if parameter is weights.views()[-1]:
                raise DirectionError("No such tensor.", "Give another.")
            return super().tensor(parameter)

    weights = Weights(pico.model("llama"))
    with pytest.raises(DirectionError, match="No such tensor"):
        digest(Broken(5, weights), weights)


def test_golden_digests():
    weights = Weights(plain())
    assert digest(Gaussian(123, weights), weights) == GOLDEN
    assert digest(Gaussian(123, weights, "row"), weights) == GOLDEN_ROWS


def test_noise_is_what_the_documentation_says():
    from hashlib import sha256

    weights = Weights(plain())
    p = weights.parameters[0]
    entropy = int.from_bytes(
        sha256(b"safebasin gaussian 1\x007\x000.weight\x006x8").digest(), "big"
    )
    noise = np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy))).standard_normal(
        (6, 8), dtype=np.float32
    )
    scale = np.float32(
        np.linalg.norm(plain()[0].weight.detach().double().numpy())
        / np.linalg.norm(noise.astype(np.float64))
    )
    assert np.array_equal(Gaussian(7, weights).tensor(p).numpy(), noise * scale)


def test_noise_is_standard_normal():
    model = nn.Linear(400, 500, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)  # so that each entry of the direction is N(0, 1)
    weights = Weights(model)
    noise = Gaussian(5, weights).tensor(weights.parameters[0]).double().flatten()
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.pow(3).mean().item() == pytest.approx(0, abs=0.03)
    assert noise.pow(4).mean().item() == pytest.approx(3, abs=0.06)
    assert (noise.abs() < 1).double().mean().item() == pytest.approx(0.6827, abs=0.005)


def test_a_tensor_depends_on_seed_name_and_shape_alone():
    small = Weights(pico.model("llama", num_hidden_layers=2))
    large = Weights(pico.model("llama", num_hidden_layers=3, vocab_size=300))
    a, b = Gaussian(9, small), Gaussian(9, large)

    def unit(direction, p):
        tensor = direction.tensor(p)
        return tensor / two_norm(tensor)

    large_by_name = {p.name: p for p in large.parameters}
    compared = 0
    for p in reversed(small.parameters):
        other = large_by_name[p.name]
        if p.shape == other.shape:
            torch.testing.assert_close(unit(a, p), unit(b, other), rtol=1e-5, atol=1e-8)
            compared += 1
    assert compared == len(small.parameters) - 2
    # The same request twice, in whatever order, gives the same bits.
    p, q = small.parameters[:2]
    once, other = a.tensor(p), a.tensor(q)
    assert torch.equal(a.tensor(q), other)
    assert torch.equal(a.tensor(p), once)
    # Each of the three matters.
    assert not torch.equal(once, Gaussian(10, small).tensor(p))
    square = [p for p in small.parameters if p.name.endswith("q_proj.weight")]
    assert not torch.equal(unit(a, square[0]), unit(a, square[1]))
    wide, tall = (
        Weights(nn.Linear(*size, bias=False)).parameters[0].shape for size in ((2, 8), (4, 4))
    )
    noises = []
    for shape in (wide, tall):
        layer = nn.Linear(shape[1], shape[0], bias=False)
        weights = Weights(layer)
        tensor = Gaussian(0, weights).tensor(weights.parameters[0])
        noises.append((tensor / two_norm(tensor)).flatten())
    assert not torch.allclose(*noises)


def test_the_global_random_state_is_neither_used_nor_changed():
    weights = Weights(plain())
    torch.manual_seed(0)
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = digest(Gaussian(0, weights), weights)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    torch.manual_seed(1)
    np.random.seed(1)
    assert digest(Gaussian(0, weights), weights) == first


def test_another_process_draws_the_same():
    code = (
        "import torch\nfrom torch import nn\n"
        "from safebasin.directions import Gaussian, digest\n"
        "from safebasin.weights import Weights\n"
        f"{inspect.getsource(plain)}\n"
        "weights = Weights(plain())\n"
        "print(digest(Gaussian(123, weights), weights))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "17", "OMP_NUM_THREADS": "2"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == GOLDEN


def test_a_sharded_load_draws_the_same(tmp_path):
    digests = set()
    for shard in (None, "20KB"):
        folder = pico.save(tmp_path / str(shard), "qwen2", shard=shard)
        weights = Weights(Checkpoint(str(folder)).load("float32", "cpu")[0])
        digests.add(digest(Gaussian(4, weights), weights))
    assert len(digests) == 1


# --- orthogonality --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["tensor", "row", "global"])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_orthogonal_directions(family, form):
    weights = Weights(pico.model(family))
    normalise = "row" if form == "row" else "tensor"
    first, second = Gaussian(0, weights, normalise), Gaussian(1, weights, normalise)
    made = Orthogonal(second, first, weights, form)
    assert abs(cosine(first, second, weights)) > 1e-4
    assert abs(cosine(first, made, weights)) < 1e-6
    assert cosine(second, made, weights) > 0.9
    for p in weights.parameters:
        a, b, wanted = made.tensor(p), first.tensor(p), second.tensor(p)
        if form == "tensor":
            assert two_norm(a) == pytest.approx(two_norm(wanted), rel=1e-6)
            assert abs((a.double() * b.double()).sum().item()) < 1e-6 * two_norm(a) * two_norm(b)
        if form == "row" and len(p.shape) == 2:
            a, b, wanted = rows(a, p), rows(b, p), rows(wanted, p)
            torch.testing.assert_close(a.norm(dim=1), wanted.norm(dim=1), rtol=1e-6, atol=0)
            assert ((a * b).sum(1).abs() <= 1e-6 * a.norm(dim=1) * b.norm(dim=1)).all()
    if form == "global":
        whole = [
            math.sqrt(sum(two_norm(d.tensor(p)) ** 2 for p in weights.parameters))
            for d in (made, first)
        ]
        assert whole[0] == pytest.approx(whole[1], rel=1e-6)
        # One coefficient for all tensors, by the textbook formula.
        flat = [
            torch.cat([d.tensor(p).flatten() for p in weights.parameters]).double()
            for d in (first, second, made)
        ]
        rest = flat[1] - (flat[0] @ flat[1]) / (flat[0] @ flat[0]) * flat[0]
        torch.testing.assert_close(
            flat[2], rest * flat[0].norm() / rest.norm(), rtol=1e-5, atol=1e-7
        )


def test_the_form_follows_the_normalisation():
    weights = Weights(plain())
    for normalise in ("tensor", "row"):
        a, b = (Gaussian(seed, weights, normalise) for seed in (0, 1))
        assert Orthogonal(b, a).form == normalise
        assert Orthogonal(b, a).name == b.name
    with pytest.raises(DirectionError, match="without the weights"):
        Orthogonal(Resident(b, weights), a)


def test_a_block_of_one_element_becomes_zero():
    model = nn.Sequential(nn.Linear(8, 1), nn.Linear(1, 3))
    weights = Weights(model)
    a, b = Gaussian(0, weights), Gaussian(1, weights)
    made = Orthogonal(b, a)
    bias = next(p for p in weights.parameters if p.name == "0.bias")
    assert torch.equal(made.tensor(bias), torch.zeros(1))
    by_row = Orthogonal(Gaussian(1, weights, "row"), Gaussian(0, weights, "row"))
    column = next(p for p in weights.parameters if p.name == "1.weight")
    assert torch.equal(by_row.tensor(column), torch.zeros(3, 1))
    assert abs(cosine(a, made, weights)) < 1e-6


@pytest.mark.parametrize("form", ["tensor", "row", "global"])
def test_parallel_directions_are_an_error(form, tmp_path):
    weights = Weights(pico.model("llama"))
    first = Gaussian(0, weights)
    save_file(
        {p.name: -3 * first.tensor(p) for p in weights.parameters}, tmp_path / "d.safetensors"
    )
    for second in (Gaussian(0, weights, name="again"), Given(tmp_path / "d.safetensors", weights)):
        with pytest.raises(DirectionError, match="parallel"):
            Orthogonal(second, first, weights, form)


def test_cosines():
    weights = Weights(pico.model("llama"))
    a, b = Gaussian(0, weights), Gaussian(1, weights)
    flat = [torch.cat([d.tensor(p).flatten().double() for p in weights.parameters]) for d in (a, b)]
    expected = torch.nn.functional.cosine_similarity(*flat, dim=0).item()
    assert cosine(a, b, weights) == pytest.approx(expected, rel=1e-9)
    assert cosine(a, a, weights) == pytest.approx(1)
    nothing = Gaussian(0, weights.select(include=["lm_head*"]))
    elsewhere = weights.select(exclude=["lm_head*"])
    with pytest.raises(DirectionError, match="zero"):
        cosine(nothing, a, elsewhere)


# --- saved directions -----------------------------------------------------------------------------


def reference_file(path, model, steps=20, multiplier=1.0):
    """What the reference code saves: d·multiplier/steps for every name of the state."""
    torch.manual_seed(0)
    saved, whole = {}, {}
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape)
        noise = torch.zeros_like(noise) if "norm" in name else noise / noise.norm() * tensor.norm()
        whole[name] = noise
        saved[name] = noise * multiplier / steps
    torch.save(saved, path)
    return whole


@pytest.mark.parametrize("tied", [False, True])
def test_directions_of_the_reference_code(tmp_path, tied):
    model = pico.model("llama", tied=tied)
    whole = reference_file(tmp_path / "dirs1.pt", model, steps=10, multiplier=2.0)
    weights = Weights(model)
    given = Given.reference(tmp_path / "dirs1.pt", weights, steps=10, multiplier=2.0)
    assert given.name == "dirs1"
    for p in weights.parameters:
        torch.testing.assert_close(given.tensor(p), whole[p.name], rtol=1e-6, atol=1e-8)
    # The reference code visits W0 + k·(d/steps); at k steps of the line we must be there too.
    start = {n: t.clone() for n, t in model.state_dict().items()}
    as_reference = Weights(model, tied="reference")
    with as_reference.displaced([(0.4, given)]):
        for p in weights.parameters:
            expected = start[p.name] + sum(0.4 * whole[name] for name in p.names)
            torch.testing.assert_close(model.get_parameter(p.name).data, expected)


def test_a_file_may_know_a_tied_tensor_by_its_other_name(tmp_path):
    model = pico.model("llama", tied=True)
    weights = Weights(model, include=["lm_head*"])
    p = weights.parameters[0]
    tensor = torch.randn(p.shape)
    save_file({"lm_head.weight": tensor}, tmp_path / "one.safetensors")
    given = Given(tmp_path / "one.safetensors", weights, scale=2.0)
    assert p.name == "model.embed_tokens.weight"
    assert torch.equal(given.tensor(p), tensor * 2)
    start = model.get_input_embeddings().weight.clone()
    twice = Weights(model, include=["lm_head*"], tied="reference")
    with twice.displaced([(1.0, given)]):
        assert torch.equal(model.get_input_embeddings().weight, start + 2 * tensor)


def test_files_that_do_not_fit_are_named(tmp_path):
    model = plain()
    weights = Weights(model)
    good = {n: torch.ones_like(t) for n, t in model.state_dict().items()}

    def attempt(tensors, match, **options):
        torch.save(tensors, tmp_path / "d.pt")
        with pytest.raises(DirectionError, match=match):
            Given(tmp_path / "d.pt", weights, **options)

    attempt({**good, "2.weight": torch.ones(1)}, r"does not have: 2\.weight")
    attempt({**good, "0.bias": torch.ones(7)}, r"other shapes: 0\.bias \(7,\), not \(6,\)")
    attempt({"0.bias": good["0.bias"]}, r"no tensors for: 0\.weight")
    attempt({**good, "0.bias": torch.full((6,), math.nan)}, r"no finite numbers: 0\.bias")
    attempt({**good, "0.bias": torch.ones(6, dtype=torch.int64)}, "no finite numbers")
    attempt([1, 2], "not a dict")
    attempt(good, "scale", scale=0.0)
    (tmp_path / "cut.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(DirectionError, match="cannot be read"):
        Given(tmp_path / "cut.safetensors", weights)
    with pytest.raises(DirectionError, match="no file"):
        Given(tmp_path / "none.pt", weights)
    torch.save({"0.bias": good["0.bias"]}, tmp_path / "part.pt")
    partial = Given(tmp_path / "part.pt", weights, partial=True)
    moved = [p.name for p in weights.parameters if partial.tensor(p) is not None]
    assert moved == ["0.bias"]


class Sentinel:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_not_opened(tmp_path, zipped):
    weights = Weights(plain())
    sentinel, path = tmp_path / "touched", tmp_path / "dirs1.pt"
    if zipped:
        torch.save({"0.weight": Sentinel(str(sentinel))}, path)
    else:
        path.write_bytes(pickle.dumps({"0.weight": Sentinel(str(sentinel))}))
    with pytest.raises(DirectionError, match=r"dirs1\.pt"):
        Given(path, weights)
    assert not sentinel.exists()


# --- toward another model -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_toward_another_model(tmp_path, dtype):
    here = pico.save(tmp_path / "a", seed=0, dtype=dtype)
    there = pico.save(tmp_path / "b", seed=1, dtype=dtype)
    model, _ = Checkpoint(str(here)).load(dtype, "cpu")
    goal, _ = Checkpoint(str(there)).load(dtype, "cpu")
    weights = Weights(model, exclude_norms=False)
    direction = Toward(Checkpoint(str(there)), weights)
    start = {n: t.clone() for n, t in model.named_parameters()}
    with weights.displaced([(0.0, direction)]):
        assert all(torch.equal(t, start[n]) for n, t in model.named_parameters())
    for at in (1.0, 0.5, -0.2, 1.2):
        with weights.displaced([(at, direction)]):
            for name, tensor in model.named_parameters():
                a, b = start[name].double(), goal.get_parameter(name).double()
                exact = (1 - at) * a + at * b
                # One unit in the last place, besides the float32 arithmetic on a, b and b - a.
                bound = torch.finfo(dtype).eps * exact.abs() + 2**-22 * (a.abs() + b.abs())
                assert ((tensor.double() - exact).abs() <= bound).all(), (at, name)
    again = rebuild(json.loads(json.dumps(direction.spec())), weights)
    assert all_equal(direction, again, weights)
    pico.save(there, seed=2, dtype=dtype)
    with pytest.raises(DirectionError, match="not the checkpoint"):
        rebuild(direction.spec(), weights)


def test_toward_another_architecture_is_an_error(tmp_path):
    weights = Weights(pico.model("llama"))
    with pytest.raises(DirectionError, match=r"k_proj"):
        Toward(Checkpoint(str(pico.save(tmp_path / "b", "llama-mha"))), weights)
    with pytest.raises(DirectionError, match=r"lacks 'model\.layers\.0\.self_attn\.q_proj"):
        Toward(Checkpoint(str(pico.save(tmp_path / "c", "phi3"))), weights)


# --- any direction --------------------------------------------------------------------------------


def test_specs_rebuild_the_same_direction(tmp_path):
    model = plain()
    weights = Weights(model)
    save_file({n: t + 1 for n, t in model.state_dict().items()}, tmp_path / "d.safetensors")
    a, b = Gaussian(-3, weights), Gaussian(2**70, weights, "row", name="second")
    given = Given(tmp_path / "d.safetensors", weights, scale=0.25, name="saved")
    for direction in (
        a,
        b,
        given,
        Orthogonal(b, a),
        Orthogonal(given, a, weights, name="g"),
        Resident(a, weights),
        Resident(a, weights, dtype=torch.bfloat16),
    ):
        again = rebuild(json.loads(json.dumps(direction.spec())), weights)
        assert again.name == direction.name
        assert again.spec() == direction.spec()
        assert digest(again, weights) == digest(direction, weights)
    save_file({n: t + 2 for n, t in model.state_dict().items()}, tmp_path / "d.safetensors")
    with pytest.raises(DirectionError, match="not the file"):
        rebuild(given.spec(), weights)
    for bad in ({"kind": "new"}, {"kind": "gaussian"}, {}):
        with pytest.raises(DirectionError):
            rebuild(bad, weights)


def test_a_resident_direction_is_the_same_bit_for_bit():
    weights = Weights(pico.model("llama", tied=True), tied="reference")
    direction = Gaussian(0, weights)
    resident = Resident(direction, weights, workers=3)
    assert all_equal(direction, resident, weights)
    assert resident.spec() == direction.spec()
    assert digest(resident, weights) == digest(direction, weights)
    assert resident.tensor(weights.views()[0]) is resident.tensor(weights.views()[0])
    rounded = Resident(direction, weights, dtype=torch.bfloat16)
    assert rounded.tensor(weights.views()[0]).dtype == torch.float32
    assert digest(rounded, weights) != digest(direction, weights)
    assert rounded.tensor(Parameter("elsewhere", (1,))) is None


def test_a_resident_direction_draws_each_tensor_once_when_it_is_asked_for():
    weights = Weights(pico.model("llama", tied=True), tied="reference")
    asked = []

    class Counted(Gaussian):
        def tensor(self, parameter):
            asked.append(parameter.name)
            return super().tensor(parameter)

    views = weights.views()
    resident = Resident(Counted(0, weights), weights, when_asked=True)
    cpu = torch.device("cpu")
    sizes = [4 * math.prod(view.shape) for view in views]
    assert asked == []
    assert resident.concurrent
    assert bytes_to_hold([resident, Gaussian(1, weights)], cpu) == sum(sizes)
    assert bytes_to_hold([resident], torch.device("meta")) == 0
    first = resident.tensor(views[0])
    assert resident.missing_bytes == sum(sizes) - sizes[0]
    assert digest(resident, weights) == digest(Gaussian(0, weights), weights)
    assert all_equal(Gaussian(0, weights), resident, weights)
    assert sorted(asked) == sorted(view.name for view in views)
    assert resident.tensor(views[0]) is first
    assert resident.missing_bytes == 0
    assert not resident.concurrent  # nothing is left to draw
    assert resident.tensor(Parameter("elsewhere", (1,))) is None
    with weights.displaced([(0.5, Gaussian(0, weights))]):
        expected = {n: t.clone() for n, t in weights.model.state_dict().items()}
    again = Resident(Gaussian(0, weights), weights, when_asked=True)
    for _ in range(2):
        with weights.displaced([(0.5, again)]):
            found = weights.model.state_dict()
            assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def test_a_direction_at_right_angles_is_drawn_by_threads_where_its_own_are():
    weights = Weights(plain())
    a, b, counter = Gaussian(0, weights), Gaussian(1, weights), CounterGaussian(2, weights)
    assert Orthogonal(b, a).concurrent
    assert Orthogonal(b, counter).concurrent
    assert Orthogonal(b, Resident(a, weights)).concurrent
    assert not Orthogonal(counter, a).concurrent

    class Foreign:
        """Says nothing of threads."""

        name = "foreign"

        def tensor(self, parameter):
            return a.tensor(parameter)

    assert not Orthogonal(b, Foreign()).concurrent


def test_the_digest_sees_every_bit_and_no_order():
    weights = Weights(plain())
    direction = Gaussian(0, weights)
    before = digest(direction, weights)
    backwards = Weights(plain())
    backwards._selected = dict(reversed(backwards._selected.items()))
    assert [p.name for p in backwards.parameters] != [p.name for p in weights.parameters]
    assert digest(Gaussian(0, backwards), backwards) == before

    class Nudged:
        name = "nudged"

        def spec(self):
            return {}

        def tensor(self, parameter):
            tensor = direction.tensor(parameter)
            if parameter.name == "1.bias":
                tensor[0] = torch.nextafter(tensor[0], torch.tensor(9.0))
            return tensor

    assert digest(Nudged(), weights) != before


# --- sums -----------------------------------------------------------------------------------------


def test_sums_do_not_depend_on_a_library():
    """The documented order, written out with Python's own numbers."""

    def halve(values):
        while len(values) > 1:
            half = (len(values) + 1) // 2
            rest = [*values[half:], *[0.0] * (2 * half - len(values))]
            values = [a + b for a, b in zip(values[:half], rest, strict=True)]
        return values[0]

    generator = torch.Generator().manual_seed(0)
    for shape in ((1,), (7,), (3, 5), (5, 3), (64, 129)):
        a, b = (torch.randn(shape, generator=generator) for _ in range(2))
        flat = list(zip(a.flatten().tolist(), b.flatten().tolist(), strict=True))
        assert inner(a, b) == halve([x * y for x, y in flat])
        for dim in range(len(shape)) if len(shape) > 1 else ():
            expected = [
                halve(
                    [x * y for x, y in zip(p.flatten().tolist(), q.flatten().tolist(), strict=True)]
                )
                for p, q in zip(a.movedim(dim, 0), b.movedim(dim, 0), strict=True)
            ]
            assert row_inner(a, b, dim).tolist() == expected
    assert inner(torch.zeros(0), torch.zeros(0)) == 0
    assert row_inner(torch.zeros(2, 0), torch.zeros(2, 0)).tolist() == [0, 0]
    before = a.clone()
    inner(a, a)
    assert torch.equal(a, before)


def test_sums_do_not_depend_on_the_size_of_the_pieces(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(300, 700, generator=generator) for _ in range(2))
    weights = Weights(pico.model("gpt2"))
    directions = [Gaussian(seed, weights, "row") for seed in (0, 1)]

    def results():
        return (
            inner(a, b),
            row_inner(a, b, 1).tolist(),
            digest(Orthogonal(*directions), weights),
            digest(Orthogonal(*directions, form="tensor"), weights),
        )

    first = results()
    assert first[0] == pytest.approx((a.double() * b.double()).sum().item(), rel=1e-12)
    for size in (sums.BLOCK * 2, sums.BLOCK * 64):
        for module in (sums, orthogonal):
            monkeypatch.setattr(module, "at_once", lambda tensor, size=size: size)
        assert results() == first
