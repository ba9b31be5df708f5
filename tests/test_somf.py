"""Subspace-oriented model fusion: its masks, its fusions and its loss, by NumPy and differences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from safebasin.checkpoint import Checkpoint
from safebasin.defences.concrete import exported, logistic, masked, relaxed
from safebasin.defences.dpo import dpo_loss, log_probabilities
from safebasin.defences.fusion import fused
from safebasin.defences.making import defend
from safebasin.defences.preferences import Pair, Preferences, load_preferences
from safebasin.defences.settings import DefendConfig
from safebasin.defences.somf import Learning, Somf, fused_by, learn
from safebasin.errors import DataError, DirectionError, UsageError
from safebasin.subject.subject import Subject
from safebasin.weights.masks import Mask
from support import defended, pico
from support.defended import after, arrays, now

PAIRS = Preferences(
    "pairs",
    (Pair("ab", "No.", "Yes!", "1"), Pair("cde", "No, no.", "Yes", "2"), Pair("f", "N", "Y", "3")),
)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defended.make(tmp_path_factory.mktemp("home"), "llama")


@pytest.fixture(scope="module")
def subject(home: Path) -> Subject:
    return Subject.load(Checkpoint(str(home / "aligned"), str(home / "adapter")))


def mask_file(folder: Path, subject: Subject, value: bool) -> str:
    shapes = {one.name: one.shape for one in subject.weights.parameters}
    tensors = {name: torch.full(shape, value) for name, shape in shapes.items()}
    return str(Mask(tensors).save(folder / f"{value}.safetensors"))


class TestMasks:
    def test_samples_have_the_odds_of_their_logits(self) -> None:
        generator = torch.Generator().manual_seed(0)
        for logit in (-2.0, 0.0, 1.0):
            logits = torch.full((40_000,), logit)
            sample = relaxed(logits, logistic(logits.shape, generator), 0.5)
            odds = 1 / (1 + np.exp(-logit))
            assert float((sample > 0.5).float().mean()) == pytest.approx(odds, abs=0.01)

    def test_at_logit_0_it_is_a_soft_drop(self) -> None:
        """Mean one, with the spread measured of the authors' code."""
        noise = logistic(torch.Size([200_000]), torch.Generator().manual_seed(1))
        kept = masked(torch.ones(200_000), relaxed(torch.zeros(200_000), noise, 0.5), "mean")
        assert float(kept.mean()) == pytest.approx(1, abs=1e-5)
        assert float(kept.std()) == pytest.approx(0.756, abs=0.01)

    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_at_logit_8_nearly_all_is_kept(self, seed: int) -> None:
        vector, logits = drawn(seed, 300, 40), torch.full((300, 40), 8.0)
        noise = logistic(logits.shape, torch.Generator().manual_seed(seed))
        kept = masked(vector, relaxed(logits, noise, 0.5), "mean")
        assert float((kept - vector).norm() / vector.norm()) < 0.02

    def test_a_constant_mask_is_none_where_its_mean_is_taken_out(self) -> None:
        vector = drawn(0, 5, 6)
        kept = masked(vector, torch.full((5, 6), 0.3), "mean")
        np.testing.assert_allclose(kept.numpy(), vector.numpy(), rtol=1e-6)
        halved = masked(vector, torch.full((5, 6), 0.5), "none")
        assert torch.equal(halved, vector / 2)

    def test_a_mask_of_zeros_keeps_nothing(self) -> None:
        for rescale in ("mean", "none"):
            assert torch.equal(masked(drawn(0, 3), torch.zeros(3), rescale), torch.zeros(3))

    def test_before_anything_was_learnt_the_binary_mask_is_empty(self) -> None:
        noise = logistic(torch.Size([9]), torch.Generator().manual_seed(0))
        assert not exported(torch.zeros(9), "binary", noise, 0.5).any()

    def test_the_binary_export_is_the_likeliest_of_the_sampled_ones(self) -> None:
        logits = torch.tensor([-1.5, -0.2, 0.2, 1.5])
        generator = torch.Generator().manual_seed(0)
        draws = [
            exported(logits, "sampled", logistic(logits.shape, generator), 0.5) for _ in range(4000)
        ]
        share = torch.stack(draws).mean(0)
        np.testing.assert_allclose(share.numpy(), torch.sigmoid(logits).numpy(), atol=0.03)
        once, again = (
            exported(logits, "binary", logistic(logits.shape, generator), 0.5) for _ in range(2)
        )
        assert torch.equal(once, again)
        assert torch.equal(once, (share > 0.5).float())


