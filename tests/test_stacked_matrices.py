"""A tensor that stacks the matrices of experts is many matrices: each has its own norms and rows.

Every law is held against NumPy that goes through the experts one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from safebasin.directions import Gaussian, Orthogonal, random_direction
from safebasin.weights import Weights, streaming
from safebasin.weights.parameters import Parameter
from safebasin.worst_case.ascent import scaled, within

HIDDEN, INNER, EXPERTS = 16, 12, 3
COMMON: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 64,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "initializer_range": 0.3,
}  # fmt: skip
LOCAL = {"num_local_experts": EXPERTS, "num_experts_per_tok": 2}
PLAIN = {"num_experts": EXPERTS, "num_experts_per_tok": 2}
# What differs from the common settings, and whether the sources multiply x·W with W [E, in, out].
MIXTURES: dict[str, tuple[dict[str, Any], bool]] = {
    "mixtral": (LOCAL, False),
    "qwen2_moe": ({**PLAIN, "moe_intermediate_size": INNER, "decoder_sparse_step": 1}, False),
    "qwen3_moe": ({**PLAIN, "moe_intermediate_size": INNER, "head_dim": 8}, False),
    "olmoe": (PLAIN, False),
    "granitemoe": (LOCAL, False),
    "deepseek_v3": (
        {
            "n_routed_experts": EXPERTS, "num_experts_per_tok": 2, "moe_intermediate_size": INNER,
            "n_group": 1, "topk_group": 1, "first_k_dense_replace": 0, "q_lora_rank": 8,
            "kv_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8,
        },
        False,
    ),
    "gpt_oss": ({**LOCAL, "head_dim": 8}, True),
    "llama4_text": (
        {**LOCAL, "num_experts_per_tok": 1, "head_dim": 8, "interleave_moe_layer_step": 1,
         "intermediate_size_mlp": INNER},
        True,
    ),
}  # fmt: skip


def mixture(kind: str, **changes: Any) -> Any:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, **{**COMMON, **MIXTURES[kind][0], **changes})
        made = AutoModelForCausalLM.from_config(config).float().eval()
        for parameter in made.parameters():
            if parameter.dim() > 1 or not parameter.any():
                parameter.normal_(0, 0.3)
        return made.requires_grad_(False)


def experts_of(weights: Weights, leaf: str) -> Parameter:
    return next(p for p in weights.parameters if p.name.endswith(f"experts.{leaf}"))


def matrices(tensor: torch.Tensor, input_first: bool) -> list[np.ndarray]:
    """Each expert's matrix as [out, in], or its vector as one row, in float64."""
    parts = list(tensor.double().numpy())
    return [part[None] if part.ndim == 1 else part.T if input_first else part for part in parts]


@pytest.mark.parametrize("kind", MIXTURES)
def test_a_row_is_what_one_output_is_computed_from(kind: str) -> None:
    """A row of an expert's last matrix changes that output of the module and no other."""
    model = mixture(kind)
    weights = Weights(model)
    down, up = experts_of(weights, "down_proj"), experts_of(weights, "gate_up_proj")
    assert (down.matrices, up.matrices) == (EXPERTS, EXPERTS)
    assert down.matrix.shape[down.output_dim] == HIDDEN
    assert up.matrix.shape[up.output_dim] == 2 * INNER
    module = model.get_submodule(down.name.removesuffix(".down_proj"))
    seen: list[Any] = []
    handle = module.register_forward_hook(
        lambda _, given, named, out: seen.append((given, named, out)), with_kwargs=True
    )
    model(torch.tensor([[1, 5, 9, 12, 20, 33]]))
    handle.remove()
    given, named, before = seen[0]
    tensor = model.get_parameter(down.name)
    for part in down.split(tensor):
        part.select(down.output_dim, 5).mul_(3)
    changed = (module(*given, **named) - before).reshape(-1, HIDDEN).abs().amax(0) > 1e-6
    assert changed.nonzero().flatten().tolist() == [5]


@pytest.mark.parametrize("kind", MIXTURES)
@pytest.mark.parametrize("normalise", ["tensor", "row"])
@pytest.mark.parametrize("law", ["stream", "counter"])
def test_noise_has_the_norms_of_each_expert(kind: str, normalise: Any, law: Any) -> None:
    model = mixture(kind)
    weights = Weights(model)
    direction = random_direction(3, weights, normalise, law)
    stacked = [p for p in weights.parameters if "experts." in p.name and p.matrices > 1]
    assert len(stacked) == (4 if kind == "gpt_oss" else 2)
    for p in stacked:
        found, own = direction.tensor(p), model.get_parameter(p.name)
        assert found is not None
        pairs = zip(*(matrices(t, MIXTURES[kind][1]) for t in (found, own)), strict=True)
        for step, matrix in pairs:
            axis = 1 if normalise == "row" else None
            np.testing.assert_allclose(
                np.sqrt((step**2).sum(axis)), np.sqrt((matrix**2).sum(axis)), rtol=1e-6
            )
    spec = weights.spec()
    assert spec["matrices"] == spec["tensors"] + len(stacked) * (EXPERTS - 1)


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
@pytest.mark.parametrize("form", ["tensor", "row"])
def test_right_angles_hold_for_each_expert(kind: str, form: Any) -> None:
    model = mixture(kind)
    weights = Weights(model)
    first, second = Gaussian(1, weights, form), Gaussian(2, weights, form)
    made = Orthogonal(second, first)
    for leaf in ("gate_up_proj", "down_proj"):
        p = experts_of(weights, leaf)
        tensors = [d.tensor(p) for d in (first, second, made)]
        for a, b, e in zip(*(matrices(t, MIXTURES[kind][1]) for t in tensors), strict=True):
            axis = (1,) if form == "row" else (0, 1)
            aa, ab, bb = ((x * y).sum(axis, keepdims=True) for x, y in ((a, a), (a, b), (b, b)))
            rest = b - ab / aa * a
            expected = rest * np.sqrt(bb / (rest**2).sum(axis, keepdims=True))
            np.testing.assert_allclose(e, expected, rtol=2e-5, atol=1e-6)
            assert np.abs((a * e).sum(axis)).max() < 1e-5


