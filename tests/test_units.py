"""Heads and neurons as units, held against plain transformers with the unit taken out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from safebasin.attribution.refusing import Refusing
from safebasin.attribution.units import MOST_ABLATED, Places, Units, ablated, mean_inputs
from safebasin.attribution.wanda import Wanda
from safebasin.directions import Pruned
from safebasin.errors import CheckpointError, UsageError
from safebasin.subject.rows import Rows
from safebasin.subject.subject import Subject
from support import pico
from test_stacked_matrices import mixture
from test_subject import ROWS, entering, subject_of, wide

EVERY = Rows("every", tuple(ROWS))
OUT = {
    ("llama", "heads"): "model.layers.{}.self_attn.o_proj",
    ("llama", "neurons"): "model.layers.{}.mlp.down_proj",
    ("gpt2", "heads"): "transformer.h.{}.attn.c_proj",
    ("gpt2", "neurons"): "transformer.h.{}.mlp.c_proj",
}


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def family(request: Any) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def subject(family: str) -> Subject:
    return subject_of(pico.model(family))


def logits(subject: Subject) -> torch.Tensor:
    [encoded] = subject.encode(ROWS[:1])
    found: torch.Tensor = subject.model(torch.tensor([encoded.ids])).logits
    return found.detach()


def by_hand(subject: Subject, module: str, columns: slice, value: torch.Tensor) -> torch.Tensor:
    """Logits where what enters a module at some columns is `value`."""

    def replace(_: Any, given: Any) -> Any:
        x = given[0].clone()
        x[..., columns] = value
        return (x,)

    handle = subject.model.get_submodule(module).register_forward_pre_hook(replace)
    found = logits(subject)
    handle.remove()
    return found


@pytest.mark.parametrize("of", ["heads", "neurons"])
def test_a_unit_is_the_columns_it_writes_with(subject: Subject, family: str, of: Any) -> None:
    places, before = Places.among(subject, of), logits(subject)
    columns = slice(16, 24) if of == "heads" else slice(2, 3)
    assert places.columns(2) == columns
    pruned = Pruned(places.mask([(1, 2)]), subject.weights)
    with subject.weights.displaced([(1.0, pruned)]):
        removed = logits(subject)
    expected = by_hand(subject, OUT[family, of].format(1), columns, torch.tensor(0.0))
    torch.testing.assert_close(removed, expected, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(removed, before, atol=1e-4)
    with subject.weights.displaced([(1.0, Pruned(places.mask([]), subject.weights))]):
        assert torch.equal(logits(subject), before)


@pytest.mark.parametrize("of", ["heads", "neurons"])
def test_mean_ablation_gives_the_mean_and_nothing_else(
    subject: Subject, family: str, of: Any
) -> None:
    places, before = Places.among(subject, of), logits(subject)
    module = OUT[family, of].format(0)
    means = mean_inputs(subject, places, EVERY)
    expected = entering(subject, "prompt")[f"{module}.weight"].mean(0)
    np.testing.assert_allclose(means[0].numpy(), expected, rtol=1e-4, atol=1e-6)
    columns = places.columns(1)
    with ablated(places, [(0, 1)], means):
        found = logits(subject)
    torch.testing.assert_close(found, by_hand(subject, module, columns, means[0][columns]))
    assert not torch.allclose(found, before, atol=1e-5)
    with ablated(places, [], means):
        assert torch.equal(logits(subject), before)
    assert torch.equal(logits(subject), before)


def test_sums_are_those_of_the_weights_it_removes(subject: Subject) -> None:
    found = Units("heads", "wanda").locate(subject, EVERY)
    weights = Wanda().locate(subject, EVERY)
    for block, unit in found.places.units:
        mask = found.places.mask([(block, unit)])
        total = sum(
            float(weights.tensors[name][chosen].sum()) for name, chosen in mask.tensors.items()
        )
        assert float(found.scores[block][unit]) == pytest.approx(total, rel=1e-5)
    ordered = sorted(found.places.units, key=lambda one: -float(found.scores[one[0]][one[1]]))
    assert found.top(0.5) == tuple(ordered[:4])


@pytest.mark.parametrize("by", ["mean-ablation", "zero-ablation"])
def test_effects_are_what_is_refused_less(by: Any) -> None:
    subject = Subject.load("testbed:aligned")
    from safebasin.subject.rows import load_rows

    safety, utility = (load_rows(f"testbed:{kind}").first(3) for kind in ("refusing", "benign"))
    found = Units("heads", by).locate(subject, safety, utility)
    asked = Refusing(subject, safety)
    before = asked.each().mean()
    block, unit = found.top(1.0)[0]
    if by == "zero-ablation":
        pruned = Pruned(found.places.mask([(block, unit)]), subject.weights)
        with subject.weights.displaced([(1.0, pruned)]):
            after = asked.each().mean()
    else:
        means = mean_inputs(subject, found.places, utility)
        with ablated(found.places, [(block, unit)], means):
            after = asked.each().mean()
    assert float(found.scores[block][unit]) == pytest.approx(before - after, abs=1e-6)
    assert asked.each().mean() == before


def test_blocks_without_units_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """The first block has an MLP, the second one experts."""
    caplog.set_level("INFO", "safebasin.attribution.units")
    mixed = mixture(
        "qwen3_moe", vocab_size=pico.VOCABULARY, num_hidden_layers=2, mlp_only_layers=[0]
    )
    assert {block for block, _ in Places.among(subject_of(mixed), "neurons").units} == {0}
    assert [one.getMessage() for one in caplog.records] == ["no neurons are known in blocks 1"]


class TestBadInput:
    def test_units_that_are_not_known(self, subject: Subject) -> None:
        with pytest.raises(
            CheckpointError, match=r"write with is not known\. Give heads: the neurons"
        ):
            Places.among(subject_of(wide("mixtral")), "neurons")
        with pytest.raises(UsageError, match="no units 'layers'"):
            Units("layers")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="not scored by 'magnitude'"):
            Units("heads", "magnitude")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="not scored by 'wanda' with 'learnt-first-token'"):
            Units("heads", "wanda", "learnt-first-token")

    def test_a_share_below_one_unit(self, subject: Subject) -> None:
        found = Units("heads", "wanda").locate(subject, EVERY)
        with pytest.raises(UsageError, match=r"0\.1 is less than one of 8 heads"):
            found.top(0.1)
        with pytest.raises(UsageError, match="is none"):
            found.top(float("nan"))

    def test_more_units_than_can_be_ablated(
        self, subject: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert MOST_ABLATED == 4096
        monkeypatch.setattr("safebasin.attribution.units.MOST_ABLATED", 7)
        with pytest.raises(UsageError, match="8 heads would be ablated one by one"):
            Units("heads").locate(subject, EVERY)