class TestFusion:
    def vectors(self) -> tuple[dict[str, list[Tensor]], dict[str, np.ndarray]]:
        made = {
            "a": [drawn(t, 6, 5) for t in range(3)], "b": [drawn(9 + t, 7) for t in range(3)]
        }  # fmt: skip
        return made, {k: np.stack([one.numpy() for one in own]) for k, own in made.items()}

    def test_average_and_sum(self) -> None:
        vectors, known = self.vectors()
        for how, weight, expected in (
            ("average", 1.0, {k: v.mean(0) for k, v in known.items()}),
            ("task-arithmetic", 0.3, {k: 0.3 * v.sum(0) for k, v in known.items()}),
        ):
            for name, one in fused(vectors, how, weight).items():  # type: ignore[arg-type]
                np.testing.assert_allclose(one.numpy(), expected[name], rtol=1e-5, atol=1e-6)

    def test_ties_sums_what_agrees_of_the_largest(self) -> None:
        vectors, known = self.vectors()
        trimmed = {k: v.copy() for k, v in known.items()}
        for t in range(3):
            whole = np.concatenate([np.abs(known[k][t]).ravel() for k in ("a", "b")])
            least = np.sort(whole)[::-1][int(0.2 * len(whole)) - 1]
            for k in trimmed:
                trimmed[k][t][np.abs(trimmed[k][t]) < least] = 0
        for name, one in fused(vectors, "ties", 0.4).items():
            sign = np.sign(trimmed[name].sum(0))
            agreeing = np.where(np.sign(trimmed[name]) == sign, trimmed[name], 0)
            np.testing.assert_allclose(one.numpy(), 0.4 * agreeing.sum(0), rtol=1e-5)

    def test_dare_drops_a_fifth_and_rescales(self) -> None:
        vector = torch.ones(50_000)
        found = fused({"a": [vector]}, "dare", 0.3)["a"].numpy()
        assert {round(float(one), 6) for one in np.unique(found)} == {0.0, 0.375}
        assert (found == 0).mean() == pytest.approx(0.2, abs=0.01)
        two = fused({"a": [vector, vector]}, "dare", 0.3)["a"].numpy()
        assert (two == 0).mean() == pytest.approx(0.04, abs=0.01)  # each drops its own

    def test_one_fine_tune_is_itself_but_for_dare(self) -> None:
        for how in ("average", "task-arithmetic", "ties"):
            assert torch.equal(fused({"a": [drawn(0, 9)]}, how, 0.3)["a"], drawn(0, 9))

    def test_the_same_one_thrice_averages_to_it(self) -> None:
        one = drawn(0, 9)
        np.testing.assert_allclose(
            fused({"a": [one] * 3}, "average", 1.0)["a"].numpy(), one.numpy(), rtol=1e-6
        )

    def test_the_gradient_follows_the_merge(self) -> None:
        """Every fine-tune gets its own, where TIES as published gave all to the first."""
        parts = [drawn(t, 40).requires_grad_() for t in range(2)]
        fused({"a": parts}, "ties", 0.4)["a"].sum().backward()
        assert all(one.grad is not None and bool(one.grad.any()) for one in parts)


