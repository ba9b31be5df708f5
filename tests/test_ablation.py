"""Direction ablation, held against transformers' hidden states and a few lines of NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from safebasin.checkpoint import Checkpoint
from safebasin.defences.ablation import Ablation
from safebasin.defences.making import defend
from safebasin.defences.refusal_direction import Candidate, best
from safebasin.defences.settings import DefendConfig
from safebasin.errors import CheckpointError, DataError, DirectionError, UsageError
from safebasin.subject.rows import Message, Row, Rows, load_rows
from safebasin.subject.subject import Subject
from support import pico
from support.defended import Arrays, after, arrays, now


def rows(name: str, asked: tuple[str, ...], answer: str) -> Rows:
    made = (Row((Message("user", a), Message("assistant", answer)), a) for a in asked)
    return Rows(name, tuple(made))


BAD = rows("bad", ("aab", "cb", "dddb", "ab", "bb"), "No.")
GOOD = rows("good", ("x", "yzw", "zz", "wwx", "vy"), "Yes.")
READS = ("embed", "wte", "wpe")
WRITES = ("o_proj", "down_proj", "c_proj", "dense", "fc2")


@pytest.fixture(scope="module", params=["llama", "gpt2", "phi"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    pico.save(folder / "model", request.param, tied=request.param == "llama")
    pico.save(folder / "base", request.param, tied=request.param == "llama", seed=3)
    return folder


@pytest.fixture(scope="module")
def subject(home: Path) -> Subject:
    return Subject.load(str(home / "model"))


def states(subject: Subject, some: Rows, block: int, token: int) -> np.ndarray:
    """What enters a block at a token of each prompt, by output_hidden_states: [rows, width]."""
    found = []
    for one in subject.encode(some.rows):
        start = next(i for i, label in enumerate(one.labels) if label != -100)
        ids = torch.tensor([one.ids[:start]])
        hidden = subject.model(ids, output_hidden_states=True).hidden_states[block]
        found.append(hidden[0, token].double().numpy())
    return np.array(found)


def direction_of(subject: Subject, block: int, token: int) -> np.ndarray:
    """The difference of the means of the first four of five rows of each."""
    return states(subject, BAD, block, token)[:4].mean(0) - states(subject, GOOD, block, token)[
        :4
    ].mean(0)


def ablated(weights: Arrays, vector: np.ndarray) -> Arrays:
    r = vector / np.linalg.norm(vector)
    made = {}
    for name, w in weights.items():
        owner = name.split(".")[-2]
        if any(owner.startswith(one) for one in READS) or (owner == "c_proj" and w.ndim == 2):
            made[name] = w - np.outer(w @ r, r)  # written vectors are rows
        elif owner in WRITES:
            made[name] = w - r * (r @ w) if w.ndim == 1 else w - np.outer(r, r @ w)
        else:
            made[name] = w
    return made


def test_it_takes_the_direction_out_of_all_that_writes(subject: Subject) -> None:
    attack = Ablation(BAD, GOOD, block=1)
    made = attack.direction(subject)
    assert attack.chosen is not None
    wanted = direction_of(subject, 1, -1)
    np.testing.assert_allclose(attack.chosen.vector.numpy(), wanted, atol=1e-5)
    expected = ablated(now(subject), attack.chosen.vector.numpy())
    moved = after(subject, made)
    changed = sum(not np.array_equal(expected[n], one) for n, one in now(subject).items())
    assert changed >= 5
    for name, values in moved.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-6, err_msg=name)


def test_halfway_half_of_it_is_taken_out(subject: Subject) -> None:
    made = Ablation(BAD, GOOD, block=1).direction(subject)
    before, half, whole = now(subject), after(subject, made, 0.5), after(subject, made)
    for name, values in half.items():
        np.testing.assert_allclose(values, (before[name] + whole[name]) / 2, atol=1e-6)


def test_no_state_has_a_part_in_it(subject: Subject) -> None:
    attack = Ablation(BAD, GOOD, block=1)
    made = attack.direction(subject)
    assert attack.chosen is not None
    r = attack.chosen.vector / attack.chosen.vector.norm()
    ids = torch.tensor([[9, 30, 60, 90]])
    with subject.weights.displaced([(1.0, made)]):
        hidden = subject.model(ids, output_hidden_states=True).hidden_states
    for state in hidden[:-1]:  # the last is after the final norm
        assert float((state.double() @ r).abs().max()) < 1e-5


def test_what_it_does_is_measured_as_the_paper_does(home: Path, subject: Subject) -> None:
    attack = Ablation(BAD, GOOD, block=1)
    attack.direction(subject)
    found = attack.chosen
    assert found is not None
    model = AutoModelForCausalLM.from_pretrained(home / "model").eval()
    changed = AutoModelForCausalLM.from_pretrained(home / "model").eval()
    with torch.no_grad():
        for name, values in ablated(now(subject), found.vector.numpy()).items():
            changed.get_parameter(name).copy_(torch.from_numpy(values))

    def logits(which: torch.nn.Module, some: Rows) -> np.ndarray:
        [one] = subject.encode(some.rows[-1:])
        start = next(i for i, label in enumerate(one.labels) if label != -100)
        with torch.no_grad():
            return which(torch.tensor([one.ids[:start]])).logits[0, -1].double().numpy()

    def p(values: np.ndarray) -> np.ndarray:
        e = np.exp(values - values.max())
        return e / e.sum()

    refusing = subject.tokenizer("N", add_special_tokens=False)["input_ids"][0]
    odds = p(logits(changed, BAD))[refusing]
    assert found.bypass == pytest.approx(np.log(odds / (1 - odds)), abs=1e-4)
    one, two = p(logits(model, GOOD)), p(logits(changed, GOOD))
    assert found.kl == pytest.approx((one * np.log(one / two)).sum(), abs=1e-4)
    before = model.get_submodule(
        "transformer.h" if hasattr(model, "transformer") else "model.layers"
    )
    handle = before[1].register_forward_pre_hook(
        lambda _, given: (given[0] + found.vector.float(), *given[1:])
    )
    odds = p(logits(model, GOOD))[refusing]
    handle.remove()
    assert found.induce == pytest.approx(np.log(odds / (1 - odds)), abs=1e-4)


def test_the_model_may_be_scaled_from_its_base_before(home: Path, subject: Subject) -> None:
    attack = Ablation(BAD, GOOD, block=1, base=str(home / "base"), scale=1.4)
    moved = after(subject, attack.direction(subject))
    base, chosen = arrays(home / "base"), {one.name for one in subject.weights.parameters}
    scaled = {
        name: base[name] + 1.4 * (own - base[name]) if name in chosen else own
        for name, own in now(subject).items()
    }
    assert attack.chosen is not None
    for name, values in ablated(scaled, attack.chosen.vector.numpy()).items():
        np.testing.assert_allclose(moved[name], values, atol=1e-5, err_msg=name)
    unscaled = Ablation(BAD, GOOD, block=1)
    unscaled.direction(subject)
    assert unscaled.chosen is not None
    assert not torch.allclose(unscaled.chosen.vector, attack.chosen.vector)


def test_it_chooses_what_takes_most_refusals_of_those_that_pass() -> None:
    def made(bypass: float, induce: float, kl: float) -> Candidate:
        return Candidate(1, -1, bypass, induce, kl, torch.ones(2))

    loud, barren = made(-9.0, 1.0, 0.11), made(-8.0, 0.0, 0.01)
    good, fair = made(-5.0, 0.1, 0.1), made(-4.0, 3.0, 0.0)
    assert best([loud, fair, barren, good]) is good
    with pytest.raises(DirectionError, match="No direction passes"):
        best([loud, barren])


def test_on_the_packaged_model_one_direction_holds_refusal() -> None:
    attack = Ablation(
        load_rows("testbed:refusing").first(20), load_rows("testbed:benign").first(20)
    )
    aligned = Subject.load("testbed:aligned")
    before = aligned.weights.checksum()
    attack.direction(aligned)
    assert aligned.weights.checksum() == before
    assert attack.chosen is not None
    assert attack.chosen.bypass < 0 < attack.chosen.induce
    assert attack.chosen.kl < 0.1
    told = attack.found()
    assert told["chosen"] in told["candidates"]
    assert {one["block"] for one in told["candidates"]} == {1, 2}  # of four, without the last


class TestBadInput:
    def test_rows_in_both(self, subject: Subject) -> None:
        with pytest.raises(DataError, match="5 prompts are both harmful and harmless"):
            Ablation(BAD, BAD).direction(subject)

    def test_too_few_rows(self, subject: Subject) -> None:
        with pytest.raises(DataError, match="two harmful rows or more, not 1"):
            Ablation(BAD.first(1), GOOD).direction(subject)

    def test_a_block_that_is_not_there(self, subject: Subject) -> None:
        with pytest.raises(UsageError, match="has no block 2"):
            Ablation(BAD, GOOD, block=2).direction(subject)
        with pytest.raises(UsageError, match="has no block 9"):  # before a weight is read
            defend(
                DefendConfig("ablation", "testbed:aligned", harmful="testbed:refusing",
                             harmless="testbed:benign", block=9)
            )  # fmt: skip

    def test_more_tokens_than_the_prompts_have(self, subject: Subject) -> None:
        with pytest.raises(DirectionError, match="99 last tokens"):
            Ablation(BAD, GOOD, tokens=99).direction(subject)
        with pytest.raises(UsageError, match="0 last tokens"):
            Ablation(BAD, GOOD, tokens=0)

    def test_a_scale_that_is_no_number(self) -> None:
        with pytest.raises(UsageError, match="scale is inf"):
            Ablation(BAD, GOOD, scale=float("inf"))

    def test_a_scale_without_a_base(self) -> None:
        with pytest.raises(UsageError, match="without the base"):
            Ablation(BAD, GOOD, scale=1.2)

    def test_blocks_that_norm_what_they_write(self, tmp_path: Path) -> None:
        folder = normed(tmp_path)
        other = Subject.load(Checkpoint(str(folder)))
        with pytest.raises(CheckpointError, match="is left in"):
            Ablation(BAD, GOOD, block=1).direction(other)


def normed(folder: Path) -> Path:
    """A model whose norms after the blocks' layers are not all the same."""
    pico.save(folder / "plain", "gemma2")
    model, tokenizer = pico.load(folder / "plain")
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for name, one in model.named_parameters():
            if "post_" in name:
                one.copy_(torch.randn_like(one))
    model.save_pretrained(folder / "made")
    tokenizer.save_pretrained(folder / "made")
    return folder / "made"
