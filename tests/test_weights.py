"""Displacing weights: exact, reversible, independent of the path."""

from __future__ import annotations

import math
import threading
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from safebasin.directions import Gaussian
from safebasin.errors import CheckpointError, DirectionError, UsageError
from safebasin.weights import Weights, displacement, sums
from safebasin.weights.parameters import Parameter
from safebasin.weights.sums import all_finite
from support import pico

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


class Fixed:
    """A direction with tensors made by a function of the parameter."""

    def __init__(self, name, make):
        self.name = name
        self._make = make

    def spec(self):
        return {"kind": "fixed", "name": self.name}

    def tensor(self, parameter):
        return self._make(parameter)


def ones(parameter):
    return torch.ones(parameter.shape)


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# --- what is selected ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", pico.FAMILIES)
def test_norm_layers_are_left_out_in_every_family(family):
    model = pico.model(family)
    every = {name for name, _ in model.named_parameters()}
    left_out = every - {p.name for p in Weights(model).parameters}
    # What is one-dimensional and not a bias of a linear layer scales or shifts a normalisation.
    linear = {n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Embedding)}
    linear |= {n for n, m in model.named_modules() if type(m).__name__ == "Conv1D"}
    expected = {name for name in every if name.rpartition(".")[0] not in linear}
    assert left_out == expected
    assert left_out
    assert {p.name for p in Weights(model, exclude_norms=False).parameters} == every


def test_a_name_can_tell_a_norm_layer_too():
    model = nn.ModuleDict({"q_norm": nn.Linear(2, 2, bias=False), "q": nn.Linear(2, 2, bias=False)})
    assert [p.name for p in Weights(model).parameters] == ["q.weight"]


def test_patterns_layers_and_norms_select():
    model = pico.model("llama", num_hidden_layers=4)

    def names(**options):
        return {p.name for p in Weights(model, **options).parameters}

    assert names(include=["*.q_proj.weight"]) == {
        f"model.layers.{i}.self_attn.q_proj.weight" for i in range(4)
    }
    assert not any("mlp" in name for name in names(exclude=["*.mlp.*"]))
    assert "lm_head.weight" in names(exclude=["*.mlp.*"])
    assert {p.layer for p in Weights(model, layers="1-2").parameters} == {1, 2}
    assert names(layers="0,2-3") == names(layers={0, 2, 3})
    assert names(layers=[1], include=["*k_proj*"]) == {"model.layers.1.self_attn.k_proj.weight"}
    with pytest.raises(UsageError, match="self_attn"):
        names(include=["*.self_atn.*"])
    with pytest.raises(UsageError, match="matches no parameter"):
        names(exclude=["nothing"])
    with pytest.raises(UsageError, match="0 to 3"):
        names(layers="3-4")
    with pytest.raises(UsageError, match="0,4-7"):
        names(layers="a-b")
    with pytest.raises(UsageError, match="no parameter to displace"):
        names(include=["*layernorm*"])
    with pytest.raises(UsageError, match="by itself"):
        names(include="*q_proj*")


def test_a_tied_parameter_is_one_parameter_with_two_names():
    weights = Weights(pico.model("llama", tied=True))
    embedding = weights.parameters[0]
    assert (embedding.name, embedding.aliases) == ("model.embed_tokens.weight", ("lm_head.weight",))
    assert "lm_head.weight" in weights
    assert weights.norm("lm_head.weight") == weights.norm("model.embed_tokens.weight")
    assert "lm_head.weight" not in [p.name for p in weights.parameters]
    # A pattern on either name selects the tensor.
    assert Weights(pico.model("llama", tied=True), include=["lm_head.*"]).parameters == (embedding,)


def test_views_of_one_storage_count_as_tied():
    model = nn.Module()
    model.a = nn.Linear(3, 3, bias=False)
    model.b = nn.Linear(3, 3, bias=False)
    model.b.weight = nn.Parameter(model.a.weight.data)
    assert [p.names for p in Weights(model).parameters] == [("a.weight", "b.weight")]


def test_rows_of_conv1d_are_its_second_dimension():
    dims = {p.name: p.output_dim for p in Weights(pico.model("gpt2")).parameters}
    assert dims["transformer.h.0.mlp.c_fc.weight"] == 1
    assert dims["transformer.h.0.mlp.c_fc.bias"] == 0
    assert dims["transformer.wte.weight"] == 0
    assert {p.output_dim for p in Weights(pico.model("llama")).parameters} == {0}


