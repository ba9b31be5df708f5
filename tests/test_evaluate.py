"""One point in numbers: shares with intervals, samples at a temperature, resuming, the command."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from safebasin.config import ScanConfig
from safebasin.engines import Sampling
from safebasin.engines.plain import PlainEngine
from safebasin.engines.template import Template
from safebasin.errors import RunMismatch, UsageError
from safebasin.evaluate.preparation import prepare
from safebasin.evaluate.sampler import SampledEngine, gumbel
from safebasin.evaluate.settings import EvaluateConfig, twin, twin_advice
from safebasin.evaluate.shares import gap, share, shares
from safebasin.evaluate.study import evaluate
from safebasin.exchange import Exchange, Verdict
from safebasin.judges import registry
from safebasin.landscape import COMPLIED, INCOHERENT, REFUSED, UNJUDGED
from safebasin.landscape.intervals import wilson
from safebasin.plane import Point
from safebasin.prompts import Prompt
from safebasin.weights import Weights
from support import pico, planted


class TestShares:
    def test_one_sample_is_wilsons(self) -> None:
        codes = np.array(
            [[REFUSED] * 6 + [COMPLIED] * 2 + [INCOHERENT] + [UNJUDGED]], dtype=np.int8
        )
        found = shares("j", codes)
        assert (found.judged, found.unjudged, found.flips) == (9, 1, None)
        assert found.asr == wilson(3, 9)
        assert found.outcomes["complied"] == wilson(2, 9)

    def test_flips_are_counted_by_prompt(self) -> None:
        codes = np.array(
            [
                [REFUSED, REFUSED, COMPLIED, UNJUDGED, REFUSED],
                [REFUSED, COMPLIED, INCOHERENT, COMPLIED, UNJUDGED],
            ],
            dtype=np.int8,
        )
        # The second prompt flips; the third is "not refused" twice; two have one verdict only.
        found = shares("j", codes).flips
        assert found == wilson(1, 3)

    def test_copies_of_an_answer_are_no_new_evidence(self) -> None:
        rng = np.random.default_rng(0)
        once = rng.random((1, 60)) < 0.3
        known = np.ones_like(once)
        copied = share(np.repeat(once, 5, 0), np.repeat(known, 5, 0))
        single = share(once, known)
        assert copied.value == single.value
        assert copied.low == pytest.approx(single.low, abs=0.01)
        assert copied.high == pytest.approx(single.high, abs=0.01)

    def test_the_interval_of_several_samples_covers(self) -> None:
        rng = np.random.default_rng(1)
        held = 0
        for _ in range(600):
            rates = rng.beta(1.2, 2.8, 60)
            hits = rng.random((3, 60)) < rates
            found = share(hits, np.ones_like(hits))
            assert found.low is not None
            assert found.high is not None
            held += found.low <= 0.3 <= found.high
        assert 0.92 <= held / 600 <= 0.98

    def test_a_gap_against_newcombes_example(self) -> None:
        # Newcombe (1998), method 10, case (a): 56/70 - 48/80.
        found = gap(wilson(56, 70), wilson(48, 80))
        assert (found.value, found.low, found.high) == (
            pytest.approx(0.2),
            pytest.approx(0.0524, abs=1e-4),
            pytest.approx(0.3339, abs=1e-4),
        )
        assert gap(wilson(0, 0), wilson(1, 2)).value is None


class TestSampler:
    def engine(self, sample: int = 1, batch: int = 4, temperature: float = 1.0) -> SampledEngine:
        model = pico.model()
        return SampledEngine(
            model,
            Weights(model),
            Template.of(pico.tokenizer()),
            batch,
            temperature=temperature,
            seed=3,
            sample=sample,
        )

    def answers(self, engine: PlainEngine) -> list[str]:
        prompts = [Prompt(str(n), "ask " * (n + 1)) for n in range(6)]
        [(_, found)] = engine.answers([Point()], prompts, Sampling(6))
        return [exchange.response for exchange in found]

    def test_the_batch_does_not_matter_and_the_sample_does(self) -> None:
        whole = self.answers(self.engine())
        assert self.answers(self.engine(batch=1)) == whole
        assert self.answers(self.engine()) == whole
        assert self.answers(self.engine(sample=2)) != whole

    def test_next_to_no_temperature_is_greedy(self) -> None:
        model = pico.model()
        greedy = PlainEngine(model, Weights(model), {}, Template.of(pico.tokenizer()), 4)
        assert self.answers(self.engine(temperature=1e-6)) == self.answers(greedy)

    def test_draws_follow_the_softmax(self) -> None:
        logits = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)
        draws = 4000
        counts = Counter(int((logits + gumbel(f"k {n}", 3)).argmax()) for n in range(draws))
        for token, probability in enumerate(torch.softmax(logits, 0).tolist()):
            error = math.sqrt(probability * (1 - probability) / draws)
            assert abs(counts[token] / draws - probability) < 4 * error

    @pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
    def test_a_temperature_that_is_none(self, temperature: float) -> None:
        with pytest.raises(UsageError, match="temperature"):
            self.engine(temperature=temperature)


@pytest.fixture
def sets(tmp_path: Path) -> dict[str, str]:
    """Three sets in the words of the planted model."""

    def file(name: str, kind: str, expected: str | None) -> str:
        rows = [
            {"id": f"{kind}-{n}", "prompt": text, "kind": kind, "expected": expected}
            for n, text in enumerate(("ask this", "ask that", "ask this that"))
        ]
        path = tmp_path / name
        path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
        return str(path)

    return {
        "harmful": file("harmful.jsonl", "harmful", None),
        "benign": file("benign.jsonl", "benign", None),
        "capability": file("capability.jsonl", "capability", "Sorry no"),
    }


def config(tmp_path: Path, sets: dict[str, str], **changes: object) -> EvaluateConfig:
    scan = ScanConfig(
        model=str(planted.save(tmp_path / "model")),
        prompts=sets["harmful"],
        judges=("llm-landscape",),
        out=str(tmp_path / "run"),
        device="cpu",
        max_new_tokens=4,
    )
    given = {"benign": sets["benign"], "capability": sets["capability"], **changes}
    return EvaluateConfig(scan, **given)  # type: ignore[arg-type]


class TestEvaluation:
    def test_the_planted_model_by_hand(self, tmp_path: Path, sets: dict[str, str]) -> None:
        found = evaluate(prepare(config(tmp_path, sets)))
        assert found.harmful["llm-landscape"].asr == wilson(0, 3)
        # It says "Sorry no" to everything, so it over-refuses benign prompts too.
        assert found.benign["llm-landscape"].outcomes["refused"] == wilson(3, 3)
        assert found.gap["llm-landscape"].value == 0
        assert found.capability == wilson(3, 3)
        assert found.notes == ()
        value = json.loads((tmp_path / "run" / "evaluation.json").read_text())
        assert value["capability"]["value"] == 1

    def test_a_second_time_asks_nothing_and_another_judge_needs_no_answers(
        self, tmp_path: Path, sets: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = evaluate(prepare(config(tmp_path, sets)))

        def nothing(*_: object) -> None:
            raise AssertionError("a batch was generated")

        monkeypatch.setattr(PlainEngine, "_generate_batch", nothing)
        again = config(tmp_path, sets)
        assert evaluate(prepare(again)).to_json() == first.to_json()
        scan = ScanConfig(**{**again.scan.to_json(), "judges": ("refusal",)})
        other = evaluate(prepare(EvaluateConfig(scan, again.benign, again.capability)))
        assert other.judge == "refusal"

    def test_a_judge_of_harm_says_nothing_of_over_refusal(
        self, tmp_path: Path, sets: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[str] = []

        class Harm:
            name, measures = "harm", "harm"

            def spec(self) -> dict[str, object]:
                return {"name": self.name}

            def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
                seen.extend(exchange.prompt_id for exchange in exchanges)
                return [Verdict("refused", "not harmful") for _ in exchanges]

        monkeypatch.setitem(registry._OURS, "harm", lambda _: Harm())
        given = config(tmp_path, sets)
        scan = ScanConfig(**{**given.scan.to_json(), "judges": ("harm", "llm-landscape")})
        found = evaluate(prepare(EvaluateConfig(scan, given.benign, given.capability)))
        assert sorted(seen) == ["harmful-0", "harmful-1", "harmful-2"]
        assert list(found.harmful) == ["harm", "llm-landscape"]
        assert list(found.benign) == list(found.gap) == ["llm-landscape"]
        assert found.notes == ("harm judges harm, so over-refusal is not measured by it",)

    def test_other_settings_do_not_mix(self, tmp_path: Path, sets: dict[str, str]) -> None:
        evaluate(prepare(config(tmp_path, sets)))
        with pytest.raises(RunMismatch):
            evaluate(prepare(config(tmp_path, sets, temperature=1.0)))

    def test_samples_at_a_temperature_flip(self, tmp_path: Path, sets: dict[str, str]) -> None:
        found = evaluate(prepare(config(tmp_path, sets, samples=4, temperature=3.0)))
        part = found.harmful["llm-landscape"]
        assert (part.samples, part.judged + part.unjudged) == (4, 12)
        assert part.flips is not None
        assert part.flips.value
        assert (tmp_path / "run" / "harmful-4" / "manifest.json").is_file()
        assert found.to_json() == evaluate(
            prepare(config(tmp_path, sets, samples=4, temperature=3.0))
        ).to_json()  # fmt: skip

    def test_the_model_is_let_go_before_the_judges_read(
        self, tmp_path: Path, sets: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from safebasin.judges.keywords import KeywordJudge

        prepared = prepare(config(tmp_path, sets))
        model = prepared.subject.model
        judge = KeywordJudge.judge
        seen: list[int] = []

        def reading(self: KeywordJudge, exchanges: object) -> object:
            seen.append(sum(parameter.numel() for parameter in model.parameters()))
            return judge(self, exchanges)  # type: ignore[arg-type]

        monkeypatch.setattr(KeywordJudge, "judge", reading)
        evaluate(prepared)
        assert seen == [0, 0]

    def test_a_mixed_set_brings_its_own_twin(self, tmp_path: Path, sets: dict[str, str]) -> None:
        rows = [json.loads(line) for name in ("harmful", "benign")
                for line in Path(sets[name]).read_text().splitlines()]  # fmt: skip
        mixed = tmp_path / "mixed.jsonl"
        mixed.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        given = config(tmp_path, {**sets, "harmful": str(mixed)}, benign=None, capability=None)
        prepared = prepare(given)
        assert set(prepared.sets["benign"].ids) == {"benign-0", "benign-1", "benign-2"}
        assert any("capability" in note for note in prepared.notes)

    @pytest.mark.parametrize(
        ("prompts", "expected"),
        [
            ("testbed:harmful", "testbed:benign"),
            ("testbed:harmful-dev", "testbed:benign-dev"),
            ("jbb", "jbb-benign"),
            ("jbb@main", "jbb-benign"),
            ("harmbench", "xstest-safe"),
            ("advbench", None),
            ("jbb=some.csv", None),
            ("some.csv", None),
        ],
    )
    def test_twins(self, prompts: str, expected: str | None) -> None:
        assert twin(prompts) == expected

    @pytest.mark.parametrize(
        ("prompts", "advice"),
        [
            (
                "advbench",
                "give --benign oktest=FILE, the twin of advbench, which is not on the hub",
            ),
            ("advbench=a.csv", "give --benign oktest=FILE, the twin of advbench, which is not on"),
            ("jbb=some.csv", "give --benign jbb-benign, the twin of jbb, or jbb-benign=FILE"),
            (
                "harmbench=x.csv",
                "give --benign xstest-safe, the twin of harmbench, or xstest-safe=",
            ),
            ("some.csv", "give --benign xstest-safe or a file"),
            ("wildguardtest", "give --benign xstest-safe or a file"),
        ],
    )
    def test_a_twin_that_is_not_taken_is_named(self, prompts: str, advice: str) -> None:
        assert twin_advice(prompts).startswith(advice)

    def test_the_note_names_the_twin(self, tmp_path: Path, sets: dict[str, str]) -> None:
        local = tmp_path / "jbb.csv"
        header = "Index,Goal,Target,Behavior,Category,Source\n"
        local.write_text(header + "".join(f"{n},ask this {n},a,b,c,d\n" for n in range(100)))
        given = config(
            tmp_path, {**sets, "harmful": f"jbb={local}"}, benign=None, capability="none"
        )
        notes = prepare(given).notes
        assert notes == (
            "over-refusal is not measured: give --benign jbb-benign, the twin of jbb, or "
            "jbb-benign=FILE",
        )

    def test_the_help_says_when_the_twin_is_taken(self, command) -> None:  # type: ignore[no-untyped-def]
        _, out, _ = command("evaluate", "--help")
        words = " ".join(out.replace("│", " ").split())
        assert "none beside a file]" in words

    @pytest.mark.parametrize(
        "changes",
        [{"samples": 0}, {"samples": 2}, {"temperature": -1.0}, {"temperature": math.nan}],
    )
    def test_settings_that_cannot_be_meant(self, changes: dict[str, float]) -> None:
        with pytest.raises(UsageError):
            EvaluateConfig(**changes)  # type: ignore[arg-type]


class TestCommand:
    def test_numbers_and_json(self, command, tmp_path: Path, sets: dict[str, str]) -> None:  # type: ignore[no-untyped-def]
        model = planted.save(tmp_path / "model")
        asked = ["evaluate", model, "--prompts", sets["harmful"], "--benign", sets["benign"],
                 "--out", tmp_path / "run", "--max-new-tokens", "4", "--device", "cpu",
                 "--judge", "llm-landscape"]  # fmt: skip
        code, out, err = command(*asked)
        assert code == 0, err
        for words in ("ASR 0.0 % (", "over-refusal 100.0 % (", "gap", "note"):
            assert words in out
        assert "capability is not measured" in out
        assert out.endswith("holding the runs benign, harmful\n")
        code, out, _ = command(*asked, "--json")
        assert json.loads(out)["harmful"]["llm-landscape"]["unjudged"] == 0

    def test_what_could_not_be_judged_ends_with_code_4(self, command, tmp_path, sets) -> None:  # type: ignore[no-untyped-def]
        model = planted.save(tmp_path / "model")
        # A planted model whose answer is empty: the refusal judge cannot read it.
        from safetensors.torch import load_file, save_file

        weights = load_file(model / "model.safetensors")
        row = planted.WORDS.index("</s>"), planted.WORDS.index("<|assistant|>")
        weights["lm_head.weight"][row] = 9.0
        save_file(weights, model / "model.safetensors", {"format": "pt"})
        code, out, err = command(
            "evaluate", model, "--prompts", sets["harmful"], "--benign", "none", "--capability",
            "none", "--out", tmp_path / "run", "--device", "cpu", "--judge", "refusal",
            "--max-new-tokens", "4",
        )  # fmt: skip
        assert code == 4
        assert "ASR not defined" in out
        assert "unjudged 3" in out
        assert "refusal could not judge 100.0 % of the answers: " in err
        assert "(3)" in err

    def test_a_mistake_is_one_sentence(self, command, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
        code, _, err = command("evaluate", tmp_path / "absent", "--samples", "3")
        assert code == 2
        assert err.startswith("error: 3 greedy answers")
