"""What flows through the linear layers, held against plain PyTorch, one row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from safebasin.checkpoint import Checkpoint
from safebasin.engines.template import Template
from safebasin.errors import CheckpointError, DataError, EngineError, UsageError
from safebasin.subject import gathering
from safebasin.subject import passes as module_of_passes
from safebasin.subject.encoding import IGNORED
from safebasin.subject.gathering import gather
from safebasin.subject.hooks import hooked
from safebasin.subject.linear import assembled
from safebasin.subject.passes import Passes
from safebasin.subject.rows import Message, Row, Rows
from safebasin.subject.statistics import InputGram, InputNorm, MeanState, WeightGradient
from safebasin.subject.subject import Subject
from safebasin.weights import Weights
from support import pico
from test_stacked_matrices import MIXTURES, mixture

TEXTS = [("Hi", "Yes"), ("What is it?", "No, never."), ("Tell me of it all.", "So"), ("a", "b")]


def row_of(asked: str, said: str, where: str) -> Row:
    return Row((Message("user", asked), Message("assistant", said)), where)


ROWS = [row_of(asked, said, f"row {i}") for i, (asked, said) in enumerate(TEXTS)]
PLACES = {
    "answer": lambda labels: [i for i, one in enumerate(labels) if one != IGNORED],
    "prompt": lambda labels: [i for i, one in enumerate(labels) if one == IGNORED],
    "last": lambda labels: [min(i for i, one in enumerate(labels) if one != IGNORED) - 1],
    "all": lambda labels: list(range(len(labels))),
}


def answered_otherwise(rows: Rows) -> Rows:
    """The same prompts with another answer."""
    return Rows("others", tuple(row_of(one.messages[0].content, "b", "one") for one in rows.rows))


def subject_of(model: Any) -> Subject:
    tokenizer = pico.tokenizer()
    weights, template = Weights(model), Template.of(tokenizer)
    return Subject(Checkpoint("made-here"), model, tokenizer, weights, template)


def wide(kind: str) -> Any:
    """A mixture of experts with a row for each token of the tokenizer of pico models."""
    return mixture(kind, vocab_size=pico.VOCABULARY)


@pytest.fixture(scope="module", params=["llama", "gpt2", "phi3", "gemma2"])
def subject(request: Any) -> Subject:
    return subject_of(pico.model(request.param))


@pytest.fixture(scope="module")
def llama() -> Subject:
    return subject_of(pico.model("llama"))


def entering(subject: Subject, where: str) -> dict[str, np.ndarray]:
    """float64 [tokens, in] by parameter name."""
    seen: dict[str, list[Tensor]] = {}
    for encoded in subject.encode(ROWS):
        places = PLACES[where](encoded.labels)
        handles = [
            module.register_forward_pre_hook(
                lambda _, given, name=f"{name}.weight", places=places: seen.setdefault(
                    name, []
                ).append(given[0][0, places].double())
            )
            for name, module in subject.model.named_modules()
            if type(module).__name__ in ("Linear", "Conv1D")
        ]
        subject.model(torch.tensor([encoded.ids]))
        for handle in handles:
            handle.remove()
    return {name: torch.cat(parts).numpy() for name, parts in seen.items()}


def gradients(subject: Subject, mean: bool) -> list[dict[str, Tensor]]:
    """The gradient of each row's loss by each parameter, by autograd on the parameter itself."""
    found = []
    named = dict(subject.model.named_parameters())
    for encoded in subject.encode(ROWS):
        for tensor in named.values():
            tensor.requires_grad_(True)
        logits = subject.model(torch.tensor([encoded.ids])).logits[0].log_softmax(-1)
        targets = [(i - 1, label) for i, label in enumerate(encoded.labels) if label != IGNORED]
        loss = -sum(logits[place, label] for place, label in targets)
        found.append(
            dict(
                zip(
                    named,
                    torch.autograd.grad(
                        loss / len(targets) if mean else loss,
                        list(named.values()),
                        allow_unused=True,
                    ),
                    strict=True,
                )
            )
        )
        for tensor in named.values():
            tensor.requires_grad_(False)
    return found


@pytest.mark.parametrize("where", PLACES)
def test_inputs_are_those_of_each_row_alone(subject: Subject, where: Any) -> None:
    expected = entering(subject, where)
    norms = {one.name: s.result() for one, s in gather(subject, ROWS, InputNorm, where=where)}
    means = {one.name: s.result() for one, s in gather(subject, ROWS, MeanState, where=where)}
    grams = {one.name: s.result() for one, s in gather(subject, ROWS, InputGram, where=where)}
    assert norms.keys() == {name for name in expected if not name.startswith("lm_head")}
    for name, norm in norms.items():
        x = expected[name]
        assert norm.dtype == torch.float32
        np.testing.assert_allclose(norm, np.sqrt((x**2).sum(0)), rtol=2e-5)
        np.testing.assert_allclose(means[name], x.mean(0), rtol=1e-3, atol=2e-6)
        np.testing.assert_allclose(grams[name], x.T @ x, rtol=1e-3, atol=1e-4 * (x**2).sum())