def test_models_that_cannot_be_displaced_are_refused():
    with torch.device("meta"), pytest.raises(CheckpointError, match="not in memory"):
        Weights(nn.Linear(2, 2))
    quantised = nn.Linear(2, 2)
    quantised.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.int8), requires_grad=False)
    with pytest.raises(CheckpointError, match="int8"):
        Weights(quantised)
    with pytest.raises(CheckpointError, match="float64"):
        Weights(nn.Linear(2, 2).double())
    damaged = nn.Linear(2, 2)
    damaged.weight.data[1, 1] = float("nan")
    with pytest.raises(CheckpointError, match="'weight' holds values"):
        Weights(damaged)


# --- displacing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_every_bit_comes_back(family, tied, dtype):
    model = pico.model(family, tied=tied, dtype=dtype)
    weights = Weights(model)
    before, checksum = state(model), weights.checksum()
    pointers = [p.data_ptr() for p in model.parameters()]
    direction = Gaussian(0, weights)
    with weights.displaced([(0.3, direction)]):
        assert weights.checksum() != checksum
        assert [p.data_ptr() for p in model.parameters()] == pointers
        assert all(p.dtype == dtype for p in model.parameters())
    assert same(state(model), before)
    assert weights.checksum() == checksum
    with pytest.raises(ZeroDivisionError), weights.displaced([(-0.5, direction)]):
        raise ZeroDivisionError
    assert same(state(model), before)
    assert [p.data_ptr() for p in model.parameters()] == pointers


def test_an_interrupt_on_the_way_in_leaves_the_weights_as_they_were():
    model = pico.model("llama")
    weights = Weights(model)
    before = state(model)
    asked = []

    def interrupted(parameter):
        asked.append(parameter.name)
        if len(asked) == 5:
            raise KeyboardInterrupt
        return torch.ones(parameter.shape)

    with pytest.raises(KeyboardInterrupt), weights.displaced([(1.0, Fixed("bad", interrupted))]):
        pytest.fail("entered")
    assert len(asked) == 5
    assert same(state(model), before)
    with weights.displaced([(1.0, Fixed("good", ones))]):
        assert not same(state(model), before)
    assert same(state(model), before)


def test_an_interrupt_on_the_way_out_leaves_the_weights_as_they_were(monkeypatch):
    model = pico.model("llama")
    weights = Weights(model)
    before = state(model)
    whole = weights._restore

    def cut(written):
        if not failed:
            failed.append(True)
            whole(written[:2])
            raise KeyboardInterrupt
        whole(written)

    failed = []
    monkeypatch.setattr(weights, "_restore", cut)
    with pytest.raises(KeyboardInterrupt), weights.displaced([(1.0, Fixed("good", ones))]):
        pass
    assert same(state(model), before)


def test_an_adapter_on_top_is_displaced_and_restored(tmp_path):
    from peft import PeftModel

    base = pico.save(tmp_path / "base")
    model, _ = pico.load(base)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers for deprecated properties
        wrapped = PeftModel.from_pretrained(model, pico.adapter(base, tmp_path / "adapter"))
    weights = Weights(wrapped)
    assert any("lora_A" in p.name for p in weights.parameters)
    before, checksum = state(wrapped), weights.checksum()
    with weights.displaced([(0.2, Gaussian(1, weights))]):
        assert weights.checksum() != checksum
    assert same(state(wrapped), before)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_rounding_is_the_documented_one(dtype):
    model = pico.model("llama", dtype=dtype)
    weights = Weights(model)
    first, second = Gaussian(0, weights), Gaussian(1, weights)
    c1, c2 = 0.1, -0.35
    expected = {}
    for p in weights.parameters:
        moved = model.get_parameter(p.name).float()
        moved = moved + torch.tensor(c1, dtype=torch.float32) * first.tensor(p)
        moved = moved + torch.tensor(c2, dtype=torch.float32) * second.tensor(p)
        expected[p.name] = moved.to(dtype)
    for terms in ([(c1, first), (c2, second)], [(c2, second), (c1, first)]):
        with weights.displaced(terms):
            for name, tensor in expected.items():
                assert torch.equal(model.get_parameter(name), tensor), name


