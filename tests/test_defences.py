"""Defences: Safe LoRA held against NumPy, and what every shape promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from safebasin.checkpoint import Checkpoint
from safebasin.defences.safe_lora import SafeLora
from safebasin.defences.safe_merge import SafeMerge
from safebasin.errors import DirectionError, UsageError
from safebasin.subject.subject import Subject
from support import defended, pico


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defended.make(tmp_path_factory.mktemp("home"), request.param)


@pytest.fixture(scope="module")
def subject(home: Path) -> Subject:
    return Subject.load(Checkpoint(str(home / "aligned"), str(home / "adapter")))


def defence(home: Path, threshold: float) -> SafeLora:
    return SafeLora(str(home / "aligned"), str(home / "unaligned"), threshold)


def expected(home: Path, subject: Subject) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """cosine, ΔW and C·ΔW [out, in] by parameter name, where there is a change."""
    models = {
        name: AutoModelForCausalLM.from_pretrained(home / name) for name in ("aligned", "unaligned")
    }
    found = {}
    for name, tuned in subject.model.named_parameters():
        own, base = (
            models[key].get_parameter(name).detach().double().numpy()
            for key in ("aligned", "unaligned")
        )
        change, v = tuned.double().numpy() - own, own - base
        if ".c_" in name:
            change, v = change.T, v.T
        if change.any():
            inside = (v @ v.T / np.sqrt((v**2).sum())) @ change
            cosine = (inside * change).sum() / np.linalg.norm(inside) / np.linalg.norm(change)
            found[name] = (float(cosine), change, inside)
    return found


def test_it_projects_the_layers_below_the_threshold(home: Path, subject: Subject) -> None:
    known = expected(home, subject)
    assert len(known) == 4
    threshold = float(np.median([cosine for cosine, _, _ in known.values()]))
    own = defence(home, threshold)
    for one in own.projections(subject):
        cosine, _, _ = known[one.layer.parameter.name]
        assert one.cosine == pytest.approx(cosine, abs=1e-6)
        assert one.applied == (cosine < threshold)
    before = {name: tensor.clone() for name, tensor in subject.model.named_parameters()}
    moved = 0
    with subject.weights.displaced([(1.0, own.direction(subject))]):
        for name, now in subject.model.named_parameters():
            if name not in known or known[name][0] >= threshold:
                assert torch.equal(now, before[name])
                continue
            _, change, inside = known[name]
            base = before[name].numpy() - (change.T if ".c_" in name else change)
            wanted = base + (inside.T if ".c_" in name else inside)
            np.testing.assert_allclose(now.numpy(), wanted, atol=2e-6)
            moved += 1
    assert moved == 2


def test_where_nothing_is_below_the_model_is_itself(home: Path, subject: Subject) -> None:
    before = subject.weights.checksum()
    with subject.weights.displaced([(1.0, defence(home, 0.0).direction(subject))]):
        assert subject.weights.checksum() == before


def test_the_aligned_model_itself_is_left_alone(home: Path) -> None:
    aligned = Subject.load(Checkpoint(str(home / "aligned")))
    own = defence(home, 1.1)
    assert own.projections(aligned) == ()
    before = aligned.weights.checksum()
    with aligned.weights.displaced([(1.0, own.direction(aligned))]):
        assert aligned.weights.checksum() == before


def test_what_alignment_never_wrote_to_is_taken_back(tmp_path: Path) -> None:
    """C·ΔW is zero where alignment changed other outputs: the cosine is 0, and no number less."""
    pico.save(tmp_path / "aligned")
    name = "model.layers.0.self_attn.q_proj.weight"
    for folder, rows in (("unaligned", slice(0, 8)), ("tuned", slice(16, 32))):
        model, tokenizer = pico.load(tmp_path / "aligned")
        model.get_parameter(name)[rows] += 0.1
        model.save_pretrained(tmp_path / folder)
        tokenizer.save_pretrained(tmp_path / folder)
    subject = Subject.load(str(tmp_path / "tuned"))
    [found] = defence(tmp_path, 0.5).projections(subject)
    assert (found.cosine, found.applied) == (0.0, True)
    with subject.weights.displaced([(1.0, defence(tmp_path, 0.5).direction(subject))]):
        own = subject.model.get_parameter(name).clone()
    aligned = pico.load(tmp_path / "aligned")[0].get_parameter(name)
    torch.testing.assert_close(own, aligned, rtol=0, atol=1e-7)
    merge = SafeMerge(str(tmp_path / "aligned"), str(tmp_path / "unaligned"))
    assert [one.parameter.name for one in merge.merged(subject)] == [name]


def test_a_checkpoint_of_another_shape(home: Path, subject: Subject, tmp_path: Path) -> None:
    other = pico.save(tmp_path / "other", hidden_size=64)
    with pytest.raises(DirectionError, match="does not fit"):
        SafeLora(str(home / "aligned"), str(other)).direction(subject)


def test_a_threshold_that_is_no_number(home: Path) -> None:
    for threshold in ("nan", "inf"):
        with pytest.raises(UsageError, match=f"threshold is {threshold}"):
            defence(home, float(threshold))
