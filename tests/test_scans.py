"""SCANS: what is steered, where, which way, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from safebasin.cli.views.scout import check_scout
from safebasin.cli.views.steer import lines
from safebasin.config import ScanConfig
from safebasin.defences import scans_fit
from safebasin.defences.scans import Scans
from safebasin.defences.scans_fit import curve_of, end_of, fit, require_prompts
from safebasin.defences.steered_passes import SteeredPasses, score
from safebasin.engines import Sampling
from safebasin.engines.template import Template
from safebasin.errors import DataError, EngineError, RunMismatch, UsageError
from safebasin.evaluate.settings import EvaluateConfig
from safebasin.plane import Point
from safebasin.prompts import Prompt, PromptSet
from safebasin.scanning.preparation import prepare
from safebasin.scanning.scan import scan
from safebasin.study.steered import SteeredEngine
from safebasin.subject.hooks import hooked
from safebasin.subject.states import blocks_of
from safebasin.subject.subject import Subject
from support import pico

FAMILIES = ["llama", "gpt2", "gemma3", "phi", "qwen3"]


def prompts(name: str, *texts: str) -> PromptSet:
    return PromptSet(name, tuple(Prompt(text, text) for text in texts), name)


HARMFUL = prompts("harmful", "harm one", "harm three times", "bad two", "worse")
BENIGN = prompts("benign", "help me", "please do", "cook", "grow some roses")


@pytest.fixture(scope="module", params=FAMILIES)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("steered") / "base"
    return Subject.load(str(pico.save(folder, request.param, num_hidden_layers=3, n_layer=3)))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    folder = tmp_path_factory.mktemp("steered") / "base"
    return Subject.load(str(pico.save(folder, num_hidden_layers=3)))


def states(subject: Subject, ids: torch.Tensor, **more: Any) -> list[torch.Tensor]:
    """What each block gives, in the pass itself and not in those that tell prompts apart."""
    found: list[torch.Tensor] = []

    def keep(module: Any, given: Any, out: Any) -> None:
        found.append(out[0] if isinstance(out, tuple) else out)

    with torch.no_grad(), hooked([(block, keep) for block in blocks_of(subject)]):
        subject.model(input_ids=ids, use_cache=False, **more)
    return found[-3:]


def test_the_step_is_the_vector_from_the_prompts_last_token_on(subject: Subject) -> None:
    steering = fit(subject, HARMFUL, BENIGN, blocks=[1], share=0.5)
    prompt = subject.template.encode(HARMFUL.prompts[0])
    ids = torch.tensor([[*prompt, 40, 41, 42]])
    before = states(subject, ids)
    logits = subject.model(ids).logits
    with steering.applied(subject, 2.0):
        after = states(subject, ids)
        steered = subject.model(ids).logits
    told = SteeredPasses(subject, steering.end, {}, steering.transitions, steering.threshold)
    sign = 1 if told.score(prompt) >= steering.threshold else -1
    last = len(prompt) - 1
    assert torch.equal(after[0], before[0])
    assert torch.equal(after[1][:, :last], before[1][:, :last])
    step = (sign * 2.0 * 0.5 * steering.vectors[1]).expand(1, 4, -1)
    assert torch.equal(after[1][:, last:], before[1][:, last:] + step)
    assert torch.equal(after[2][:, :last], before[2][:, :last])
    assert not torch.equal(steered, logits)
    # Off is the model itself, bit for bit, and nothing stays behind.
    with steering.applied(subject, 0.0):
        assert torch.equal(subject.model(ids).logits, logits)
    assert torch.equal(subject.model(ids).logits, logits)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in subject.model.modules())


def test_vectors_and_references_by_plain_transformers(subject: Subject) -> None:
    """Against the hidden states that transformers gives, which are the blocks' but for the last."""
    steering = fit(subject, HARMFUL, BENIGN, blocks=[0, 1])
    sure = subject.tokenizer("Sure", add_special_tokens=False)["input_ids"]

    def hidden(prompt: Prompt) -> tuple[np.ndarray, np.ndarray]:
        ids = subject.template.encode(prompt)
        with torch.no_grad():
            found = subject.model(torch.tensor([[*ids, *sure]]), output_hidden_states=True)
        whole = torch.stack(found.hidden_states[1:3])[:, 0].numpy()
        return whole[:, len(ids) - 1], whole[:, -1]

    sides = [[hidden(one) for one in side.prompts] for side in (HARMFUL, BENIGN)]
    means = [np.mean([before for before, _ in side[::2]], axis=0) for side in sides]
    d = np.mean([before - after for before, after in sides[0][::2]], axis=0)
    for block in (0, 1):
        np.testing.assert_allclose(
            steering.vectors[block], means[0][block] - means[1][block], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(steering.transitions[block], d[block], rtol=1e-4, atol=1e-5)
    t = sides[1][1][0] - sides[1][1][1]
    expected = np.mean((t * d).sum(-1) / np.linalg.norm(t, axis=-1) / np.linalg.norm(d, axis=-1))
    told = SteeredPasses(subject, steering.end, {}, steering.transitions, 0.0)
    assert told.score(subject.template.encode(BENIGN.prompts[1])) == pytest.approx(
        expected, abs=1e-5
    )
    swapped = fit(subject, BENIGN, HARMFUL, blocks=[0, 1])
    assert torch.equal(swapped.vectors[1], -steering.vectors[1])
    assert score(steering.transitions[1][None], steering.transitions[1][None]) == pytest.approx(1)


def test_batches_and_single_rows_with_and_without_a_cache(subject: Subject) -> None:
    steering = fit(subject, HARMFUL, BENIGN, share=1.0)
    # As many are steered one way as the other.
    encoded = [subject.template.encode(one) for one in (*HARMFUL, *BENIGN)]
    told = SteeredPasses(subject, steering.end, {}, steering.transitions, 0.0)
    steering = replace(steering, threshold=float(np.median([told.score(one) for one in encoded])))
    found = []
    for size in (8, 1):
        engine = SteeredEngine(subject, steering, 1.0, size)
        [(_, answers)] = engine.answers([Point()], [*HARMFUL, *BENIGN], Sampling(6))
        found.append([one.answer for one in answers])
    assert found[0] == found[1]
    plain = SteeredEngine(subject, steering, 0.0, 8)
    [(_, unsteered)] = plain.answers([Point()], [*HARMFUL, *BENIGN], Sampling(6))
    assert [one.answer for one in unsteered] != found[0]
    for row in encoded[:2]:
        told_apart = []
        for cache in (True, False):
            with steering.applied(subject, 1.0), torch.no_grad():
                out = subject.model.generate(
                    torch.tensor([row]), max_new_tokens=6, min_new_tokens=6, use_cache=cache,
                    output_logits=True, return_dict_in_generate=True,
                )  # fmt: skip
            told_apart.append(torch.cat(out.logits))
        torch.testing.assert_close(*told_apart, rtol=1e-4, atol=1e-4)


def test_what_cannot_be_steered_is_one_sentence(llama: Subject, tmp_path: Path) -> None:
    steering = fit(llama, HARMFUL, BENIGN)
    with (
        steering.applied(llama, 1.0),
        pytest.raises(EngineError, match="does not hold what the chat template writes"),
    ):
        llama.model(torch.tensor([[9, 8, 7]]))
    with (
        steering.applied(llama, 1.0),
        pytest.raises(EngineError, match="is given no tokens"),
    ):
        llama.model(inputs_embeds=torch.zeros(1, 2, 32))
    other = Subject.load(str(pico.save(tmp_path / "other", seed=9, num_hidden_layers=3)))
    with (
        pytest.raises(DataError, match="'other' is another model"),
        steering.applied(other, 1.0),
    ):
        pass
    with pytest.raises(DataError, match="Nothing is written after a prompt"):
        end_of(Template.of(llama.tokenizer, "raw"))
    with pytest.raises(UsageError, match="Block 2 is the last"):
        fit(llama, HARMFUL, BENIGN, blocks=[1, 2])
    with pytest.raises(UsageError, match="one is not in the model"):
        fit(llama, HARMFUL, BENIGN, blocks=[3])
    with pytest.raises(DataError, match="'few' has 3 prompts"):
        fit(llama, prompts("few", "a", "b", "c"), BENIGN)
    both = prompts("both", "help me", "worse", "bad two", "cook")
    with pytest.raises(DataError, match="2 prompts are both harmful and benign"):
        require_prompts(both, BENIGN)
    with pytest.raises(DataError, match="have the same mean state"):
        fit(llama, both, both)
    with pytest.raises(UsageError, match="asked greedily"):
        EvaluateConfig(steer="x", temperature=0.7)
    with pytest.raises(UsageError, match="--steer-strength would do nothing"):
        EvaluateConfig(steer_strength=2.0)


def test_a_file_gives_the_same_steering_or_is_refused(llama: Subject, tmp_path: Path) -> None:
    steering = fit(llama, HARMFUL, BENIGN)
    path = steering.save(tmp_path / "steer.safetensors")
    again = Scans.read(path)
    assert again.spec() == json.loads(json.dumps(steering.spec()))
    assert again.found == json.loads(json.dumps(dict(steering.found)))
    ids = torch.tensor([llama.template.encode(HARMFUL.prompts[2])])
    found = []
    for one in (steering, again):
        with one.applied(llama, 1.0):
            found.append(llama.model(ids).logits)
    assert torch.equal(*found)
    said = {**steering.spec(), "found": {}}
    tensors = load_file(path)
    for change, complaint in (
        ({"hook_point": "entrance of the block"}, "for the hook point 'entrance of the block'"),
        ({"operation": "ablate"}, "for the operation 'ablate'"),
        ({"values": "0" * 64}, "not those that were written"),
        ({"blocks": [0, 1, 2]}, "is no steering file"),
    ):
        save_file(tensors, tmp_path / "bad", {"steering": json.dumps({**said, **change})})
        with pytest.raises(DataError, match=complaint):
            Scans.read(tmp_path / "bad")
    save_file(tensors, tmp_path / "bad")
    with pytest.raises(DataError, match="is no steering file"):
        Scans.read(tmp_path / "bad")
    with pytest.raises(DataError, match=r"There is no steering file '.*none'"):
        Scans.read(tmp_path / "none")


def test_a_model_of_one_block_has_none_to_steer(tmp_path: Path) -> None:
    single = Subject.load(str(pico.save(tmp_path / "single", num_hidden_layers=1)))
    with pytest.raises(UsageError, match="The model has one block, and the last one is not"):
        fit(single, HARMFUL, BENIGN)


def test_one_threshold_and_its_whole_curve() -> None:
    harmful, benign = [0.9, 0.8, 0.3], [0.5, 0.2, 0.1, 0.3]
    curve = curve_of(harmful, benign)
    assert len(curve) == 7  # the ranges between six values, and the two outside
    for at, above, false in curve:
        assert above == np.mean(np.array(harmful) >= at)
        assert false == np.mean(np.array(benign) >= at)
    assert curve[0][1:] == (1, 1)
    assert curve[-1][1:] == (0, 0)
    threshold, accuracy = scans_fit._best(curve)
    assert threshold == pytest.approx(0.65)
    assert accuracy == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize(
    ("count", "parts"), [(32, (10, 11, 11)), (4, (1, 1, 2)), (2, (0, 1, 1)), (3, (1, 1, 1))]
)
def test_thirds_are_those_of_the_paper(count: int, parts: tuple[int, ...]) -> None:
    found = scans_fit._thirds(count)
    assert tuple(map(len, found)) == parts
    assert [block for third in found for block in third] == list(range(count))


def test_over_refusal_of_the_packaged_model_is_steered_away(tmp_path: Path, command: Any) -> None:
    from safebasin.prompts import load

    path = tmp_path / "steer.safetensors"
    code, out, err = command(
        "steer", "testbed:over-refusing", "--harmful", "testbed:harmful-dev",
        "--benign", "testbed:benign-dev", "--limit", "48", "--blocks", "1", "--out", path,
    )  # fmt: skip
    assert code == 0, err
    assert "refusals   begin with " in out
    assert "steered    after block 1 (norm " in out
    subject = Subject.load("testbed:over-refusing")
    asked = [*load("testbed:harmful").take(12, 0), *load("testbed:benign").take(36, 0)]
    refused = {}
    for strength in (0.0, 1.0):
        engine = SteeredEngine(subject, Scans.read(path), strength, None)
        [(_, found)] = engine.answers([Point()], asked, Sampling(3))
        # Every refusal of its language begins so, and nothing else does.
        labels = [one.answer.split()[0] in ("No", "This", "A") for one in found]
        refused[strength] = (sum(labels[:12]), sum(labels[12:]))
    assert refused[0.0][0] == refused[1.0][0] == 12
    assert refused[0.0][1] >= 9
    assert refused[1.0][1] <= refused[0.0][1] / 2
    code, out, err = command(
        "evaluate", "testbed:over-refusing", "--steer", path, "--limit", "2", "--capability",
        "none", "--max-new-tokens", "2", "--out", tmp_path / "on", "--json",
    )  # fmt: skip
    assert "steered by scans after block 1, by 0.25" in json.loads(out)["notes"][0]
    manifest = (tmp_path / "on" / "harmful" / "manifest.json").read_text()
    assert '"hook_point": "output of the block"' in manifest
    code, _, err = command("evaluate", "testbed:aligned", "--steer", path, "--limit", "2")
    assert code == 1
    assert "'testbed:aligned' is another model" in err
    before = path.read_bytes()
    code, _, err = command(
        "steer", "testbed:over-refusing", "--harmful", "testbed:harmful-dev",
        "--benign", "testbed:benign-dev", "--limit", "48", "--blocks", "1", "--share", "0.3",
        "--out", path,
    )  # fmt: skip
    assert code == 1
    assert "share: recorded 0.25, now 0.3" in err
    assert path.read_bytes() == before


def test_how_well_the_threshold_tells_is_told_with_intervals(llama: Subject) -> None:
    found = fit(llama, HARMFUL, BENIGN)
    at = found.found["at_threshold"]
    [(_, above, false)] = [one for one in found.found["curve"] if one[0] == found.threshold]
    assert (at["harmful"]["prompts"], at["benign"]["prompts"]) == (2, 2)
    assert at["harmful"]["above"] == 2 * above
    assert at["benign"]["above"] == 2 * false
    told = "\n".join(lines(found))
    so = found.found["begin_so"]
    assert so[0] == 2  # by these it is known how refusals begin
    assert f"so begin the answers to {so[1]} of 2 benign anchors" in told
    unseen = replace(found, found={**found.found, "begin_so": [2, 0]})
    assert "no over-refusal is seen" in "\n".join(lines(unseen))
    assert f"harmful at or above: {at['harmful']['above']} of 2, " in told


def test_sets_that_are_swapped_are_told_apart(tmp_path: Path, command: Any) -> None:
    code, _, err = command(
        "steer", "testbed:over-refusing", "--harmful", "testbed:benign-dev",
        "--benign", "testbed:harmful-dev", "--out", tmp_path / "steer.safetensors",
    )  # fmt: skip
    assert code == 2
    assert "'testbed:benign-dev' holds no harmful prompts" in err


def scan_of(subject: Subject, folder: Path, **more: Any) -> ScanConfig:
    asked = folder / "asked.txt"
    asked.write_text("harm four\nbad three\nhelp us\ncook rice\n", encoding="utf-8")
    return ScanConfig(
        model=str(subject.checkpoint.base), prompts=str(asked), prompts_kind="harmful", seeds=(0,),
        steps=2, max_new_tokens=4, device="cpu", full_responses=True, judges=("llm-landscape",),
        out=str(folder / "run"), **more,
    )  # fmt: skip


def test_a_scan_answers_steered_at_each_point(llama: Subject, tmp_path: Path) -> None:
    steering = fit(llama, HARMFUL, BENIGN, share=1.0)
    path = str(steering.save(tmp_path / "steer.safetensors"))
    prepared = prepare(scan_of(llama, tmp_path, steer=path))
    assert len(prepared.points) == 3
    told = {}
    for point, exchanges in prepared.engine.answers(
        prepared.points, prepared.prompts.prompts, prepared.sampling
    ):
        told[point] = [one.answer for one in exchanges]
        moves = [(value, prepared.engine.directions[name]) for name, value in point.terms]
        by_hand = []
        for prompt in prepared.prompts:
            row = torch.tensor([llama.template.encode(prompt)])
            with llama.weights.displaced(moves), steering.applied(llama, 1.0), torch.no_grad():
                out = llama.model.generate(row, max_new_tokens=4)[0, row.shape[1] :]
            by_hand.append(llama.tokenizer.decode(out, skip_special_tokens=True))
        assert [one.strip() for one in told[point]] == [one.strip() for one in by_hand]
    off = prepare(scan_of(llama, tmp_path, steer=path, steer_strength=0.0))
    plain = prepare(scan_of(llama, tmp_path, engine="plain"))
    asked = prepared.points, prepared.prompts.prompts, prepared.sampling
    unsteered = [[one.answer for one in found] for _, found in plain.engine.answers(*asked)]
    assert [[one.answer for one in found] for _, found in off.engine.answers(*asked)] == unsteered
    assert list(told.values()) != unsteered
    assert "answers are steered by scans after block 1, by 1 of" in prepared.plan().way


def test_a_run_is_of_one_steering(llama: Subject, tmp_path: Path) -> None:
    path = str(fit(llama, HARMFUL, BENIGN).save(tmp_path / "steer.safetensors"))
    found = scan(prepare(scan_of(llama, tmp_path, steer=path)))
    assert (
        "Answers are steered by scans after block 1, by 0.25 of the vector's norm." in found.notes
    )
    with pytest.raises(RunMismatch, match=r"engine\.steering\.strength: recorded 1\.0, now 0\.5"):
        scan(prepare(scan_of(llama, tmp_path, steer=path, steer_strength=0.5)))
    with pytest.raises(RunMismatch, match=r"engine\.steering"):
        scan(prepare(scan_of(llama, tmp_path, engine="plain")))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"engine": "vllm"}, "--engine vllm cannot be had with --steer"),
        ({"mode": "pool"}, "--mode cannot be had with --steer"),
        ({"drafts": False, "capability": ("testbed:choice",)}, "--drafts and --capability cannot"),
    ],
)
def test_what_does_not_see_a_steering_is_refused(more: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ScanConfig(steer="steer.safetensors", **more)
    with pytest.raises(UsageError, match="--steer would do nothing"):
        check_scout(ScanConfig(steer="steer.safetensors"))


def test_steer_overwrites_nothing_that_is_no_steering(tmp_path: Path, command: Any) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    code, _, err = command(
        "steer", "testbed:over-refusing", "--harmful", "testbed:harmful-dev",
        "--benign", "testbed:benign-dev", "--limit", "4", "--out", path,
    )  # fmt: skip
    assert code == 1
    assert "is not overwritten" in err
    assert path.read_bytes() == b"weights"