@settings(max_examples=12, deadline=None)
@given(
    order=st.permutations(range(9)),
    dtype=st.sampled_from(DTYPES),
    tied=st.booleans(),
    radius=st.sampled_from([0.1, 0.5, 1.0]),
)
def test_a_point_does_not_depend_on_the_path(order, dtype, tied, radius):
    def walk(order):
        model = pico.model("qwen2", tied=tied, dtype=dtype)
        weights = Weights(model)
        a, b = Gaussian(3, weights), Gaussian(4, weights)
        grid = [(x, y) for x in (-radius, 0.0, radius) for y in (-radius, 0.0, radius)]
        seen = {}
        for i in order:
            x, y = grid[i]
            with weights.displaced([(x, a), (y, b)]):
                seen[i] = weights.checksum()
        seen["after"] = weights.checksum()
        return seen

    straight = walk(range(9))
    assert walk(order) == straight
    assert straight[4] == straight["after"]
    assert len(set(straight.values())) == 9


@pytest.mark.parametrize("terms", ["none", "zero"])
def test_the_origin_writes_nothing(terms):
    model = pico.model("llama")
    weights = Weights(model)
    direction = Fixed("never", lambda parameter: pytest.fail("asked for a tensor"))
    versions = [p._version for p in model.parameters()]
    with weights.displaced([] if terms == "none" else [(0.0, direction), (-0.0, direction)]):
        assert [p._version for p in model.parameters()] == versions


def test_excluded_parameters_are_not_written():
    model = pico.model("llama")
    weights = Weights(model, include=["*q_proj*"])
    versions = {n: p._version for n, p in model.named_parameters()}
    with weights.displaced([(0.5, Gaussian(0, weights))]):
        changed = {n for n, p in model.named_parameters() if p._version != versions[n]}
    assert changed == {p.name for p in weights.parameters}
    assert weights.pristine_bytes == sum(p.shape[0] * p.shape[1] * 4 for p in weights.parameters)


def test_ties_move_once_and_stay_tied():
    model = pico.model("llama", tied=True)
    weights = Weights(model)
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    start = embedding.clone()
    with weights.displaced([(0.5, Gaussian(0, weights))]):
        assert head.data_ptr() == embedding.data_ptr()
        moved = (embedding - start).norm() / start.norm()
    assert moved.item() == pytest.approx(0.5, rel=1e-5)


def test_ties_can_move_twice_as_in_the_reference_code():
    model = pico.model("llama", tied=True)
    weights = Weights(model, tied="reference")
    direction = Gaussian(0, weights)
    embedding = model.get_input_embeddings().weight
    start = embedding.clone()
    names = ("model.embed_tokens.weight", "lm_head.weight")
    both = [direction.tensor(Parameter(name, tuple(start.shape))) for name in names]
    assert not torch.equal(*both)
    with weights.displaced([(0.5, direction)]):
        assert torch.equal(embedding, start + 0.5 * both[0] + 0.5 * both[1])
        moved = (embedding - start).norm() / start.norm()
    assert moved.item() == pytest.approx(0.5 * 2**0.5, rel=0.02)


def test_displacements_do_not_nest():
    model = pico.model("llama")
    weights = Weights(model)
    direction, before = Gaussian(0, weights), state(model)
    with weights.displaced([(0.1, direction)]):
        inside = weights.checksum()
        for other in (weights, weights.select(include=["*q_proj*"])):
            for terms in ([(0.1, direction)], []):
                with pytest.raises(DirectionError, match="already"), other.displaced(terms):
                    pytest.fail("entered")
        assert weights.checksum() == inside
    assert same(state(model), before)


def test_selections_share_the_pristine_copy():
    model = pico.model("llama")
    whole = Weights(model, exclude_norms=False)
    part = whole.select()
    assert {p.name for p in part.parameters} < {p.name for p in whole.parameters}
    direction = Gaussian(0, part)
    separate = Weights(pico.model("llama"))
    with whole.displaced([(0.7, Fixed("ones", ones))]):
        # Norms that nobody asked for before are those of the pristine weights all the same.
        for normalise in ("tensor", "row"):
            here, calm = (Gaussian(0, w, normalise) for w in (whole.select(), separate))
            for p in part.parameters:
                assert torch.equal(here.tensor(p), calm.tensor(p))
                assert torch.equal(whole.pristine(p.name), separate.pristine(p.name))
    norm_layer = next(p for p in whole.parameters if "norm" in p.name)
    assert direction.tensor(norm_layer) is None