def test_steps_of_an_ascent_are_scaled_and_held_expert_by_expert() -> None:
    model = mixture("mixtral")
    weights = Weights(model)
    p = experts_of(weights, "down_proj")
    own = matrices(model.get_parameter(p.name), False)
    # Slopes that differ a thousandfold between experts, and not contiguous as gradients may be.
    slope = torch.randn(p.shape[::-1]).permute(2, 1, 0) * torch.tensor([1e-3, 1, 30])[:, None, None]
    for found, ratio in (
        (scaled(weights, {p.name: slope}, 0.25), [0.25] * 3),
        (within(weights, {p.name: slope}, 0.1), None),
    ):
        for i, step in enumerate(matrices(found[p.name], False)):
            was = np.linalg.norm(slope[i].double().numpy())
            limit = 0.1 * np.linalg.norm(own[i])
            wanted = min(was, limit) if ratio is None else ratio[i] * np.linalg.norm(own[i])
            assert np.linalg.norm(step) == pytest.approx(wanted, rel=1e-5)
            np.testing.assert_allclose(step, slope[i].numpy() * wanted / was, rtol=1e-5)


@pytest.mark.parametrize("size", [64, 100, 5000])
def test_pieces_are_the_same_numbers(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from safebasin.directions import gaussian

    monkeypatch.setattr(gaussian, "PIECE", size)
    weights = Weights(mixture("gpt_oss"))
    for leaf in ("gate_up_proj", "down_proj", "down_proj_bias"):
        p = experts_of(weights, leaf)
        pieces = Gaussian(7, weights).pieces(p)
        assert pieces is not None
        whole = Gaussian(7, weights).tensor(p)
        assert whole is not None
        assert torch.equal(torch.cat(list(pieces)).reshape(p.shape), whole)
    assert streaming.PIECE > 5000


def test_an_expert_that_is_zero_does_not_move() -> None:
    model = mixture("mixtral")
    weights = Weights(model)
    p = experts_of(weights, "down_proj")
    model.get_parameter(p.name)[1].zero_()
    step = Gaussian(0, Weights(model)).tensor(p)
    assert step is not None
    assert [bool(part.any()) for part in step] == [True, False, True]


def test_a_mixture_of_one_expert_has_its_rows_where_that_one_has_them() -> None:
    weights = Weights(mixture("gpt_oss", num_local_experts=1, num_experts_per_tok=1))
    p = experts_of(weights, "down_proj")
    assert (p.matrices, p.matrix.shape, p.output_dim) == (1, (INNER, HIDDEN), 1)
    assert "matrices" not in weights.spec()


class RecurrentGemmaRglru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_gate_weight = nn.Parameter(torch.randn(2, 3, 4))
        self.input_gate_bias = nn.Parameter(torch.randn(2, 4))
        self.recurrent_param = nn.Parameter(torch.randn(8))


class DbrxExpertGLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.moe_num_experts = 2
        for name in ("w1", "v1", "w2"):
            setattr(self, name, nn.Parameter(torch.randn(6, 5)))


class OtherExperts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, 4))
        self.gate = nn.Parameter(torch.randn(2, 4))


def test_how_other_modules_store_their_matrices() -> None:
    model = nn.ModuleDict({
        "gate": RecurrentGemmaRglru(), "glu": DbrxExpertGLU(), "other": OtherExperts(),
        "short": nn.Conv1d(6, 8, 3, groups=2), "back": nn.ConvTranspose1d(6, 8, 3),
    })  # fmt: skip
    model.mix = nn.Parameter(torch.randn(1, 1, 7))
    found = {p.name: (p.matrices, p.matrix.shape, p.output_dim) for p in Weights(model).parameters}
    assert found == {
        "mix": (1, (1, 1, 7), 0),
        "gate.input_gate_weight": (2, (3, 4), 1),
        "gate.input_gate_bias": (2, (4,), 0),
        "gate.recurrent_param": (1, (8,), 0),
        "glu.w1": (2, (3, 5), 0),
        "glu.v1": (2, (3, 5), 0),
        "glu.w2": (2, (3, 5), 1),
        "other.weight": (2, (3, 4), 0),
        "other.gate": (1, (2, 4), 0),
        "short.weight": (1, (8, 3, 3), 0),
        "short.bias": (1, (8,), 0),
        "back.weight": (1, (6, 8, 3), 1),
        "back.bias": (1, (8,), 0),
    }


def test_a_convolution_is_one_matrix_of_rows_by_output() -> None:
    model = nn.Sequential(nn.Conv1d(6, 8, 3, groups=2))
    [p] = [p for p in Weights(model).parameters if p.name == "0.weight"]
    weights = Weights(model)
    own = model.get_parameter(p.name).detach().numpy().reshape(8, -1)
    by_row = Gaussian(0, weights, "row").tensor(p).numpy().reshape(8, -1)
    whole = Gaussian(0, weights).tensor(p).numpy()
    np.testing.assert_allclose(
        np.linalg.norm(by_row, axis=1), np.linalg.norm(own, axis=1), rtol=1e-6
    )
    assert np.linalg.norm(whole) == pytest.approx(np.linalg.norm(own), rel=1e-6)