class TestLearning:
    def test_a_mask_finds_what_harms(self) -> None:
        """τ = good + bad on disjoint places, and a loss that wants the good alone."""
        bad = torch.arange(600).reshape(30, 20) % 3 == 0
        vector = drawn(0, 30, 20).sign() * (1 + drawn(1, 30, 20).abs())
        wanted = torch.where(bad, 0.0, vector)
        how = Learning(steps=200, rate=0.1, rescale="none")
        logits, losses = learn(
            {"w": [vector]}, lambda change, _: ((change["w"] - wanted) ** 2).mean(), how
        )
        good, harm = logits["w"][~bad].numpy(), logits["w"][bad].numpy()
        auc = (good[:, None] > harm[None]).mean()
        assert auc > 0.999
        assert losses[-1] < losses[0] / 4
        assert torch.equal(exported(logits["w"], "binary", torch.zeros(1), 0.5).bool(), ~bad)

    def test_the_gradient_of_dpo_is_that_of_differences(self, tmp_path: Path) -> None:
        """By the logits, with frozen noise, in float64: GPT-2 casts nothing to float32 within."""
        exact = Subject.load(str(pico.save(tmp_path, "gpt2")))
        exact.model.double()
        rows = [row for pair in PAIRS.pairs for row in pair.rows()]
        encoded = exact.encode(rows)
        name = "transformer.h.0.attn.c_attn.weight"
        safe = exact.model.get_parameter(name).detach()
        vector = 0.3 * drawn(0, *safe.shape).double()
        noise = logistic(safe.shape, torch.Generator().manual_seed(4)).double()
        with torch.no_grad():
            known = log_probabilities(exact, encoded, {name: safe + vector})

        def loss(logits: Tensor) -> Tensor:
            mask = relaxed(logits, noise, 0.5)
            change = fused_by({name: [vector]}, {name: mask}, Learning(1))
            policy = log_probabilities(exact, encoded, {name: safe + change[name]})
            return dpo_loss(policy, known, 0.1)

        logits = (0.5 * drawn(5, *safe.shape)).double().requires_grad_()
        loss(logits).backward()
        assert logits.grad is not None
        assert all(one.grad is None for one in exact.model.parameters())
        for place in [(0, 0), (3, 7), (31, 90)]:
            step = torch.zeros_like(logits)
            step[place] = 1e-5
            with torch.no_grad():
                slope = (loss(logits + step) - loss(logits - step)) / 2e-5
            assert float(logits.grad[place]) == pytest.approx(float(slope), rel=1e-4, abs=1e-12)

    def test_the_loss_is_the_published_one(self) -> None:
        policy, known = drawn(0, 8).double().numpy(), drawn(1, 8).double().numpy()
        gain = policy - known
        expected = np.log1p(np.exp(-0.1 * (gain[0::2] - gain[1::2]))).mean()
        found = dpo_loss(torch.from_numpy(policy), torch.from_numpy(known), 0.1)
        assert float(found) == pytest.approx(expected, rel=1e-6)

    def test_log_probabilities_are_those_of_transformers(
        self, home: Path, subject: Subject
    ) -> None:
        model = pico.load(home / "aligned")[0]
        encoded = subject.encode([row for pair in PAIRS.pairs for row in pair.rows()])
        own = {n: p for n, p in model.named_parameters() if n in arrays(home / "aligned")}
        with torch.no_grad():
            found = log_probabilities(subject, encoded, own)
            for one, value in zip(encoded, found, strict=True):
                log_p = model(torch.tensor([one.ids])).logits[0].double().log_softmax(-1)
                total = sum(
                    float(log_p[at - 1, token])
                    for at, token in enumerate(one.labels)
                    if token != -100
                )
                assert float(value) == pytest.approx(total, abs=1e-3)


def made(home: Path, **settings: Any) -> Somf:
    given = {"preferences": PAIRS, "epochs": 2, "pairs": 2, "rate": 0.1} | settings
    return Somf(str(home / "aligned"), **given)