def test_weights_changed_by_something_else_are_noticed():
    model = pico.model("llama")
    weights = Weights(model)
    with weights.displaced([(0.1, Gaussian(0, weights))]):
        pass
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(2)
    with (
        pytest.raises(DirectionError, match=r"embed_tokens.*changed by something else"),
        weights.displaced([(0.1, Gaussian(0, weights))]),
    ):
        pytest.fail("entered")


def test_too_large_a_displacement_is_an_error_and_is_undone():
    model = pico.model("llama", dtype=torch.float16)
    weights = Weights(model)
    before = state(model)
    huge = Fixed("huge", lambda p: torch.full(p.shape, 1e6))
    with (
        pytest.raises(DirectionError, match=r"too large for torch\.float16"),
        weights.displaced([(1.0, huge)]),
    ):
        pytest.fail("entered")
    assert same(state(model), before)
    # One tensor is enough, wherever it is.
    names = [p.name for p in weights.parameters]
    for name in (names[0], names[-1]):
        one = Fixed("one", lambda p, name=name: huge.tensor(p) if p.name == name else ones(p))
        with pytest.raises(DirectionError, match=name), weights.displaced([(-1.0, one)]):
            pytest.fail("entered")
        assert same(state(model), before)
    for coefficient in (float("nan"), float("inf")):
        with (
            pytest.raises(DirectionError, match="coefficient"),
            weights.displaced([(coefficient, huge)]),
        ):
            pytest.fail("entered")


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.ones(p.shape, dtype=torch.float64),
        lambda p: torch.ones(*p.shape[:-1], p.shape[-1] + 1),
    ],
)
def test_a_direction_of_another_shape_or_dtype_is_an_error(make):
    weights = Weights(pico.model("llama"))
    with (
        pytest.raises(DirectionError, match="which needs"),
        weights.displaced([(1.0, Fixed("odd", make))]),
    ):
        pytest.fail("entered")


def test_displacing_works_in_inference_mode():
    model = pico.model("llama")
    weights = Weights(model)
    before = state(model)
    direction = Gaussian(0, weights)
    with torch.inference_mode(), weights.displaced([(0.1, direction)]):
        inside = weights.checksum()
    with weights.displaced([(0.1, direction)]):
        assert weights.checksum() == inside
    assert same(state(model), before)


def test_the_checksum_sees_every_bit_of_parameters_and_buffers():
    model = pico.model("llama")
    weights = Weights(model)
    before = weights.checksum()
    norm = model.model.norm.weight
    norm.data[0] = torch.nextafter(norm.data[0], torch.tensor(9.0))
    changed = weights.checksum()
    assert changed != before
    next(model.buffers()).mul_(-1)
    assert weights.checksum() not in (before, changed)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 65504.0])
def test_one_number_that_is_none_is_seen_wherever_it_stands(dtype, value):
    for shape, place in (((7, 33), 0), ((7, 33), 230), ((5000,), 4099), ((1,), 0), ((), 0)):
        tensor = torch.randn(shape).to(dtype)
        assert all_finite(tensor)
        tensor.reshape(-1)[place] = value
        assert bool(all_finite(tensor)) == bool(tensor.isfinite().all())
    assert bool(all_finite(torch.full((3, 40), value, dtype=dtype))) == (value == 65504.0)
    assert all_finite(torch.empty((0, 4), dtype=dtype))


def test_norms_are_accumulated_in_float64():
    layer = nn.Linear(3000, 1000, bias=False)
    layer.weight.data.fill_(1e-3).view(-1)[0] = 4.0
    assert Weights(layer).norm("weight") == pytest.approx((16 + 2_999_999e-6) ** 0.5, rel=1e-7)
    with pytest.raises(UsageError, match="weight"):
        Weights(layer).norm("weigt")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tied", ["once", "reference"])