@pytest.mark.parametrize("loss", ["sum", "mean"])
def test_gradients_are_those_of_the_weights(subject: Subject, loss: Any) -> None:
    by_row = gradients(subject, loss == "mean")
    make = [WeightGradient, lambda linear: WeightGradient(linear, absolute=True)]
    whole, absolute = (
        list(gather(subject, ROWS, one, where="all", gradients=loss)) for one in make
    )
    for linear, statistic in whole:
        expected = sum(linear.of(one[linear.parameter.name]) for one in by_row)
        torch.testing.assert_close(statistic.result(), expected, rtol=1e-3, atol=2e-5)
    for linear, statistic in absolute:
        expected = sum(linear.of(one[linear.parameter.name]).abs() for one in by_row)
        torch.testing.assert_close(statistic.result(), expected, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("kind", MIXTURES)
def test_stacked_experts_are_seen_token_by_token(kind: str) -> None:
    subject = subject_of(wide(kind))
    before = subject.weights.checksum()
    whole = list(gather(subject, ROWS, WeightGradient, where="all", gradients="sum"))
    stacked = {one.parameter.name for one, _ in whole if one.expert is not None}
    assert len(stacked) == 2
    by_row = gradients(subject, mean=False)
    for linear, statistic in whole:
        expected = sum(linear.of(one[linear.parameter.name]) for one in by_row)
        torch.testing.assert_close(statistic.result(), expected, rtol=1e-3, atol=1e-4)
    assert subject.weights.checksum() == before
    assert not any("forward" in vars(module) for module in subject.model.modules())


def test_an_expert_sees_the_wanted_tokens_that_are_routed_to_it() -> None:
    subject = subject_of(wide("mixtral"))
    seen: list[Any] = []
    module = next(m for m in subject.model.modules() if type(m).__name__ == "MixtralExperts")
    expected = [torch.zeros(16, dtype=torch.float64) for _ in range(3)]
    for encoded in subject.encode(ROWS):
        handle = module.register_forward_pre_hook(lambda _, given: seen.append(given))
        subject.model(torch.tensor([encoded.ids]))
        handle.remove()
        hidden, chosen, _ = seen.pop()
        for place in PLACES["answer"](encoded.labels):
            for expert in chosen[place]:
                expected[expert] += hidden[place].double() ** 2
    for linear, statistic in gather(subject, ROWS, InputNorm, where="answer"):
        if linear.parameter.name.endswith("gate_up_proj"):
            norm = expected[linear.expert or 0].sqrt().float()
            torch.testing.assert_close(statistic.result(), norm, rtol=1e-4, atol=1e-5)


def test_passes_and_batches_change_nothing(llama: Subject) -> None:
    def found(**how: Any) -> list[tuple[str, Tensor]]:
        options: dict[str, Any] = {"where": "all", "gradients": "sum", **how}
        return [(one.name, s.result()) for one, s in gather(llama, ROWS, WeightGradient, **options)]

    whole = found(batch=1)
    for other in (found(), found(at_once=1), found(at_once=5, batch=3)):
        for (name, one), (same, two) in zip(whole, other, strict=True):
            assert name == same
            torch.testing.assert_close(one, two, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("at_once", [1, 5])
def test_the_number_of_passes_does_not_change_a_bit(llama: Subject, at_once: int) -> None:
    def found(make: Any, **how: Any) -> list[Tensor]:
        return [one.result() for _, one in gather(llama, ROWS, make, where="all", **how)]

    for make, how in ((WeightGradient, {"gradients": "sum"}), (InputGram, {}), (InputNorm, {})):
        whole = found(make, **how)
        assert all(map(torch.equal, whole, found(make, at_once=at_once, **how)))


def test_what_passes_take_is_told_before_the_first(
    llama: Subject, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "safebasin.subject.gathering")
    monkeypatch.setattr(module_of_passes, "free_bytes", lambda device: 2**40)
    next(gather(llama, ROWS, InputGram, where="answer", at_once=7))
    told = [one.getMessage() for one in caplog.records]
    assert told[0].startswith(
        f"14 layers over {len(ROWS)} rows: 2 passes of up to 8 rows at a time"
    )
    assert told[1] == f"a pass over {len(ROWS)} rows for 7 layers"
    plan = Passes.of(llama, llama.linear, WeightGradient, 10, True)
    assert (plan.number, plan.batch) == (1, 8)
    assert plan.held == 4 * sum(one.inputs * one.outputs for one in llama.linear)
    flow = sum(one.inputs + one.outputs for one in llama.linear)
    assert plan.flowing == 8 * 10 * 4 * (2 * flow + 4 * llama.model.config.vocab_size)


def test_no_logits_are_computed_that_nothing_asks_for(llama: Subject) -> None:
    seen: list[torch.Size] = []
    head = [(llama.model.lm_head, lambda module, given, out: seen.append(given[0].shape))]
    with hooked(head):
        list(gather(llama, ROWS, InputNorm, where="answer", batch=1))
    assert {shape[:2] for shape in seen[-len(ROWS) :]} == {(1, 1)}
    with hooked(head):
        list(gather(llama, ROWS, WeightGradient, where="all", gradients="sum", batch=1))
    lengths = {len(one.ids) for one in llama.encode(ROWS)}
    assert {shape[1] for shape in seen[-len(ROWS) :]} == lengths


def test_layers_wait_for_another_pass_where_memory_is_short(
    llama: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []
    own = gathering._Pass.run
    monkeypatch.setattr(module_of_passes, "free_bytes", lambda device: 40_000)
    monkeypatch.setattr(
        gathering._Pass, "run", lambda self, *a: passes.append(len(self.layers)) or own(self, *a)
    )
    assert len(list(gather(llama, ROWS, InputGram))) == len(llama.linear)
    sizes = [one.inputs for one in llama.linear]
    assert max(passes) < len(llama.linear)
    assert all(4 * 32**2 * count <= 0.4 * 40_000 for count in passes)
    assert sum(sizes) == 2 * (6 * 32 + 48)


def test_the_model_is_left_as_it_was(llama: Subject) -> None:
    before = llama.weights.checksum()
    list(gather(llama, ROWS, WeightGradient, where="all", gradients="mean"))
    assert llama.weights.checksum() == before
    assert not any(one.requires_grad for one in llama.model.parameters())
    assert not any(one._forward_hooks for one in llama.model.modules())


@pytest.mark.parametrize("kind", ["mixtral", "gpt_oss"])
def test_a_tensor_is_put_together_of_its_layers(kind: str) -> None:
    subject = subject_of(wide(kind))
    for parameter in {one.parameter for one in subject.linear}:
        tensor = subject.weights.pristine(parameter.name)
        own = [one for one in subject.linear if one.parameter == parameter]
        assert {tuple(one.of(tensor).shape) for one in own} == {(own[0].outputs, own[0].inputs)}
        made = assembled(parameter, {one.expert: one.of(tensor) for one in own})
        assert torch.equal(made, tensor)


def test_hooks_go_when_the_context_ends(llama: Subject) -> None:
    ids = torch.tensor([[1, 9, 8]])
    before = llama.model(ids).logits
    layer = llama.model.model.layers[0].mlp

    def fails() -> None:
        with hooked([(layer, lambda module, given, out: 0 * out)]):
            assert not torch.equal(llama.model(ids).logits, before)
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert torch.equal(llama.model(ids).logits, before)


@pytest.mark.parametrize("kind", MIXTURES)
def test_no_router_is_a_linear_layer(kind: str) -> None:
    names = {one.name for one in subject_of(wide(kind)).linear}
    assert not [one for one in names if "router" in one or one.endswith("gate.weight")]
    assert any("experts.gate_up_proj" in one for one in names)


class TestBadInput:
    def test_no_rows(self, llama: Subject) -> None:
        with pytest.raises(DataError, match="no rows"):
            gather(llama, [], InputNorm)

    def test_tokens_that_are_nowhere(self, llama: Subject) -> None:
        with pytest.raises(UsageError, match="by 'first'"):
            gather(llama, ROWS, InputNorm, where="first")  # type: ignore[arg-type]

    def test_no_layers_at_once(self, llama: Subject) -> None:
        with pytest.raises(UsageError, match="0 layers at once"):
            gather(llama, ROWS, InputNorm, at_once=0)

    @pytest.mark.parametrize(("asked", "said"), [(600, 1), (1, 600)])
    def test_a_row_that_fills_the_context(self, llama: Subject, asked: int, said: int) -> None:
        long = row_of("a" * asked, "b" * said, "row 7")
        with pytest.raises(DataError, match="row 7 has 605 tokens, and the model takes 512") as no:
            list(gather(llama, [long], InputNorm))
        assert "--max-length" not in str(no.value)

    def test_a_token_that_the_model_does_not_have(self) -> None:
        subject = subject_of(pico.model("llama", vocab_size=70))
        with pytest.raises(EngineError, match=r"of row 0 has the id .* has 70 rows"):
            list(gather(subject, ROWS, InputNorm))

    def test_a_loss_that_is_not_finite(self, llama: Subject) -> None:
        with (
            hooked([(llama.model.lm_head, lambda module, given, out: out * torch.inf)]),
            pytest.raises(EngineError, match="row"),
        ):
            list(gather(llama, ROWS, WeightGradient, where="all", gradients="sum", batch=1))

    def test_a_model_without_linear_layers(self) -> None:
        class Odd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.blocks = nn.ModuleList([nn.Conv1d(2, 2, 1)])

        model: Any = Odd()
        with pytest.raises(CheckpointError, match="no linear layers"):
            Subject(Checkpoint("x"), model, None, Weights(model), Any).linear  # noqa: B018