class TestTheMethod:
    def test_a_mask_of_ones_is_the_fine_tune(
        self, home: Path, subject: Subject, tmp_path: Path
    ) -> None:
        own = Somf(str(home / "aligned"), mask=mask_file(tmp_path, subject, True))
        moved, before = after(subject, own.direction(subject)), now(subject)
        for name, values in moved.items():
            np.testing.assert_allclose(values, before[name], atol=1e-6)

    def test_a_mask_of_zeros_is_the_safe_model(
        self, home: Path, subject: Subject, tmp_path: Path
    ) -> None:
        for rescale in ("none", "mean"):
            mask = mask_file(tmp_path, subject, False)
            own = Somf(str(home / "aligned"), mask=mask, rescale=rescale)
            moved = after(subject, own.direction(subject))
            for name, values in arrays(home / "aligned").items():
                np.testing.assert_allclose(moved[name], values, atol=1e-7)

    def test_it_is_theta_safe_and_what_the_mask_keeps(self, home: Path, subject: Subject) -> None:
        own = made(home, export="sampled")
        moved = after(subject, own.direction(subject))
        assert own.mask is not None
        aligned, before = arrays(home / "aligned"), now(subject)
        changed = 0
        for name, mask in own.mask.tensors.items():
            m = mask.numpy().astype(float)
            expected = aligned[name] + (before[name] - aligned[name]) * m / m.mean()
            np.testing.assert_allclose(moved[name], expected, atol=1e-5)
            changed += 1
        assert changed == 4
        assert own.found()["kept"] == pytest.approx(0.5, abs=0.1)

    def test_it_learns_and_leaves_the_models_as_they_were(
        self, home: Path, subject: Subject
    ) -> None:
        before, aligned = subject.weights.checksum(), Checkpoint(str(home / "aligned"))
        fingerprint = aligned.fingerprint()
        own = made(home, epochs=20)
        one, two = own.direction(subject), made(home, epochs=20).direction(subject)
        assert subject.weights.checksum() == before
        assert Checkpoint(str(home / "aligned")).fingerprint() == fingerprint
        assert all(p.grad is None and not p.requires_grad for p in subject.model.parameters())
        assert len(own.losses) == 40
        assert np.mean(own.losses[-8:]) < np.mean(own.losses[:8])
        for parameter in subject.weights.parameters:
            a, b = one.tensor(parameter), two.tensor(parameter)
            assert (a is None and b is None) or torch.equal(a, b)  # type: ignore[arg-type]

    def test_the_reference_decides_where_the_loss_begins(
        self, home: Path, subject: Subject, tmp_path: Path
    ) -> None:
        """At masks of one: log 2 against the fine-tune, and something else against θ_safe."""
        encoded = subject.encode([row for pair in PAIRS.pairs for row in pair.rows()])
        own = dict(subject.model.named_parameters())
        safe = dict(pico.load(home / "aligned")[0].named_parameters())
        with torch.no_grad():
            tuned, base = (log_probabilities(subject, encoded, w) for w in (own, safe))
        assert float(dpo_loss(tuned, tuned, 0.1)) == pytest.approx(np.log(2))
        expected = float(dpo_loss(tuned, base, 0.1))
        assert expected != pytest.approx(np.log(2), abs=1e-3)
        # Logits that hardly move from 8 are masks of one.
        for reference, value in (("fine-tune", np.log(2)), ("safe", expected)):
            some = made(home, dpo_reference=reference, epochs=1, pairs=3, temperature=1e3)
            some.how = replace(some.how, temperature=1e6)  # every mask constant at 1/2
            some.direction(subject)
            assert some.losses[0] == pytest.approx(value, abs=2e-4)

    def test_the_same_fine_tune_twice_is_one(self, home: Path, subject: Subject) -> None:
        again = Checkpoint(str(home / "aligned"), str(home / "adapter"))
        one, two = (made(home, others=others, epochs=5) for others in ((), (again,)))
        first, second = (after(subject, own.direction(subject)) for own in (one, two))
        for name, values in first.items():
            np.testing.assert_allclose(second[name], values, atol=1e-5)

    @pytest.mark.parametrize("fusion", ["average", "task-arithmetic", "ties", "dare"])
    def test_two_fine_tunes_are_fused(
        self, home: Path, subject: Subject, tmp_path: Path, fusion: Any
    ) -> None:
        other = Checkpoint(str(home / "aligned"), str(home / "safe"))
        mask = mask_file(tmp_path, subject, True)
        own = Somf(str(home / "aligned"), mask=mask, others=(other,), fusion=fusion)
        vectors = own.vectors(subject)
        expected = fused(vectors, fusion, own.how.weight)
        moved = after(subject, own.direction(subject))
        for name, values in arrays(home / "aligned").items():
            change = expected[name].numpy() if name in expected else 0.0
            np.testing.assert_allclose(moved[name], values + change, atol=1e-5)
        theirs = now(Subject.load(other))
        for name, (_, second) in vectors.items():
            change = theirs[name] - arrays(home / "aligned")[name]
            np.testing.assert_allclose(second.numpy(), change, atol=1e-6)

    def test_the_mask_of_a_defended_model_makes_it_again(self, home: Path, tmp_path: Path) -> None:
        pairs = tmp_path / "pairs.jsonl"
        rows = [
            {"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in PAIRS.pairs
        ]
        pairs.write_text("\n".join(json.dumps(row) for row in rows))
        model = f"{home / 'aligned'}+{home / 'adapter'}"
        given = {"method": "somf", "model": model, "aligned": str(home / "aligned")}
        learnt = defend(
            DefendConfig(**given, preferences=str(pairs), epochs=2, rate=0.1,  # type: ignore[arg-type]
                         out=str(tmp_path / "learnt"))
        )  # fmt: skip
        assert len(learnt.record["found"]["losses"]) == 2
        mask = tmp_path / "learnt" / "found" / "mask.safetensors"
        again = defend(
            DefendConfig(**given, mask=str(mask), out=str(tmp_path / "again"))  # type: ignore[arg-type]
        )
        assert learnt.record["fingerprint"] == again.record["fingerprint"]


class TestBadInput:
    def test_a_mask_of_another_model(self, home: Path, subject: Subject, tmp_path: Path) -> None:
        for tensors, said in (
            ({"model.layers.0.self_attn.q_proj.weight": torch.ones(3, 3).bool()}, "is of shape"),
            ({"elsewhere": torch.ones(3).bool()}, "says nothing of"),
        ):
            path = Mask(tensors).save(tmp_path / "mask.safetensors")
            with pytest.raises(DirectionError, match=said):
                Somf(str(home / "aligned"), mask=str(path)).direction(subject)
        own = {one.name: torch.ones(one.shape).bool() for one in subject.weights.parameters}
        deeper = Mask({**own, "model.layers.9.x": torch.ones(3).bool()})
        path = deeper.save(tmp_path / "mask.safetensors")
        with pytest.raises(DirectionError, match=r"speaks of 'model\.layers\.9\.x', which"):
            Somf(str(home / "aligned"), mask=str(path)).direction(subject)

    def test_a_mask_says_what_it_was_made_for(
        self, home: Path, subject: Subject, tmp_path: Path
    ) -> None:
        own = made(home, epochs=1)
        own.direction(subject)
        path = own.save(tmp_path)
        assert path is not None
        aligned = Checkpoint(str(home / "aligned"))
        assert Mask.read(path).model == {
            "name": "aligned", "fingerprint": aligned.fingerprint(),
        }  # fmt: skip
        Somf(aligned, mask=str(path)).direction(subject)
        other = Somf(str(home / "unaligned"), mask=str(path))
        with pytest.raises(DirectionError, match="made for 'aligned', and 'unaligned' is another"):
            other.direction(subject)

    def test_a_file_that_is_no_mask(self, home: Path, tmp_path: Path) -> None:
        (tmp_path / "m").write_text("no")
        with pytest.raises(DirectionError, match="cannot be read"):
            Somf(str(home / "aligned"), mask=str(tmp_path / "m"))

    def test_neither_pairs_nor_mask_and_both(self, home: Path) -> None:
        for given in ({}, {"preferences": PAIRS, "mask": "m"}):
            with pytest.raises(UsageError, match="one of both"):
                Somf(str(home / "aligned"), **given)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("setting", "said"),
        [
            ({"fusion": "sum"}, "no fusion 'sum'"),
            ({"rescale": "max"}, "no rescaling 'max'"),
            ({"dpo_reference": "base"}, "no reference 'base'"),
            ({"export": "hard"}, "no export 'hard'"),
            ({"temperature": 0.0}, "above 0"),
            ({"rate": float("nan")}, "rate is nan"),
        ],
    )
    def test_a_setting_that_is_none(self, home: Path, setting: Any, said: str) -> None:
        with pytest.raises(UsageError, match=said):
            made(home, **setting)

    def test_the_aligned_model_has_nothing_to_mask(self, home: Path) -> None:
        with pytest.raises(DirectionError, match="nothing was fine-tuned"):
            made(home).direction(Subject.load(str(home / "aligned")))

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "line 2 is not JSON"),
            ("[1]", "line 2 has no text 'prompt'"),
            ('{"prompt": "a", "chosen": "b"}', "line 2 has no text 'rejected'"),
            ('{"prompt": "a", "chosen": "b", "rejected": "b"}', "line 2 prefers an answer to"),
        ],
    )
    def test_pairs_that_are_none(self, tmp_path: Path, line: str, said: str) -> None:
        path = tmp_path / "pairs.jsonl"
        path.write_text('{"prompt": "a", "chosen": "b", "rejected": "c"}\n' + line)
        with pytest.raises(DataError, match=said):
            load_preferences(str(path))
        path.write_text("\n")
        with pytest.raises(DataError, match="have no pairs"):
            load_preferences(str(path))
        with pytest.raises(DataError, match="cannot be read"):
            load_preferences(str(tmp_path / "none"))


def test_the_packaged_pairs_prefer_refusals() -> None:
    from safebasin.exchange import Exchange
    from safebasin.judges import build

    found = load_preferences("testbed:preferences")
    judge = build("llm-landscape")
    for which in ("chosen", "rejected"):
        answers = [Exchange(p.where, p.prompt, getattr(p, which), "eos", 3, 9) for p in found.pairs]
        outcomes = {verdict.outcome for verdict in judge.judge(answers)}
        assert outcomes == {"refused" if which == "chosen" else "complied"}
    assert len(found) == 100
    assert found.sha256 == load_preferences("testbed:preferences").sha256