def test_several_threads_displace_to_the_same_bits(dtype, tied, monkeypatch):
    model = pico.model("llama", tied=True, dtype=dtype)
    weights = Weights(model, tied=tied)
    a, b = Gaussian(0, weights), Gaussian(1, weights, "row")
    terms = [(0.3, a), (-0.2, b)]
    asked = set()
    monkeypatch.setattr(weights, "_move", noting(weights._move, asked))
    with weights.displaced(terms):
        expected = weights.checksum()
    assert asked == {threading.get_ident()}
    asked.clear()
    before = weights.checksum()
    monkeypatch.setattr(displacement, "LARGE", 0)
    with weights.displaced(terms):
        assert weights.checksum() == expected
    assert weights.checksum() == before
    assert threading.get_ident() not in asked
    asked.clear()
    with weights.displaced([(0.3, a), (1.0, Fixed("ones", ones))]):  # which does not say so
        pass
    assert asked == {threading.get_ident()}


def noting(move, threads):
    def noted(*given):
        threads.add(threading.get_ident())
        return move(*given)

    return noted


def test_a_mistake_in_one_thread_restores_what_all_have_written(monkeypatch):
    monkeypatch.setattr(displacement, "LARGE", 0)
    weights = Weights(pico.model("llama"))
    before = weights.checksum()

    class Odd(Gaussian):
        def tensor(self, parameter):
            if parameter.name == weights.parameters[2].name:
                return torch.ones(3)
            return super().tensor(parameter)

    with pytest.raises(DirectionError, match="of shape"):  # noqa: SIM117
        with weights.displaced([(0.3, Odd(1, weights))]):
            pass
    assert weights.checksum() == before
    with weights.displaced([(0.3, Gaussian(1, weights))]):
        assert weights.checksum() != before


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 7, sums.BLOCK, 2 * sums.BLOCK + 12345])
def test_a_sum_on_the_cpu_adds_halves_to_halves(dtype, count):
    x = torch.randn(count, generator=torch.Generator().manual_seed(3)).to(dtype)

    def halved(block):
        while len(block) > 1:
            half = (len(block) + 1) // 2
            added = block[: len(block) - half] + block[half:]
            block = torch.cat([added, block[len(block) - half : half]])
        return block.sum().item()

    blocks = torch.split(x.double() * x.double(), sums.BLOCK) if count else ()
    assert sums.norm(x) == math.fsum(map(halved, blocks)) ** 0.5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("where", ["same", "cpu"])
def test_a_gpu_gives_the_same_bits(dtype, where):
    def sums(device):
        model = pico.model("llama", tied=True, dtype=dtype).to(device)
        weights = Weights(model, pristine=where)
        a, b = Gaussian(0, weights), Gaussian(1, weights, "row")
        found = [weights.checksum()]
        for x, y in ((0.1, 0.0), (-0.5, 0.35), (0.05, 0.45)):
            with weights.displaced([(x, a), (y, b)]):
                found.append(weights.checksum())
            found.append(weights.checksum())
        return found

    # The buffers of the rotary embedding are made on the CPU and moved, so that they agree too.
    assert sums("cuda") == sums("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_to_write_pages_as_they_are_changes_no_bit(dtype: torch.dtype) -> None:
    bits = torch.randint(0, 256, (3 * displacement.PAGE + 8,), dtype=torch.uint8)
    tensor = bits.clone().view(dtype)  # some of them are no numbers
    displacement._have_pages(tensor)
    assert torch.equal(tensor.view(torch.uint8), bits)
    displacement._have_pages(tensor[::2])
    displacement._have_pages(tensor[:0])
    assert torch.equal(tensor.view(torch.uint8), bits)


def test_each_page_of_a_large_model_is_written_before_threads_displace_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[int] = []
    monkeypatch.setattr(displacement, "_have_pages", lambda tensor: written.append(tensor.numel()))
    weights = Weights(nn.Linear(4, 4, bias=False))
    with weights.displaced([(1.0, Gaussian(0, weights, name="d"))]):
        assert written == []
    monkeypatch.setattr(displacement, "LARGE", 16)
    large = Weights(nn.Linear(4, 4, bias=False))
    for _ in range(2):
        with large.displaced([(1.0, Gaussian(0, large, name="d"))]):
            assert written == [16]
